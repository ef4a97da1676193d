"""Pinned spans of time, which the pruner asks whether a savefile may go.

Where pins come from is the catalog's business (`cataloger` reads them, `chronicle` passes them
on); what a pinned savefile is kept from is `ring`'s.
"""

from bisect import bisect_right
from collections.abc import Iterable

from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.pinned import earliest_ns, holds, merged


class Pins:
    """Spans [from_ns, to_ns), ns since 1970, in any order; they may overlap."""

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

    __hash__ = None  # type: ignore[assignment]

    def cover(self, savefile: Savefile) -> bool:
        """Whether `savefile` may hold a packet of a pinned span.

        The rule is `savefile.pinned`'s.
        """
        at = bisect_right(self._ends, earliest_ns(savefile.epoch, savefile.modified_ns))
        return at < len(self.spans) and holds(*self.spans[at], savefile.epoch, savefile.modified_ns)
