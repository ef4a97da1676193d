"""The directory that sidecars are kept in: one process's at a time, without those of the dead.

Knows names, and what need not be looked at again; looks into no savefile and no sidecar. Which
savefiles get a sidecar is `indexing`'s to say.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.archive import Directory
from daemonlogger_py.readers.index.build import TEMPORARY, share_as
from daemonlogger_py.readers.index.sidecar import SUFFIX, sidecar_name
from daemonlogger_py.savefile.names import Naming

DIRECTORY_MODE = 0o750
_SETTLED_NS = 2_000_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Job(NamedTuple):
    """A savefile that may need a sidecar."""

    of: "Index"
    name: str
    size_bytes: int

    @property
    def shown(self) -> str:
        """What messages call it."""
        name = self.name if self.name.isprintable() else repr(self.name)
        return os.path.join(self.of.directory.shown, name)


class Index:
    """The sidecars of one directory's savefiles; only one process at a time has it open.

    `follows`: names are remembered, so that new ones are found. Raises StorageError when sidecars
    cannot be kept there.
    """

    def __init__(
        self,
        directory: Directory,
        path: str,
        beside: "Index | None" = None,
        *,
        follows: bool = False,
    ) -> None:
        self.directory = directory
        self.fd = -1
        self.shown = path if path.isprintable() else repr(path)
        self._follows = follows
        self._naming = None if directory.prefix is None else Naming(directory.prefix)
        self._known: set[str] = set()  # that need not be looked at again
        self._new: set[str] = set()  # of those that were listed last, the others
        self._changed_ns = -1  # when their directory had changed then
        if beside is not None:
            self.fd = os.dup(beside.fd)  # locked already
            return
        try:
            self.fd = _opened_or_made(path, directory)
        except OSError as error:
            raise StorageError(f"index {self.shown}: {error.strerror}") from None
        try:
            self._lock()
            self._remove_unfinished()
        except StorageError:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Let others have it."""
        os.close(self.fd)

    def is_known(self, name: str) -> bool:
        """Whether this savefile was settled before, where that is remembered."""
        return name in self._known

    def settle(self, name: str) -> None:
        """A savefile need not be looked at again."""
        if self._follows:
            self._known.add(name)
            self._new.discard(name)

    def look(self) -> bool:
        """List the savefiles, if any may have come or gone since; raises OSError."""
        changed_ns = os.fstat(self.directory.dir_fd).st_mtime_ns
        if changed_ns == self._changed_ns:
            return False
        # What happens within a tick of the file system's clock leaves no new time.
        settled = changed_ns < time.time_ns() - _SETTLED_NS
        known: set[str] = set()
        new: set[str] = set()
        for name in self._savefiles():
            (known if name in self._known else new).add(name)
        self._known, self._new = known, new
        self._changed_ns = changed_ns if settled else -1
        return True

    def unknown(self) -> list[Job]:
        """Savefiles that are not settled yet, the one that is being written among them.

        Empty ones wait: its recorder may have made it, and not locked it yet.
        """
        dir_fd = self.directory.dir_fd
        jobs = (Job(self, name, size_bytes_of(dir_fd, name)) for name in sorted(self._new))
        return [job for job in jobs if job.size_bytes]

    def remove(self, name: str) -> bool:
        """Remove the sidecar of a savefile; False: it has none. Raises OSError."""
        try:
            os.unlink(sidecar_name(name), dir_fd=self.fd)
        except FileNotFoundError:
            return False
        return True

    def remove_orphans(self) -> Iterator[str]:
        """Remove sidecars of savefiles that are gone; gives those savefiles' names.

        One by one, as a ring may have very many. Raises OSError.
        """
        if self._naming is None:
            return
        with os.scandir(self.fd) as entries:
            for entry in entries:
                name = entry.name.removesuffix(SUFFIX)
                if name == entry.name or name in self._known or name in self._new:
                    continue
                if self._naming.parse(name) and not self._is_there(name) and self.remove(name):
                    yield name

    def _savefiles(self) -> Iterator[str]:
        if self._naming is None:
            return
        parse = self._naming.parse
        with os.scandir(self.directory.dir_fd) as entries:
            for entry in entries:
                if parse(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.name

    def _is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.directory.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _lock(self) -> None:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"index {self.shown}: another dlctl index keeps it") from None
        except OSError as error:
            raise StorageError(f"index {self.shown}: {error.strerror}") from None

    def _remove_unfinished(self) -> None:
        try:
            with os.scandir(self.fd) as entries:
                left = [entry.name for entry in entries if TEMPORARY.fullmatch(entry.name)]
            for name in left:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self.fd)
        except OSError as error:
            raise StorageError(f"index {self.shown}: {error.strerror}") from None


def size_bytes_of(dir_fd: int, name: str) -> int:
    """Size of a savefile by now; 0 if it is gone: its turn will tell."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_size
    except OSError:
        return 0


def _opened_or_made(path: str, directory: Directory) -> int:
    """Open the directory of an index; one that is new is its savefiles' owner's."""
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        return os.open(path, _DIRECTORY)
    fd = os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    share_as(fd, os.fstat(directory.dir_fd), DIRECTORY_MODE)
    return fd
