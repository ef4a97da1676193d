"""A directory that is read as a whole: what is in it, by whose it is, at one time."""

import os
from collections.abc import Iterator

from daemonlogger_py.readers.inputs.directory import changed_ns_of
from daemonlogger_py.readers.inputs.names import captures_in, catalogued, read_name, ring_of
from daemonlogger_py.savefile.holes import compressed_name
from daemonlogger_py.savefile.names import SavefileName

Key = tuple[int, int]
"""Device and inode of a directory."""


class Place:
    """A directory that is asked for as a whole.

    A listing serves each group of its savefiles once: so none is in two of them, or in neither,
    that gets another name in between.
    """

    def __init__(self, path: str, dir_fd: int) -> None:
        self.path = path
        self.dir_fd = dir_fd
        self.prefixes: set[str] = set()
        """Of the savefiles, and of compressed ones with a catalog."""
        self.of_others: str | None = None
        """The prefix of what has no other names than compressed savefiles of it."""
        self.alike: list[str] = []
        """Compressed files that were left out for what they begin with."""
        self._groups: dict[str | None, list[SavefileName]] = {}
        self._taken: set[str | None] = set()
        self._names: set[str] = set()  # of those under None
        self._gone: list[str] = []
        self._changed_ns: int | None = None
        self.look()

    def look(self) -> None:
        """List it again. Raises OSError."""
        self._changed_ns = changed_ns_of(self.dir_fd)
        captures = captures_in(self.path or os.curdir, self.dir_fd)
        self._groups = captures.by_prefix()
        self.prefixes = {prefix for prefix in self._groups if prefix is not None}
        self.prefixes |= catalogued(captures.names, self.dir_fd)
        self.of_others = ring_of(captures.names)
        self.alike = captures.alike
        self._names = {name for _, _, name in self._groups.get(None, ())}
        self._gone = []
        self._taken = set()

    @property
    def has_others(self) -> bool:
        """Whether there is something that is not named PREFIX.EPOCH[.SERIAL]."""
        return bool(self._names) or bool(self._gone)

    def holds(self, prefix: str | None, name: str) -> bool:
        """Whether a file is in that group."""
        return any(name == one.name for one in self._groups.get(prefix, ()))

    def take(self, prefix: str | None) -> list[SavefileName]:
        """The group of that prefix, oldest first. Raises OSError."""
        changed_ns = changed_ns_of(self.dir_fd)
        is_as_listed = changed_ns is not None and changed_ns == self._changed_ns
        if prefix in self._taken or not (self._taken or is_as_listed):
            self.look()
        self._taken.add(prefix)
        found = self._groups.pop(prefix, [])
        if prefix is None:
            found += self._compressed_meanwhile()
            found.sort()
        return found

    def gone(self, name: str) -> None:
        """Note that a savefile which was listed is not there any more."""
        if compressed_name(self.dir_fd, name) is not None:
            self._gone.append(name)

    def _compressed_meanwhile(self) -> Iterator[SavefileName]:
        """What those are called now that were listed as they were before."""
        for original in self._gone:
            name = compressed_name(self.dir_fd, original)
            if name is not None and name not in self._names:
                yield read_name(original)._replace(name=name)
        self._gone = []


def key_of(dir_fd: int) -> Key:
    """Which directory it is, by whatever path it was opened."""
    status = os.fstat(dir_fd)
    return status.st_dev, status.st_ino
