"""The PID file: one daemon a file, decided by a lock that ends with its owner, however he dies.

The lock (flock(2)) is on the open file, so it goes along through fork(2) and outlives a change of
user; what is in the file is for people and init scripts.
"""

import fcntl
import os
import re
import stat
from contextlib import suppress

from daemonlogger_py.errors import UsageError

# A PID and a line end; whatever is longer is no PID file, and is left alone.
MOST_BYTES = 32
# Each further try needs another process that removed the file just then.
MOST_TRIES = 100

_PID = re.compile(rb"\s*(\d{1,10})\s*")


class PidFile:
    """The file at `path`, which has to be absolute: the working directory changes.

    `lock` comes first, then `write` by the process that goes on, `release` at the end. A process
    forked meanwhile has to close its copy of `fd`, or the lock lasts as long as that process.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        """The locked file, or -1."""

    def lock(self) -> None:
        """Take the file, making it if need be (mode 0644, less the umask).

        A file that nobody has locked is taken, whatever PID it still holds. Raises UsageError when
        another process has it, and when it is not a PID file or not one to be trusted: a link,
        somebody else's, something else's contents.
        """
        for _ in range(MOST_TRIES):
            fd = self._open()
            try:
                if self._locked(fd):
                    os.ftruncate(fd, 0)  # an older PID must not be taken for ours
                    self.fd = fd
                    return
            except OSError as error:
                raise self._unusable(error) from None
            finally:
                if self.fd != fd:
                    os.close(fd)
        raise self._unusable("it is removed again and again")

    def write(self, pid: int | None = None) -> None:
        """Write `pid`, or this process's. The open file needs no privileges. Raises UsageError."""
        data = b"%d\n" % (os.getpid() if pid is None else pid)
        try:
            os.pwrite(self.fd, data, 0)
            os.ftruncate(self.fd, len(data))
        except OSError as error:
            raise self._unusable(error) from None

    def release(self) -> None:
        """Remove the file, or empty it where that is not permitted; give the lock back.

        Never raises, and may be called twice.
        """
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        try:
            if self._is_at_path(fd):
                os.unlink(self.path)
        except OSError:  # privileges are gone, or the path leads nowhere inside a chroot
            pass
        with suppress(OSError):
            os.ftruncate(fd, 0)
        # Unlocked, not only closed: a child may have a copy of the descriptor.
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
        try:
            return os.open(self.path, flags, 0o644)
        except OSError as error:
            if os.path.islink(self.path):
                raise self._unusable("it is a symbolic link") from None
            raise self._unusable(error) from None

    def _locked(self, fd: int) -> bool:
        """Whether `fd` is ours now. False: it is not what the path names any more."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise self._unusable("it is not a regular file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken(_content(fd)) from None
        # Whoever had it may have removed it between our opening and our locking: then a third
        # process can make and lock another file of this name.
        if not self._is_at_path(fd):
            return False
        self._judge(os.fstat(fd))
        content = _content(fd)
        if content and not _PID.fullmatch(content):
            raise self._unusable("it holds something that is not a PID")
        return True

    def _judge(self, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            raise self._unusable("it is a file that has other names too (hard links)")
        # Whoever owns the file says what is in it, and root will signal what is in it. The owner
        # of the directory could replace the file at any time, so he is no further danger.
        directory = os.stat(os.path.dirname(self.path) or ".")
        if status.st_uid not in {0, os.geteuid(), directory.st_uid}:
            raise self._unusable(f"it belongs to somebody else (uid {status.st_uid})")

    def _is_at_path(self, fd: int) -> bool:
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def _taken(self, content: bytes) -> UsageError:
        found = _PID.fullmatch(content)
        by = f"with PID {int(found[1])}" if found else "(it has not written its PID yet)"
        return UsageError(f"-d/--daemon: already running {by} ({self.path})")

    def _unusable(self, why: str | OSError) -> UsageError:
        if isinstance(why, OSError):
            why = why.strerror or str(why)
        return UsageError(f"-p/--pidfile {self.path}: {why}")


def _content(fd: int) -> bytes:
    return os.pread(fd, MOST_BYTES + 1, 0)
