"""The savefiles this recorder may prune, in order of age, in memory.

The directory is read when the ring is adopted and when it is reconciled; a roll-over costs
O(log n) and no directory scan, with 100,000 savefiles as with ten. What to prune is decided in
``record/retention.py`` and done in ``record/prune.py``; both tell the ring.

A savefile the ring knows of is in one of four places:

    open       being written: counts, is never offered for pruning
    sealed     complete: counts, is offered oldest first
    withheld   handed to the archiver: still in the directory, neither counts nor is offered
    refused    the directory would not let go of it: left alone until ``reconcile()``

A sealed savefile may be pinned, or postponed because somebody reads it: it counts then, and is not
offered. So that a ring whose older half is pinned plans as fast as any other, those are in no heap.

What repairs keep beside a savefile (`ringfile`) is part of it, in bytes and when it goes. Where the
savefile itself is gone, it is one in its place, of the same age.

One thread uses a ring; it has no lock.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from stat import S_ISREG
from typing import TypeVar

from daemonlogger_py.record.ringfile import Savefile, look, of_status
from daemonlogger_py.savefile.asides import owner_of
from daemonlogger_py.savefile.names import Naming, SavefileName

# No run gets here by itself. A stray `PREFIX.1.999999999999` must not drive our own serials on
# until the name no longer fits the directory.
LARGEST_SERIAL = 999_999_999
# Entries of savefiles that left are swept once they outnumber the living by this many.
_SLACK = 64

_Entry = TypeVar("_Entry", "Savefile", "tuple[int, Savefile]")
_name_order = attrgetter("epoch", "serial", "name")


class Ring:
    """The savefiles of one prefix in one directory.

    dir_fd is the log directory, open for reading and kept open by the caller. With this_run_only
    (``-z``) only savefiles that were ``opened()`` here are ever offered; those of earlier runs
    still count when a free serial is looked for.
    """

    def __init__(self, dir_fd: int, naming: Naming, *, this_run_only: bool) -> None:
        self._dir_fd = dir_fd
        self._naming = naming
        self._this_run_only = this_run_only
        self._open: dict[str, int] = {}  # name -> bytes written so far
        self._sealed: dict[str, Savefile] = {}
        self._withheld: set[str] = set()
        self._refused: set[str] = set()
        self._with_asides: set[str] = set()  # of those sealed
        self._pinned_by: Callable[[Savefile], bool] | None = None
        self._pinned: set[str] = set()  # of those sealed
        self._pinned_bytes = 0
        self._oldest_pinned: Savefile | None = None
        self._postponed: set[str] = set()  # of those sealed
        self._by_name: list[Savefile] = []  # heap; an entry lives while _sealed holds that object
        self._by_age: list[tuple[int, Savefile]] | None = None  # the same, made at first use
        self._next_serial: dict[int, int] = {}  # only where it is not plain from the names known
        self._current_epoch = -1
        self._sealed_bytes = 0
        self._changes = 0

    def __len__(self) -> int:
        """Count the savefiles, those being written included."""
        return len(self._open) + len(self._sealed)

    def __contains__(self, name: str) -> bool:
        """Tell whether a savefile of this name is open or sealed."""
        return name in self._open or name in self._sealed

    @property
    def open_files(self) -> int:
        """Count the savefiles being written."""
        return len(self._open)

    @property
    def pinned_files(self) -> int:
        """Count the savefiles that are pinned."""
        return len(self._pinned)

    @property
    def pinned_bytes(self) -> int:
        """Bytes in the savefiles that are pinned."""
        return self._pinned_bytes

    @property
    def oldest(self) -> Savefile | None:
        """The oldest sealed savefile that is on offer or pinned."""
        known = [next(self.oldest_first(), None), self._oldest_pinned]
        return min((savefile for savefile in known if savefile is not None), default=None)

    @property
    def postponed_files(self) -> int:
        """Count the savefiles that are postponed."""
        return len(self._postponed)

    @property
    def total_bytes(self) -> int:
        """Bytes in all savefiles, those being written included as far as ``grown()`` was told."""
        return self._sealed_bytes + sum(self._open.values())

    def adopt(self) -> int:
        """Take in what earlier runs left (nothing with this_run_only); return how many are known.

        Regular files alone: a link, directory or fifo is not ours whatever its name. Raises
        OSError if the directory cannot be read.
        """
        self.reconcile()
        return len(self)

    def reconcile(self) -> None:
        """Read the directory again: forget what others removed, take in what others added.

        Savefiles that are open or withheld stay as they are; refused ones may be tried again.
        Known savefiles are not looked at again beyond their kind. Raises OSError if the directory
        cannot be read; the ring is then unchanged.
        """
        sealed: dict[str, Savefile] = {}
        present: set[str] = set()
        next_serial: dict[int, int] = {}
        beside: dict[SavefileName, list[str]] = {}
        with os.scandir(self._dir_fd) as entries:
            for entry in entries:
                name = self._naming.parse(entry.name)
                if entry.name in self._refused:
                    present.add(entry.name)
                if name is None:
                    if (owner := owner_of(entry.name, self._naming)) is not None:
                        beside.setdefault(owner, []).append(entry.name)
                    elif (was := self._naming.parse_compressed(entry.name)) is not None:
                        self._note_serial(was, next_serial)  # not the ring's, but its name is taken
                    continue
                self._note_serial(name, next_serial)
                if name.name in self._open or name.name in self._withheld:
                    continue
                savefile = self._eligible(name, entry)
                if savefile is not None:
                    sealed[name.name] = savefile
        self._take_in_asides(sealed, beside)
        self._refused &= present
        self._next_serial = next_serial
        self._sealed = sealed
        self._sealed_bytes = sum(savefile.size_bytes for savefile in sealed.values())
        self._postponed &= sealed.keys()
        self._find_pinned()
        self._rebuild()

    def opened(self, name: SavefileName) -> None:
        """Note the file now being written; there may be two, as the next is opened first."""
        if name.name in self._sealed:
            self.remove(self._sealed[name.name])
        self._open[name.name] = 0
        self._current_epoch = name.epoch
        self._note_serial(name, self._next_serial)

    def grown(self, name: SavefileName, size_bytes: int) -> None:
        """Note how many bytes an open file holds by now."""
        if name.name in self._open:
            self._open[name.name] = size_bytes

    def sealed(self, name: SavefileName, status: os.stat_result | None = None) -> Savefile | None:
        """Note that an open file is complete; from now on it may be pruned.

        status is its fstat; without it the directory is asked. Returns None, and forgets the
        file, if it is no longer there or no longer a regular file.
        """
        self._open.pop(name.name, None)
        if status is None:
            try:
                status = os.stat(name.name, dir_fd=self._dir_fd, follow_symlinks=False)
            except FileNotFoundError:
                return None
        if not S_ISREG(status.st_mode):
            return None
        savefile = of_status(name, status)
        self._add(savefile)
        return savefile

    def discarded(self, name: SavefileName) -> None:
        """Note that an open file was removed instead of sealed."""
        self._open.pop(name.name, None)
        self._forget_serial(name.epoch, name.serial)

    def oldest_first(self) -> Iterator[Savefile]:
        """Yield the savefiles on offer by (epoch, serial), O(log n) each; sorts nothing else.

        RuntimeError if the ring changes meanwhile.
        """
        return self._walk(self._by_name, lambda savefile: savefile)

    def modified_before(self, cutoff_ns: int) -> Iterator[Savefile]:
        """Yield the savefiles on offer last modified before cutoff_ns, longest ago first.

        Not by name: with ``-R`` a savefile is called after its packets' time, not its own.
        RuntimeError if the ring changes meanwhile.
        """
        if self._by_age is None:  # most rings have no age limit: no second heap for them
            self._by_age = sorted((s.modified_ns, s) for s in self._offered())
        for savefile in self._walk(self._by_age, lambda entry: entry[1]):
            if savefile.modified_ns >= cutoff_ns:
                return
            yield savefile

    def remove(self, savefile: Savefile) -> None:
        """Forget a savefile that is no longer in the directory."""
        self._drop(savefile)
        self._withheld.discard(savefile.name)
        self._refused.discard(savefile.name)
        self._forget_serial(savefile.epoch, savefile.serial)

    def pin(self, pinned: Callable[[Savefile], bool] | None) -> None:
        """Offer no savefile that `pinned` is true of from now on, sealed or still to be: O(n)."""
        self._pinned_by = pinned
        self._find_pinned()
        self._rebuild()

    def postpone(self, savefile: Savefile) -> None:
        """Offer the others first: this one is being read."""
        if self._sealed.get(savefile.name) is savefile:
            self._postponed.add(savefile.name)
            self._changes += 1

    def offer_again(self) -> None:
        """Offer what was postponed."""
        postponed, self._postponed = self._postponed, set()
        for name in postponed:
            # A new object: the heap may still hold the old one, and may not.
            self._drop(savefile := self._sealed[name])
            self._add(replace(savefile))

    def offers(self, savefile: Savefile) -> bool:
        """Tell whether this savefile is still on offer for pruning."""
        return self._lives(savefile)

    def withhold(self, savefile: Savefile) -> None:
        """Take a savefile out for the archiver; it ends with ``remove()`` or ``give_back()``."""
        self._drop(savefile)
        self._withheld.add(savefile.name)

    def give_back(self, savefile: Savefile) -> None:
        """Take a withheld savefile in again: the archiver could not move it."""
        if savefile.name in self._withheld:
            self._withheld.discard(savefile.name)
            # A new object: the heap may still hold the old one, which must stay dead there.
            self._add(replace(savefile))

    def refuse(self, savefile: Savefile) -> bool:
        """Leave a savefile that cannot be removed alone until ``reconcile()``.

        Returns whether this is the first time for this savefile.
        """
        self._drop(savefile)
        self._withheld.discard(savefile.name)
        first = savefile.name not in self._refused
        self._refused.add(savefile.name)
        return first

    def next_serial(self, epoch: int) -> int:
        """Suggest the serial for a new savefile of this second, without asking the disk.

        Whoever creates it with O_EXCL finds out, and says ``taken()`` before asking again.
        """
        serial = self._next_serial.get(epoch)
        if serial is not None:
            return serial
        name = self._naming.format(epoch)
        known = name in self or name in self._withheld or name in self._refused
        return 1 if known else 0

    def taken(self, epoch: int, serial: int) -> None:
        """Note that the directory already has something under this epoch and serial."""
        self._next_serial[epoch] = max(self._next_serial.get(epoch, 0), serial + 1)

    def _eligible(self, name: SavefileName, entry: os.DirEntry[str]) -> Savefile | None:
        known = self._sealed.get(name.name)
        if self._this_run_only and known is None and name.name not in self._refused:
            return None
        try:
            if not entry.is_file(follow_symlinks=False):
                return None
            if known is not None:
                return known
            return of_status(name, entry.stat(follow_symlinks=False))
        except FileNotFoundError:  # removed since the directory was read
            return None

    def _take_in_asides(
        self, sealed: dict[str, Savefile], beside: dict[SavefileName, list[str]]
    ) -> None:
        """Make what lies beside savefiles part of those `sealed`, or one in their place."""
        owned = {owner.name: tuple(sorted(names)) for owner, names in beside.items()}
        for name in (self._with_asides | owned.keys()) & sealed.keys():
            # A repair puts another file into its place: what was known of its size is over.
            if owned.get(name, ()) != sealed[name].asides:
                known = sealed.pop(name)
                whose = SavefileName(known.epoch, known.serial, name)
                if (savefile := look(self._dir_fd, whose, owned.get(name, ()))) is not None:
                    sealed[name] = savefile
        self._with_asides = owned.keys() & sealed.keys()
        for owner, names in beside.items():
            if owner.name not in sealed and self._is_gone(owner.name):
                for name in names:
                    whose = SavefileName(owner.epoch, owner.serial, name)
                    savefile = None if name in self._withheld else look(self._dir_fd, whose)
                    if savefile is not None:
                        sealed[name] = savefile

    def _is_gone(self, name: str) -> bool:
        """Whether a savefile, which might have been pruned here, is not in the directory."""
        if self._this_run_only or name in self._open or name in self._withheld:
            return False
        try:
            os.stat(name, dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return True
        return False

    def _note_serial(self, name: SavefileName, next_serial: dict[int, int]) -> None:
        # Serial 0 of a savefile we know is found by its name, and of one that somebody compressed
        # when it is tried: no entry, as most seconds have one.
        if name.serial > LARGEST_SERIAL or (name.serial == 0 and not self._this_run_only):
            return
        next_serial[name.epoch] = max(next_serial.get(name.epoch, 0), name.serial + 1)

    def _forget_serial(self, epoch: int, serial: int) -> None:
        # Pruned oldest first, the last of a second to go has its highest serial. The current
        # second keeps its count, so that a run never gives two savefiles one name.
        if epoch != self._current_epoch and self._next_serial.get(epoch) == serial + 1:
            del self._next_serial[epoch]

    def _add(self, savefile: Savefile) -> None:
        if savefile.name in self._sealed:
            self._drop(self._sealed[savefile.name])
        self._sealed[savefile.name] = savefile
        self._sealed_bytes += savefile.size_bytes
        self._changes += 1
        if self._pinned_by is not None and self._pinned_by(savefile):
            self._pinned.add(savefile.name)
            self._pinned_bytes += savefile.size_bytes
            self._oldest_pinned = min(self._oldest_pinned or savefile, savefile)
            return
        heapq.heappush(self._by_name, savefile)
        if self._by_age is not None:
            heapq.heappush(self._by_age, (savefile.modified_ns, savefile))

    def _drop(self, savefile: Savefile) -> None:
        known = self._sealed.pop(savefile.name, None)
        if known is None:
            return
        self._sealed_bytes -= known.size_bytes
        self._postponed.discard(known.name)
        if known.name in self._pinned:
            self._pinned.discard(known.name)
            self._pinned_bytes -= known.size_bytes
            if known == self._oldest_pinned:
                self._oldest_pinned = min(map(self._sealed.__getitem__, self._pinned), default=None)
        self._changes += 1
        while self._by_name and not self._lives(self._by_name[0]):
            heapq.heappop(self._by_name)
        while self._by_age and not self._lives(self._by_age[0][1]):
            heapq.heappop(self._by_age)
        bound = 2 * len(self._sealed) + _SLACK
        if len(self._by_name) > bound or len(self._by_age or ()) > bound:
            self._rebuild()

    def _rebuild(self) -> None:
        # A sorted list is a heap, and sorting what is nearly sorted is close to O(n).
        self._changes += 1
        self._by_name = sorted(self._offered(), key=_name_order)
        self._by_age = None

    def _find_pinned(self) -> None:
        pinned = self._pinned_by
        found = [] if pinned is None else [s for s in self._sealed.values() if pinned(s)]
        self._pinned = {savefile.name for savefile in found}
        self._pinned_bytes = sum(savefile.size_bytes for savefile in found)
        self._oldest_pinned = min(found, default=None)

    def _offered(self) -> Iterable[Savefile]:
        if not self._pinned and not self._postponed:
            return self._sealed.values()
        return filter(self._lives, self._sealed.values())

    def _lives(self, savefile: Savefile) -> bool:
        name = savefile.name
        known = self._sealed.get(name) is savefile
        return known and name not in self._pinned and name not in self._postponed

    def _walk(
        self, heap: list[_Entry], savefile_of: Callable[[_Entry], Savefile]
    ) -> Iterator[Savefile]:
        changes = self._changes
        for entry in _in_order(heap):
            savefile = savefile_of(entry)
            if self._lives(savefile):
                yield savefile
                if changes != self._changes:
                    raise RuntimeError("the ring changed while it was walked")


def _in_order(heap: list[_Entry]) -> Iterable[_Entry]:
    # The next smallest is always a child of one already given, so a heap of candidates is enough
    # and the heap itself stays untouched: k entries cost O(k log k).
    candidates = [(heap[0], 0)] if heap else []
    while candidates:
        entry, place = heapq.heappop(candidates)
        yield entry
        for child in range(2 * place + 1, min(2 * place + 3, len(heap))):
            heapq.heappush(candidates, (heap[child], child))
