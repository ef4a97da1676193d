"""Whether anybody has a savefile open for writing, asked of the kernel."""

import errno
import fcntl


def has_writer(fd: int) -> bool | None:
    """Tell whether the file, open read-only as `fd`, is open for writing anywhere.

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
