"""Savefiles, each with what its catalog says of it as far as that is believed."""

import os
import threading
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import OPEN, Entry
from daemonlogger_py.savefile.leases import is_written
from daemonlogger_py.savefile.listing import sizes_and_times
from daemonlogger_py.savefile.names import SavefileName, printable

UNKNOWN = "unknown"
# O_NONBLOCK: what has become a pipe is not waited for.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_WORTH_A_THREAD = 200


class Directory(NamedTuple):
    """The savefiles of one prefix in one directory, or its captures that have other names."""

    dir_fd: int
    shown: str  # as messages call it
    path: str
    prefix: str | None  # None: captures that are not named PREFIX.EPOCH[.SERIAL]
    catalog: Catalog | None
    index_dir: str | None  # where its sidecars are unless --index-dir says otherwise


class Member(NamedTuple):
    """One savefile."""

    directory: Directory
    name: str
    epoch: int  # 0 without a prefix, as is
    serial: int
    size_bytes: int
    modified_ns: int
    state: str  # "open", "sealed", "recovered"; "unknown": no entry, and nobody writes it
    # What the catalog says but its chain, if it is about the file as it is now.
    entry: Entry | None

    @property
    def shown(self) -> str:
        """What messages call it."""
        return os.path.join(self.directory.shown, printable(self.name))

    def open(self) -> int:
        """A descriptor to read it by. Raises OSError, FileNotFoundError once it is pruned."""
        return os.open(self.name, _FILE, dir_fd=self.directory.dir_fd)


class Files(threading.Thread):
    """What the kernel says of files, asked for while somebody else reads the catalog."""

    def __init__(
        self, directory: Directory, names: Iterable[SavefileName], *, followed: bool
    ) -> None:
        super().__init__(name="files", daemon=True)
        self._dir_fd = directory.dir_fd
        self._names = [name for _, _, name in names]
        self._followed = followed
        self._found: list[tuple[int, int] | None] = []
        self._error: OSError | None = None
        if len(self._names) >= _WORTH_A_THREAD:
            self.start()
        else:
            self.run()

    def run(self) -> None:
        """Ask, in a thread or for few files in the caller's."""
        try:
            self._found = sizes_and_times(self._dir_fd, self._names, followed=self._followed)
        except OSError as error:
            self._error = error

    def found(self) -> list[tuple[int, int] | None]:
        """Size and time of each, None of what is gone by now. Raises OSError."""
        if self.ident is not None:
            self.join()
        if self._error is not None:
            raise self._error
        return self._found


def joined(
    directory: Directory,
    names: Iterable[SavefileName],
    found: Iterable[tuple[int, int] | None],
    entries: Mapping[str, Entry],
    newest: Container[str],
) -> list[tuple[Member, Entry | None]]:
    """Savefiles with their entries; what of these is believed decides what a savefile is.

    Those that were pruned meanwhile are left out.
    """
    joined: list[tuple[Member, Entry | None]] = []
    for (epoch, serial, name), size_and_time in zip(names, found, strict=True):
        if size_and_time is None:
            continue
        entry = entries.get(name)
        known = entry if entry is not None and _is_about(entry, size_and_time) else None
        if known is not None:
            # What is equal is in memory once.
            name, state = known.name, known.state
            size_and_time = known.size_bytes, known.modified_ns
        elif name in newest or (entry is not None and entry.state == OPEN):
            state = _state(directory, name)
        else:
            state = UNKNOWN
        joined.append((Member(directory, name, epoch, serial, *size_and_time, state, known), entry))
    return joined


def _is_about(entry: Entry, size_and_time: tuple[int, int]) -> bool:
    """Whether the entry describes the file as it is now."""
    return (entry.size_bytes, entry.modified_ns) == size_and_time and entry.state != OPEN


def _state(directory: Directory, name: str) -> str:
    """Whether a recorder writes the savefile, by asking the kernel."""
    try:
        fd = os.open(name, _FILE, dir_fd=directory.dir_fd)
    except OSError:
        return UNKNOWN
    try:
        return OPEN if is_written(fd) else UNKNOWN
    except OSError:
        return UNKNOWN
    finally:
        os.close(fd)
