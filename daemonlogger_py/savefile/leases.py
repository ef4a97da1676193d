"""Whether a savefile is being read or written, said and asked by flock(2).

A recorder holds an exclusive lock on the savefile it writes; a reader holds a shared one, its
lease, on those it reads. Nothing is written for that, any user who may read a file may hold it, and
the kernel ends a lease with the descriptor: a killed reader holds nothing.
"""

import errno
import fcntl
import os
import time

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a savefile is opened to be read: no link is followed, and no pipe waited for."""

# Whoever asks by `is_held` has the exclusive lock for some microseconds.
_ASKED_S = 0.001


def hold(fd: int) -> bool:
    """Hold the savefile open as `fd` until the descriptor, and every copy of it, is closed.

    False, and nothing is held, while its recorder writes it, which keeps it from being pruned as
    well; also where the file system has no locks. Takes a millisecond then.
    """
    if _hold(fd):
        return True
    time.sleep(_ASKED_S)
    return _hold(fd)


def _hold(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def release(fd: int) -> None:
    """End the lease of `fd`; without one nothing happens."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def is_held(fd: int) -> bool:
    """Whether somebody reads the savefile open as `fd`, a descriptor that holds no lease itself.

    False for one that is being written. Raises OSError where the file system has no locks.
    """
    if _lock(fd, fcntl.LOCK_EX):
        return False
    return _lock(fd, fcntl.LOCK_SH)


def is_written(fd: int) -> bool:
    """Whether a recorder writes the savefile open as `fd`, a descriptor that holds no lease itself.

    Raises OSError where the file system has no locks.
    """
    return not _lock(fd, fcntl.LOCK_SH)


def _lock(fd: int, kind: int) -> bool:
    """Try a lock, for a moment only."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def has_writer(fd: int) -> bool | None:
    """Tell whether the file, open read-only as `fd`, is open for writing anywhere, lock or not.

    A read lease (fcntl(2), F_SETLEASE) is refused exactly then. None: this file system has no
    leases, or the file belongs to somebody else. SIGIO has to be ignored: it tells a lease's
    holder of the next writer.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False
