"""A savefile that is complete, and how that is told to a hook: in its environment.

When savefiles are sealed is the recorder's; how hooks are run, `hooks`'.
"""

from typing import NamedTuple

_NS_PER_SECOND = 1_000_000_000


class Sealed(NamedTuple):
    """A savefile that is complete; times are ns since 1970, None when it holds no packet."""

    path: str  # absolute, as seen from inside a chroot
    first_ns: int | None
    last_ns: int | None
    packets: int
    size_bytes: int
    drops: int  # packets that went missing while it was open
    interface: str
    why: str  # it was sealed: the roll-over's reason, or "exit"


NAMES = frozenset(
    f"DAEMONLOGGER_{name}"
    for name in ("FILE", "FIRST", "LAST", "PACKETS", "BYTES", "DROPS", "INTERFACE", "WHY")
)
"""All that a recorder may put into a hook's environment."""


def environment(savefile: Sealed) -> dict[str, str]:
    """Return what a hook is told of `savefile`: the variables' names and values."""
    return {
        "DAEMONLOGGER_FILE": savefile.path,
        "DAEMONLOGGER_FIRST": _seconds(savefile.first_ns),
        "DAEMONLOGGER_LAST": _seconds(savefile.last_ns),
        "DAEMONLOGGER_PACKETS": str(savefile.packets),
        "DAEMONLOGGER_BYTES": str(savefile.size_bytes),
        "DAEMONLOGGER_DROPS": str(savefile.drops),
        "DAEMONLOGGER_INTERFACE": savefile.interface,
        "DAEMONLOGGER_WHY": savefile.why,
    }


def _seconds(time_ns: int | None) -> str:
    """Seconds and nanoseconds since 1970, exactly; nothing for a time there is not."""
    if time_ns is None:
        return ""
    seconds, ns = divmod(time_ns, _NS_PER_SECOND)
    return f"{seconds}.{ns:09d}"
