"""Which savefile of a ring comes after which, for who follows it: also once one was compressed.

Between two looks a ring may have turned over. The ring's catalog knows of that: it has a position
for every savefile that was sealed, and keeps that of the one pruned last. Without it, a savefile
that was seen behind the one before it shows that nothing is missing between them, unless the first
is pinned or read by others. A savefile that is pruned as soon as it is complete, as in a ring of
one, never has a position: that is said as what it is, not known.
"""

import os
import time
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.readers.inputs.directory import changed_ns_of
from daemonlogger_py.readers.inputs.ring import LOOK_AGAIN_S, Ring
from daemonlogger_py.savefile.holes import is_there
from daemonlogger_py.savefile.names import CATALOG, Naming, SavefileName

if TYPE_CHECKING:
    from daemonlogger_py.savefile.catalog import Catalog

NOTHING = SavefileName(-1, 0, "")
"""Stands before all savefiles."""
# Within this the catalog knows of a savefile that has begun.
CATALOG_S = 1.0
_age_of = itemgetter(0, 1)  # of a SavefileName
# Of a ring with a pin there may be very many.
_LAST_LINKS = "SELECT name, position FROM link ORDER BY position DESC LIMIT 1000"


class Next(NamedTuple):
    """A savefile, and what the file is called if somebody compressed it."""

    savefile: SavefileName
    compressed: str | None


class _Turn(NamedTuple):
    """From one savefile to the next, and the position in the catalog that follows for that."""

    before: SavefileName
    after: SavefileName
    position: int | None


class _Doubt(NamedTuple):
    """Whether savefiles between these two were lost is to be found out.

    `position`: that of the first one, as far as that follows from those before it. `sure`: one was
    seen between them. `seen`: they were seen without any.
    """

    before: SavefileName
    after: SavefileName
    position: int | None
    due_s: float
    sure: bool
    seen: bool


