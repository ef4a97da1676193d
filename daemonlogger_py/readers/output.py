"""Text on standard output, of verbs that print many lines, and what they have to say besides.

Lines are gathered: one write a line would take longer than to find out what stands in it.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress

from daemonlogger_py.errors import OutputError

_GATHERED = 1000


def write_lines(lines: Iterable[str]) -> None:
    """Write each of `lines` and a line end, and all of it before returning.

    What the output's encoding has no letters for is escaped. Raises OutputError.
    """
    out = sys.stdout
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="backslashreplace")
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        if len(gathered) >= _GATHERED:
            _write("\n".join(gathered) + "\n")
            gathered.clear()
    _write("".join(f"{line}\n" for line in gathered))
    try:
        out.flush()
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def tell(verb: str, line: str) -> None:
    """Say on standard error what `verb` could not do, or did otherwise."""
    with suppress(OSError, AttributeError):  # closed: the exit status says it too
        sys.stderr.write(f"dlctl {verb}: {line}\n")
        sys.stderr.flush()


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error
