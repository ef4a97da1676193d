"""Moves pruned savefiles into the archive directory (``-a``), on a thread of its own.

On one file system a savefile is renamed onto a name reserved with O_EXCL. Across file systems it
is copied to ``.NAME.part``, flushed, published by rename, and only then removed where it was. A
name the archive already has is never overwritten: the next free serial is taken. What a repair has
kept beside a savefile follows it under the new name; if that fails, it stays, to be pruned and
archived as a savefile of its own.

Whatever goes wrong, the source is still there, nothing half-done stays behind, and the callback
says so. Which savefiles go, and what a failure means for the ring, is ``record/prune.py``'s.
"""

import errno
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from stat import S_IMODE, S_ISREG

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.asides import is_kept
from daemonlogger_py.savefile.leases import READ_FLAGS
from daemonlogger_py.savefile.names import Naming

# A copy looks for close()'s verdict this often: some 10 ms of a slow disk.
_CHUNK_BYTES = 4 << 20
# After close()'s time is up, for a copy to notice and remove its part.
_ABORT_S = 1.0
_MODE = 0o640
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one savefile: its name in the archive, or why it is where it was."""

    savefile: Savefile
    archived_as: str | None
    error: OSError | None


class _AbortedError(OSError):
    def __init__(self) -> None:
        super().__init__(errno.ECANCELED, "stopped before it was archived")


class Archiver:
    """A bounded queue and a worker that moves savefiles from dir_fd into target.

    The target is opened at once (StorageError if that fails), the thread is started with the
    first savefile: after the recorder has detached and dropped privileges. finished is called on
    the worker's thread, once for each savefile that was submitted and not withdrawn.
    """

    def __init__(
        self,
        dir_fd: int,
        target: str,
        naming: Naming,
        finished: Callable[[Outcome], None],
        *,
        capacity: int = 16,
    ) -> None:
        try:
            self.target_fd = os.open(target, _DIRECTORY)
            """The archive directory, open."""
        except OSError as error:
            raise StorageError(f"archive directory {target}: {error.strerror}") from error
        self.same_volume = os.fstat(dir_fd).st_dev == os.fstat(self.target_fd).st_dev
        """Whether moving frees nothing, as both directories are on one file system."""
        self._dir_fd = dir_fd
        self._naming = naming
        self._finished = finished
        self._capacity = capacity
        self._queue: deque[Savefile] = deque()
        self._moving: Savefile | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._abort = False
        self._thread: threading.Thread | None = None
        self._last = (-1, 0)  # epoch and serial archived last: where to look for a free one

    @property
    def pending_bytes(self) -> int:
        """What the log directory's volume gets back once everything submitted was moved."""
        if self.same_volume:
            return 0
        with self._changed:
            moving = 0 if self._moving is None else self._moving.allocated_bytes
            return moving + sum(savefile.allocated_bytes for savefile in self._queue)

    def submit(self, savefile: Savefile) -> bool:
        """Queue a savefile; False if the queue is full or closed, and nothing happened."""
        with self._changed:
            if self._closing or len(self._queue) >= self._capacity:
                return False
            self._queue.append(savefile)
            if self._thread is None:
                # A daemon thread: a disk that never answers must not keep the process from ending.
                self._thread = threading.Thread(target=self._work, name="archiver", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def withdraw(self) -> list[Savefile]:
        """Take back what is queued, oldest first, without the one being moved right now."""
        with self._changed:
            savefiles = list(self._queue)
            self._queue.clear()
            return savefiles

    def close(self, timeout_s: float) -> bool:
        """Wait until the queue is empty, at most timeout_s; return whether it is.

        What is left stays in the log directory, for the next run to adopt; a copy that was under
        way is stopped and its part removed. May be called twice.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        thread, drained = self._thread, True
        if thread is not None:
            thread.join(timeout_s)
            if thread.is_alive():
                drained = False
                self.withdraw()
                self._abort = True
                thread.join(_ABORT_S)
            if thread.is_alive():  # stuck in the kernel: it still uses the descriptors
                return False
            self._thread = None
        if self.target_fd >= 0:
            os.close(self.target_fd)
            self.target_fd = -1
        return drained

    def _work(self) -> None:
        while True:
            with self._changed:
                self._moving = None
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
                savefile = self._moving = self._queue.popleft()
            try:
                outcome = Outcome(savefile, self._move(savefile), None)
            except OSError as error:
                outcome = Outcome(savefile, None, error)
            except Exception as error:  # whatever it is, the next savefile must be moved as well
                failure = OSError(errno.EIO, f"{type(error).__name__}: {error}")
                outcome = Outcome(savefile, None, failure)
            self._finished(outcome)

    def _move(self, savefile: Savefile) -> str:
        if self._naming.parse(savefile.name) is None and not is_kept(savefile.name):
            os.unlink(savefile.name, dir_fd=self._dir_fd)  # half of one, which a repair left
            return savefile.name
        name = self._moved(savefile.name, self._free_names(savefile))
        archived = self._naming.parse(name)
        self._last = (savefile.epoch, archived.serial if archived else savefile.serial)
        for aside in savefile.asides:
            with suppress(OSError):
                if is_kept(aside):
                    self._moved(aside, _numbered(name + aside.removeprefix(savefile.name)))
                else:
                    os.unlink(aside, dir_fd=self._dir_fd)
        return name

    def _moved(self, source: str, names: Iterator[str]) -> str:
        """Move one file to the first of `names` that is free, and return that."""
        status = os.stat(source, dir_fd=self._dir_fd, follow_symlinks=False)
        if not S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no longer a regular file")
        if not self.same_volume:
            return self._copy(source, names)
        name = self._reserve(names)
        try:
            os.rename(source, name, src_dir_fd=self._dir_fd, dst_dir_fd=self.target_fd)
        except OSError as error:
            self._remove(name)
            if error.errno != errno.EXDEV:
                raise
            return self._copy(source, chain([name], names))  # one file system mounted twice
        return name

    def _copy(self, source: str, names: Iterator[str]) -> str:
        source_fd = os.open(source, READ_FLAGS, dir_fd=self._dir_fd)
        try:
            size_bytes = self._check(source_fd)
            part = f".{source}.part"
            part_fd = self._create_part(part)
            try:
                self._fill(part_fd, source_fd, size_bytes)
                return self._publish(part, source, names)
            except OSError:
                self._remove(part)
                raise
            finally:
                os.close(part_fd)  # not before the part has its name: the lock on it ends here
        finally:
            os.close(source_fd)

    def _check(self, source_fd: int) -> int:
        """Return the bytes to copy; OSError if that is no file or the archive has no room."""
        status = os.fstat(source_fd)
        if not S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no longer a regular file")
        room = os.fstatvfs(self.target_fd)
        if room.f_bavail * room.f_frsize < status.st_size:  # rather than fill it to the brim first
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return status.st_size

    def _fill(self, part_fd: int, source_fd: int, size_bytes: int) -> None:
        os.ftruncate(part_fd, 0)
        self._send(source_fd, part_fd, size_bytes)
        status = os.fstat(source_fd)
        with suppress(PermissionError):  # a file system without modes or owners
            os.fchmod(part_fd, S_IMODE(status.st_mode) & _MODE)
            os.utime(part_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(part_fd)
        # Neither copy is read again soon; the packets being recorded need the memory more.
        os.posix_fadvise(part_fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _publish(self, part: str, source: str, names: Iterator[str]) -> str:
        name = self._reserve(names)
        try:
            os.rename(part, name, src_dir_fd=self.target_fd, dst_dir_fd=self.target_fd)
            os.fsync(self.target_fd)
            with suppress(FileNotFoundError):  # removed meanwhile: ours is the only copy now
                os.unlink(source, dir_fd=self._dir_fd)
        except OSError:
            # Kept, the copy would be made again under another name at every attempt.
            self._remove(name)
            raise
        return name

    def _create_part(self, part: str) -> int:
        """Open the part file, locked and ours to empty.

        One that is there already was left by a recorder that died, unless its lock is held:
        recorders of several machines may share an archive.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        part_fd = os.open(part, flags, 0o600, dir_fd=self.target_fd)
        try:
            fcntl.flock(part_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(part_fd)
            named = os.stat(part, dir_fd=self.target_fd, follow_symlinks=False)
            # Published between our open and our lock, it is a whole savefile: not to be emptied.
            if not S_ISREG(status.st_mode) or not os.path.samestat(status, named):
                raise OSError(errno.EBUSY, f"{part} belongs to another recorder")
        except OSError:
            os.close(part_fd)
            raise
        return part_fd

    def _send(self, source_fd: int, part_fd: int, size_bytes: int) -> None:
        offset = 0
        while offset < size_bytes:
            if self._abort:
                raise _AbortedError
            sent = os.sendfile(part_fd, source_fd, offset, min(_CHUNK_BYTES, size_bytes - offset))
            if sent == 0:
                raise OSError(errno.EIO, f"ended at byte {offset} of {size_bytes}")
            os.posix_fadvise(source_fd, offset, sent, os.POSIX_FADV_DONTNEED)
            offset += sent

    def _reserve(self, names: Iterator[str]) -> str:
        """Create the empty file that another is renamed onto, under the first free name."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        for name in names:
            with suppress(FileExistsError):
                os.close(os.open(name, flags, 0o600, dir_fd=self.target_fd))
                return name
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _free_names(self, savefile: Savefile) -> Iterator[str]:
        """What a savefile may be called in the archive, best first."""
        if self._naming.parse(savefile.name) is None:  # the original of one that is gone
            yield from _numbered(savefile.name)
        yield savefile.name
        # From where the last one of this second was put, so that thousands of a second
        # archived twice do not each try all names before it.
        epoch, serial = savefile.epoch, savefile.serial
        serial = max(serial, self._last[1] if self._last[0] == epoch else 0)
        for number in count(serial + 1):
            yield self._naming.format(epoch, number)

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self.target_fd)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        yield f"{name}.{number}"
