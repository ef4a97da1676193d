"""Which savefiles a pin holds: the one rule for the recorder, which does not prune them, and dlctl.

By name and modification time alone, so that it also holds for savefiles no catalog knows, and needs
none of them opened. It rather holds a savefile too many than one too few.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol

_NS = 1_000_000_000
EARLY_NS = _NS
"""Packets that waited in the kernel's buffer are stamped before the savefile they got into was
opened: a roll-over just after a full second has some of the second before."""


def earliest_ns(epoch: int, modified_ns: int) -> int:
    """When the first packet of a savefile named after the second `epoch` may have been stamped.

    One that was written before that second was recorded after the clock had been set back: names go
    on from the newest one then, and say nothing of its packets.
    """
    named_ns = epoch * _NS - EARLY_NS
    return named_ns if modified_ns >= named_ns else 0


def latest_ns(epoch: int, modified_ns: int) -> int:
    """When the last packet of such a savefile may have been stamped; never before the first."""
    return max(modified_ns, epoch * _NS)


def holds(from_ns: int, to_ns: int, epoch: int, modified_ns: int) -> bool:
    """Whether a savefile may have packets of [from_ns, to_ns), all in nanoseconds since 1970.

    `epoch` is the second in its name, at which it was opened; it was written last at `modified_ns`.
    """
    return earliest_ns(epoch, modified_ns) < to_ns and from_ns <= latest_ns(epoch, modified_ns)


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return separate spans in order that cover the same time; empty ones cover none."""
    found: list[tuple[int, int]] = []
    for from_ns, to_ns in sorted(spans):
        if to_ns <= from_ns:
            continue
        if found and from_ns <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], to_ns)
        else:
            found.append((from_ns, to_ns))
    return found


class Dated(Protocol):
    """What pins go by, of a savefile."""

    @property
    def epoch(self) -> int:
        """The second in its name."""

    @property
    def modified_ns(self) -> int:
        """When it was written last."""


class Pins:
    """Spans [from_ns, to_ns), ns since 1970, in any order; they may overlap.

    A savefile is looked up in O(log n) of them.
    """

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self.spans = merged(spans)
        """The same time as separate spans in order."""
        self._ends = [to_ns for _, to_ns in self.spans]

    def __bool__(self) -> bool:
        """Whether anything is pinned."""
        return bool(self.spans)

    def __eq__(self, other: object) -> bool:
        """Whether the same time is pinned."""
        return isinstance(other, Pins) and self.spans == other.spans

    def cover(self, savefile: Dated) -> bool:
        """Whether `savefile` may hold a packet of a pinned span."""
        at = bisect_right(self._ends, earliest_ns(savefile.epoch, savefile.modified_ns))
        return at < len(self.spans) and holds(*self.spans[at], savefile.epoch, savefile.modified_ns)
