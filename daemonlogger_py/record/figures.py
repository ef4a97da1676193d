"""How a recording goes, as ``dlctl status`` gets it: one JSON object and a line end.

The recorder's figures come in once a second (`Figures`); what only the disk knows is looked at when
somebody asks. Who asks, and how, is `cataloger`'s.
"""

from collections import deque
from typing import Any, NamedTuple

from daemonlogger_py.record.retention import Limits, Volume, names_of, room

NS_PER_SECOND = 1_000_000_000
# Rates are over this many of the recorder's reports, a second apart.
REPORTS = 5
# More of a filter neither fits into a message nor helps who reads it.
FILTER_CHARACTERS = 8192


class Figures(NamedTuple):
    """What the recorder says of itself; the names are those that `dlctl status` gets."""

    interface_up: bool
    received: int
    dropped: int
    if_dropped: int
    lost: int
    written: int
    written_bytes: int
    buffers_used_bytes: int
    buffers_limit_bytes: int
    savefile: str | None
    savefile_bytes: int
    ring_files: int | None  # None: there is no ring
    ring_bytes: int | None
    oldest_ns: int | None
    pinned_bytes: int
    pinned_open_bytes: int  # of these, in the savefile being written


def kept_filter(text: str) -> str:
    """As much of a filter as the catalog and an account of the recorder have of it."""
    return text if len(text) <= FILTER_CHARACTERS else text[: FILTER_CHARACTERS - 3] + "..."


class Rates:
    """Packets and bytes per second, over the last reports."""

    def __init__(self) -> None:
        self._reports: deque[tuple[int, int, int]] = deque(maxlen=REPORTS + 1)

    def report(self, at_ns: int, packets: int, size_bytes: int) -> None:
        """Note the totals at `at_ns`."""
        if self._reports and at_ns <= self._reports[-1][0]:
            self._reports.clear()  # the clock was set back
        self._reports.append((at_ns, packets, size_bytes))

    @property
    def known(self) -> bool:
        """Whether there are reports enough to tell."""
        return len(self._reports) >= 2

    def per_second(self) -> tuple[float, float]:
        """Packets and bytes; 0 until there are two reports."""
        if not self.known:
            return 0.0, 0.0
        (from_ns, packets, size_bytes), (to_ns, *now) = self._reports[0], self._reports[-1]
        seconds = (to_ns - from_ns) / NS_PER_SECOND
        return (now[0] - packets) / seconds, (now[1] - size_bytes) / seconds


def about_room(
    figures: dict[str, Any], limits: Limits | None, volume: Volume, roll_bytes: int
) -> dict[str, object]:
    """What the volume says, the limits as messages name them, and the room they leave.

    `figures` are the recorder's last ones as a dict, empty before the first; without a ring
    `limits` is None and there is no room to speak of.
    """
    found: dict[str, object] = {
        "volume_total_bytes": volume.total_bytes,
        "volume_free_bytes": volume.free_bytes,
        "limits": [],
        "room_bytes": None,
    }
    if limits is None:
        return found
    found["limits"] = names_of(limits, volume)
    if figures:
        found["room_bytes"] = room(
            limits,
            volume,
            files=figures["ring_files"] or 0,
            ring_bytes=figures["ring_bytes"] or 0,
            open_bytes=figures["savefile_bytes"],
            roll_bytes=roll_bytes,
        )
    return found


def line(status: dict[str, object]) -> bytes:
    """The status as it is given to those who ask."""
    import json

    return json.dumps(status).encode() + b"\n"
