"""What repairs leave behind: the unfinished file of one that was killed, and an index of before.

Neither holds a record that is nowhere else, and both are made again. Who repairs holds the file it
makes by a shared lock (flock(2)), which the kernel ends with it.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.savefile.asides import is_unfinished, unfinished_name
from daemonlogger_py.savefile.leases import hold
from daemonlogger_py.savefile.names import Naming

_INDEX_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def begun(dir_fd: int, name: str) -> int | None:
    """Make the file that will have this name, and hold it; None: somebody else does.

    Raises OSError.
    """
    new = unfinished_name(name)
    if not _removed(dir_fd, new):
        return None
    try:
        fd = os.open(new, _FLAGS, 0o600, dir_fd=dir_fd)
    except FileExistsError:
        return None
    # Between the two it may have been taken for what a killed one left.
    if hold(fd) and _is_named(dir_fd, new, os.fstat(fd)):
        return fd
    os.close(fd)
    return None


def sweep(directory: Directory) -> Iterator[str]:
    """Remove what killed repairs left in a ring, and give the names. Raises OSError."""
    if directory.prefix is None:
        return
    naming = Naming(directory.prefix)
    for new in sorted(os.listdir(directory.dir_fd)):
        if not is_unfinished(new, naming):
            continue
        mode = os.stat(new, dir_fd=directory.dir_fd, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) and _removed(directory.dir_fd, new):
            yield new


def remove_sidecar(member: Member, index_dir: str | None) -> str | None:
    """Remove the index of what a savefile was; say so, or why not; None: it has none."""
    path = index_dir or member.directory.index_dir
    if path is None:
        return None
    from daemonlogger_py.readers.index.sidecar import sidecar_name

    # A ring's own index belongs to another user, who is not to say what else is removed.
    followed = 0 if index_dir else os.O_NOFOLLOW
    try:
        fd = os.open(path, _INDEX_DIRECTORY | followed)
    except OSError:
        return None
    try:
        os.unlink(sidecar_name(member.name), dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"its index is of what it was, and cannot be removed: {error.strerror}"
    finally:
        os.close(fd)
    return "its index is removed"


def _removed(dir_fd: int, new: str) -> bool:
    """Remove what is there unless somebody holds it; whether nothing is there. Raises OSError."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(new, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Under the lock: whoever made another one of this name meanwhile holds that.
        if _is_named(dir_fd, new, os.fstat(fd)):
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=dir_fd)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _is_named(dir_fd: int, name: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.stat(name, dir_fd=dir_fd, follow_symlinks=False))
    except FileNotFoundError:
        return False
