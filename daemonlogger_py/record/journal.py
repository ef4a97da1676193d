"""Notes that the cataloger was given and has not written yet, in memory that outlives it.

The memory belongs to the process that guards the cataloger's (`catalog_guard`) and is shared with
it: kill -9 of the cataloger leaves there what the next one has to do again. Each note has a number,
by which the catalog tells how far it is written. What notes say is `cataloger`'s.

    word 0   which half is in use (its topmost bit), and how many bytes of it
    word 1   number of the last note whose bytes were all there
    word 2   1: some did not fit, and are only in the cataloger's own memory
    two halves, each of entries: number (8 bytes), length (4), the note

Whatever is changed becomes so with one word, stored at once: a kill in between changes nothing.
"""

import mmap
import struct
from collections.abc import Iterable
from typing import NamedTuple

# Of notes of some 150 bytes, more than wait in a recorder (`chronicle.MOST_WAITING`). Memory that
# was never written to takes no room.
SIZE_BYTES = 8 << 20
_PLACE, _NUMBER, _MISSED, _WORDS = 0, 1, 2, 3
_HALF = 1 << 63
_ENTRY = struct.Struct("=QI")


class Numbered(NamedTuple):
    """A note as it came, and its number, from 1."""

    number: int
    data: bytes


class Journal:
    """An empty journal; a process that is forked shares it."""

    def __init__(self, size_bytes: int = SIZE_BYTES) -> None:
        self._memory = mmap.mmap(-1, size_bytes)
        # A store into such a view is one store of the processor's.
        self._words = memoryview(self._memory)[: 8 * _WORDS].cast("Q")
        self._half_bytes = (size_bytes - 8 * _WORDS) // 2

    @property
    def number(self) -> int:
        """Of the last note."""
        return self._words[_NUMBER]

    @property
    def incomplete(self) -> bool:
        """Whether some notes since the last `keep` are not in it."""
        return self._words[_MISSED] != 0

    def notes(self) -> list[Numbered]:
        """What is in it, in the order in which it came."""
        at = begin = self._begin
        end = begin + self._used
        found = []
        while at < end:
            number, length = _ENTRY.unpack_from(self._memory, at)
            at += _ENTRY.size
            found.append(Numbered(number, self._memory[at : at + length]))
            at += length
        if found:  # the one who wrote the last may have been killed before it was counted
            self._words[_NUMBER] = max(self.number, found[-1].number)
        return found

    def add(self, data: bytes) -> int:
        """Take a note in and return its number."""
        number = self.number + 1
        used = self._put(self._begin, self._used, Numbered(number, data))
        if used is None:
            self._words[_MISSED] = 1
        else:
            self._words[_PLACE] = self._words[_PLACE] & _HALF | used
        self._words[_NUMBER] = number
        return number

    def keep(self, notes: Iterable[Numbered] = ()) -> None:
        """Forget all but these: the rest is written."""
        half = self._words[_PLACE] & _HALF ^ _HALF
        begin, used = self._begin_of(half), 0
        missed = 0
        for note in notes:
            after = self._put(begin, used, note)
            used, missed = (used, 1) if after is None else (after, missed)
        self._words[_PLACE] = half | used
        self._words[_MISSED] = missed

    @property
    def _begin(self) -> int:
        return self._begin_of(self._words[_PLACE] & _HALF)

    @property
    def _used(self) -> int:
        return self._words[_PLACE] & ~_HALF

    def _begin_of(self, half: int) -> int:
        return 8 * _WORDS + (self._half_bytes if half else 0)

    def _put(self, begin: int, used: int, note: Numbered) -> int | None:
        """Write an entry behind `used` bytes; returns how many are used then, None: no room."""
        after = used + _ENTRY.size + len(note.data)
        if after > self._half_bytes:
            return None
        at = begin + used
        _ENTRY.pack_into(self._memory, at, note.number, len(note.data))
        self._memory[at + _ENTRY.size : begin + after] = note.data
        return after