class Succession:
    """The order of the savefiles of `ring`, as far as it is followed."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._naming = Naming(ring.prefix)
        self._catalog: Catalog | None = None
        self._seen: tuple[SavefileName, SavefileName] | None = None
        self._doubts: list[_Doubt] = []
        self._last: _Turn | None = None
        self._unsure = False
        self._compressed: list[Next] = []
        self._changed_ns: int | None = None
        self._looked_s = 0.0

    def begin(self) -> SavefileName | None:
        """What a reader that has read none of them goes on behind; None: nothing.

        Where there are compressed ones alone, they are of before its time.
        """
        if self._ring.after(None):
            return None
        compressed = self._compressed_after(NOTHING)
        return compressed[-1].savefile if compressed else NOTHING

    def next(self, before: SavefileName | None) -> Next | None:
        """The one after `before`, if it has begun. Raises OSError.

        It exists before any later one does, and is compressed before it is removed: whoever has
        seen a later one compressed has to look for both again, in this order.
        """
        found = self._first(before)
        return self._first(before) if found is not None and found.compressed else found

    def is_complete(self, savefile: SavefileName) -> bool:
        """Whether nothing will be added to it any more, which no later look will deny."""
        self._see(savefile)
        return self._ring.is_complete(savefile) or bool(self._compressed_after(savefile))

    def turn(self, before: SavefileName | None, after: SavefileName) -> None:
        """Say that `after` is read now, and `before` was before it."""
        last, self._last = self._last, None
        if before is None or not before.name:
            return
        position = self._position(before)
        if position is None and last is not None and last.after == before:
            earlier = self._position(last.before)
            position = last.position if earlier is None else earlier + 1
        seen = self._seen[1] if self._seen is not None and self._seen[0] == before else None
        if seen == after:
            self._last = _Turn(before, after, None if position is None else position + 1)
        sure = seen is not None and _age_of(seen) < _age_of(after)
        due_s = time.monotonic() + CATALOG_S
        self._doubts.append(_Doubt(before, after, position, due_s, sure, seen == after))

    @property
    def doubtful(self) -> bool:
        """Whether there is something that a later look may decide."""
        return bool(self._doubts)

    def lost(self, *, final: bool = False) -> list[str]:
        """One line for each time that savefiles were lost; `final`: nobody will look again."""
        lines: list[str] = []
        doubts, self._doubts = self._doubts, []
        for doubt in doubts:
            over = final or time.monotonic() >= doubt.due_s
            verdict = self._verdict(doubt, over=over)
            if isinstance(verdict, _Doubt):
                self._doubts.append(verdict)
            elif verdict:
                lines.append(verdict)
        return lines

    def close(self) -> None:
        """Close the catalog; may be called twice."""
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _verdict(self, doubt: _Doubt, *, over: bool) -> str | _Doubt:
        """What is to be told, "" if nothing was lost; the doubt: the catalog may know later."""
        before, after = doubt.before, doubt.after
        shown = self._ring.path(before)
        known = self._positions(before.epoch, after.epoch, links=True)
        position = known.get(before.name)
        first = doubt.position if position is None else position
        last = known.get(after.name)
        between = [known[name] for name in known if self._is_between(name, before, after)]
        sealed = [one for one in between if one is not None]
        if sealed or doubt.sure:
            if last is None:
                last = max(sealed, default=-1) + 1
            count = 0 if first is None else last - first - 1
            which = "1 savefile" if count == 1 else f"{count} savefiles"
            which = which if count > 0 else "savefiles"
            were = "was" if count == 1 else "were"
            return f"{which} behind {shown} {were} pruned before being read"
        if doubt.seen or is_there(self._ring.dir_fd, before.name):
            return ""  # pruning begins with the oldest, but for those that are pinned or read
        if last is not None and (last - 1 == first or last - 1 in known.values()):
            return ""
        # What came between was begun before the later one, and that is noted in its turn.
        if after.name not in known and self._catalog is not None and not over:
            return doubt._replace(position=first)
        if before.name in known and not between:
            return ""
        if self._unsure:
            return ""  # a ring of one savefile would have a line for each
        self._unsure = True
        return f"savefiles behind {shown} or later ones may have been pruned before being read"

    def _is_between(self, name: str, before: SavefileName, after: SavefileName) -> bool:
        one = self._naming.parse(name)
        return one is not None and _age_of(before) < _age_of(one) < _age_of(after)

    def _position(self, savefile: SavefileName) -> int | None:
        return self._positions(savefile.epoch, savefile.epoch, links=False).get(savefile.name)

    def _positions(
        self, first_epoch: int, last_epoch: int, *, links: bool
    ) -> dict[str, int | None]:
        """What the catalog knows of savefiles of these epochs, or `links` of those pruned last.

        None: it has begun. The catalog may come later, or be another one then, and in another root
        directory there is none.
        """
        known: dict[str, int | None] = {}
        try:
            if self._catalog is None:
                from daemonlogger_py.savefile.catalog import Catalog

                # Whatever the directory is called by now.
                path = f"/proc/self/fd/{self._ring.dir_fd}/{self._ring.prefix}{CATALOG}"
                if not os.path.lexists(path):
                    return known
                self._catalog = Catalog.open(path)
            # Entries first: what is pruned meanwhile is one of them until it is a link.
            for entry in self._catalog.unlinked_entries(first_epoch, last_epoch):
                known[entry.name] = entry.position
            if links:
                rows = self._catalog.query(_LAST_LINKS)
                known |= {
                    name: position
                    for name, position in rows
                    if isinstance(name, str) and isinstance(position, int)
                }
        except (CatalogError, ImportError):
            self.close()
        return known

    def _see(self, savefile: SavefileName) -> None:
        """Note what comes behind it, if both are there at once."""
        listed = self._ring.savefiles()
        at = bisect_left(listed, _age_of(savefile), key=_age_of)
        seen = self._seen is not None and self._seen[0] == savefile
        if not seen and at + 1 < len(listed) and listed[at] == savefile:
            self._seen = savefile, listed[at + 1]

    def _first(self, before: SavefileName | None) -> Next | None:
        plain = [Next(one, None) for one in self._ring.after(before)[:1]]
        compressed = [] if before is None else self._compressed_after(before)[:1]
        return min(plain + compressed, key=_order_of, default=None)

    def _compressed_after(self, before: SavefileName) -> list[Next]:
        """Those of the savefiles behind `before` that somebody compressed, oldest first."""
        changed_ns = changed_ns_of(self._ring.dir_fd)
        now_s = time.monotonic()
        same = changed_ns is not None and changed_ns == self._changed_ns
        if not same or now_s >= self._looked_s + LOOK_AGAIN_S:
            names = os.listdir(self._ring.dir_fd)
            originals = map(self._naming.parse_compressed, names)
            found = [Next(one, name) for one, name in zip(originals, names, strict=True) if one]
            self._compressed = sorted(found, key=_order_of)
            self._changed_ns, self._looked_s = changed_ns, now_s
        at = bisect_right(self._compressed, _age_of(before), key=_order_of)
        return self._compressed[at:]


def _order_of(one: Next) -> tuple[int, int]:
    return one.savefile[:2]
