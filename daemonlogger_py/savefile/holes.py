"""Savefiles that a catalog knows, and that are gone though no recorder said that it pruned them.

Pruning begins with the oldest, so these are the ones that have an older one still there, be it
compressed. A recorder writes a gap for them when it finds them out; until one does, readers say so.
"""

import os
from collections.abc import Sequence
from stat import S_ISREG
from typing import NamedTuple

from daemonlogger_py.savefile.catalog_rows import Entry, Gap
from daemonlogger_py.savefile.names import COMPRESSED

_NS = 1_000_000_000


class Hole(NamedTuple):
    """Savefiles in a row that are gone."""

    names: tuple[str, ...]
    packets: int | None  # None: not all of them are known
    from_ns: int
    to_ns: int

    def gap(self, run: int | None = None) -> Gap:
        """What is not known because of it, as the recorder's `run` writes it down."""
        which, them = f"{self.names[0]} is", "it"
        if len(self.names) > 1:
            which, them = f"{self.names[0]} to {self.names[-1]} are", "them"
        return Gap(
            from_ns=self.from_ns,
            to_ns=self.to_ns,
            packets=self.packets,
            run=run,
            detail=f"{which} gone, and no recorder said that it pruned {them}",
        )


class Holes:
    """Finds them in a catalog's entries, which are shown to it by age; no archived ones."""

    def __init__(self, dir_fd: int) -> None:
        """Of the directory that is open as `dir_fd`."""
        self._dir_fd = dir_fd
        self._found: list[list[Entry]] = []
        self._older = self._joined = False

    def there(self) -> None:
        """The next savefile is there."""
        self._older, self._joined = True, False

    def gone(self, entry: Entry) -> None:
        """The next savefile is not there under its own name."""
        if is_compressed(self._dir_fd, entry.name):
            self.there()
        elif self._older and (entry.first_ns is not None or not entry.walked):
            if not self._joined:
                self._found.append([])
            self._found[-1].append(entry)
            self._joined = True

    def found(self) -> list[Hole]:
        """All of them, by age."""
        return list(map(_hole, self._found))


def is_there(dir_fd: int, name: str) -> bool:
    """Whether a savefile is, under its own name or as somebody compressed it."""
    return is_file(dir_fd, name) or is_compressed(dir_fd, name)


def is_compressed(dir_fd: int, name: str) -> bool:
    """Whether a savefile is there as somebody compressed it."""
    return compressed_name(dir_fd, name) is not None


def compressed_name(dir_fd: int, name: str) -> str | None:
    """What a savefile is called that somebody compressed, if that is there."""
    return next((name + end for end in COMPRESSED if is_file(dir_fd, name + end)), None)


def is_file(dir_fd: int, name: str) -> bool:
    """Whether a regular file has this name, which may be anything; True: nobody can say."""
    try:
        return S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except (FileNotFoundError, ValueError):
        return False
    except OSError:
        return True


def _hole(entries: Sequence[Entry]) -> Hole:
    spans = [_span(entry) for entry in entries]
    return Hole(
        tuple(entry.name for entry in entries),
        sum(entry.packets for entry in entries) if all(one.walked for one in entries) else None,
        min(from_ns for from_ns, _ in spans),
        max(to_ns for _, to_ns in spans),
    )


def _span(entry: Entry) -> tuple[int, int]:
    """When its packets were recorded, as far as that can be said."""
    if entry.walked:
        return entry.first_ns or 0, entry.last_ns or 0
    named_ns = entry.epoch * _NS
    return min(named_ns, entry.modified_ns), max(named_ns, entry.modified_ns)
