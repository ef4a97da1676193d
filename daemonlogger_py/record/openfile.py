"""The savefile being written: bytes to a descriptor, whole blocks past the page cache if asked.

When to begin one, what to do when the volume is full, and every message are the writer's.
"""

import errno
import fcntl
import os
from typing import NamedTuple

from daemonlogger_py.savefile.names import COMPRESSED, SavefileName
from daemonlogger_py.savefile.records import Walk, walk

# Direct output wants offsets, lengths and memory in multiples of the block size of any disk.
BLOCK_BYTES = 4096
# st_blocks counts these (stat(2)).
_STAT_BLOCK_BYTES = 512
REMOVED, TRUNCATED = "removed", "truncated"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640


class Sealed(NamedTuple):
    """A savefile that is complete."""

    name: str
    why: str  # it ended: size, time, packets, hangup, full, truncated, exit
    packets: int
    size_bytes: int
    first_ns: int  # times of its packets, ns since 1970; 0 without packets
    last_ns: int
    dropped: int  # packets that the kernel dropped while it was written
    lost: int = 0  # packets that the recorder could not write into it


class OpenSavefile:
    """A new savefile `name` in the directory open as `dir_fd`, `path` being its name in messages.

    It is locked while it is open, so that nobody takes it for one that a dead recorder left. A
    reader that opened it before it was locked delays that: each write tries again.
    Raises FileExistsError if the name is taken by anything, also by a savefile of that name that
    somebody compressed, OSError if it cannot be made.
    """

    def __init__(self, dir_fd: int, name: SavefileName, path: str) -> None:
        self.name = name
        self.path = path
        self.packets = 0
        """Records written whole, as far as the writer has counted them."""
        self.size_bytes = 0
        self.first_ns = 0
        self.last_ns = 0
        self.spoilt: str | None = None
        """What somebody did to it while it was written, as far as that was looked for."""
        self._direct = False
        self._dir_fd = dir_fd
        self._fd = _created(dir_fd, name.name)
        self._locked = False
        self.lock()

    @property
    def locked(self) -> bool:
        """Whether the lock is held, or never will be."""
        return self._locked

    def lock(self) -> None:
        """Take the lock, unless a reader was faster: its lease has to end first. Never waits."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            pass  # a file system without locks has no recovery to be told
        self._locked = True

    @property
    def direct(self) -> bool:
        """Whether whole blocks go past the page cache."""
        return self._direct

    def bypass_cache(self) -> None:
        """Write whole blocks directly from now on. Raises OSError where that is refused."""
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_DIRECT)
        self._direct = True

    def use_cache(self) -> None:
        """Write through the page cache from now on."""
        if self._direct:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, 0)
            self._direct = False

    def spans(self, first_ns: int, last_ns: int) -> None:
        """Note the times of packets written, ns since 1970."""
        self.first_ns = self.first_ns or first_ns
        self.last_ns = last_ns or self.last_ns

    def look(self, header: bytes) -> str | None:
        """Look whether it is still what was written, `header` and all; returns what is `spoilt`.

        What is written to one that was REMOVED nobody finds; one that was TRUNCATED, as by what
        copies and empties logs, begins with zeros. Raises OSError.
        """
        if self.spoilt is None:
            status = os.fstat(self._fd)
            if status.st_nlink == 0 and not self._has_its_name(status):
                self.spoilt = REMOVED
            elif len(header) <= self.size_bytes and self._may_be_sparse(status):
                direct = self._direct
                self.use_cache()
                if os.pread(self._fd, len(header), 0) != header:
                    self.spoilt = TRUNCATED
                if direct:
                    self.bypass_cache()
        return self.spoilt

    def _may_be_sparse(self, status: os.stat_result) -> bool:
        """Also true where a file system compresses; without a read, which may take its time."""
        there_bytes = min(status.st_size, status.st_blocks * _STAT_BLOCK_BYTES)
        return there_bytes < self.size_bytes

    def _has_its_name(self, status: os.stat_result) -> bool:
        """Some file systems count no links."""
        try:
            there = os.stat(self.name.name, dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, status)

    def put(self, data: memoryview, offset: int) -> int:
        """Write some of `data` at `offset`; returns how many bytes. Raises OSError."""
        if not self._locked:
            self.lock()
        whole = len(data) // BLOCK_BYTES * BLOCK_BYTES
        if not self._direct:
            done = os.pwrite(self._fd, data, offset)
        elif whole and offset % BLOCK_BYTES == 0:
            with data[:whole] as blocks:
                done = os.pwrite(self._fd, blocks, offset)
        else:
            # What is no whole block; the next direct write covers its block again.
            self.use_cache()
            try:
                done = os.pwrite(self._fd, data, offset)
            finally:
                self.bypass_cache()
        self.size_bytes = max(self.size_bytes, offset + done)
        return done

    def cut(self, up_to: int | None = None) -> tuple[Walk, bytes]:
        """End the file at its last whole record; returns what is left and what was behind it.

        The bytes returned are those cut off before offset `up_to`, for whoever does not have them
        any more. Raises OSError.
        """
        self.use_cache()
        found = walk(self._fd)
        behind = b""
        if up_to is not None and up_to > found.end_offset:
            behind = os.pread(self._fd, up_to - found.end_offset, found.end_offset)
        os.ftruncate(self._fd, found.end_offset)
        self.packets = found.packets
        self.size_bytes = found.end_offset
        return found, behind

    def close(self) -> os.stat_result:
        """Close it; returns its last status. Raises OSError where closing reports a failed write.

        Network file systems and quotas do; a local disk writes later.
        """
        status = os.fstat(self._fd)
        os.close(self._fd)
        return status


def _created(dir_fd: int, name: str) -> int:
    _refuse_taken(dir_fd, name)
    fd = os.open(name, _CREATE, _MODE, dir_fd=dir_fd)
    try:
        # What compresses removes the original last: that may have been since we looked.
        _refuse_taken(dir_fd, name)
    except FileExistsError:
        os.close(fd)
        os.unlink(name, dir_fd=dir_fd)
        raise
    return fd


def _refuse_taken(dir_fd: int, name: str) -> None:
    """Raise FileExistsError where a savefile of this name was, and somebody compressed it."""
    for end in COMPRESSED:
        try:
            os.stat(name + end, dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            continue  # nothing is there, or nothing can be called that
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
