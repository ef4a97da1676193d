"""Where temporary files are: in TMPDIR, else in /var/tmp, as /tmp often is memory."""

import os

_ROOMY = "/var/tmp"  # noqa: S108 - of files without a name


def directory() -> str | None:
    """What to give `tempfile` as `dir`; None: it is to look for one itself, TMPDIR first."""
    if os.environ.get("TMPDIR") or not os.access(_ROOMY, os.W_OK):
        return None
    return _ROOMY


def shown() -> str:
    """What messages call it."""
    return directory() or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - where tempfile looks
