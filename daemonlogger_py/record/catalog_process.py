"""The processes of the catalog: what they keep of the recorder they are forked from, and what not.

They come from a recorder that has given its privileges up and is confined, and stay as that is;
they let go of everything else that was the recorder's. The first one guards the second
(`catalog_guard`), which does what `cataloger` says.
"""

import os
import resource
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from daemonlogger_py.record.catalog_guard import Guard
from daemonlogger_py.record.journal import Journal
from daemonlogger_py.service import linux

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened

# Its own end is that of the recorder, however that comes.
_NOT_FOR_US = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGIO,
)
_UMASK = 0o027  # as savefiles
_NICE = 19
# A recorder has some tens.
MOST_FDS = 65_536


def main(link: socket.socket, ready: "Opened", recorder_pid: int) -> bool:
    """Be the catalog's first process, forked from the recorder's.

    Returns when there is no more to do, and whether all was done.
    """
    _become(link, ready)

    def work(journal: Journal, again: bool) -> None:  # noqa: FBT001
        _keep_catalog(link, ready, journal, recorder_pid, again=again)

    return Guard(link, work).run()


def _keep_catalog(
    link: socket.socket, ready: "Opened", journal: Journal, recorder_pid: int, *, again: bool
) -> None:
    # Not before: what is imported here is no matter of the process that waits.
    from daemonlogger_py.record.cataloger import Cataloger

    cataloger = Cataloger(link, ready, journal, recorder_pid, again=again)
    cataloger.open()  # what is pinned may be waited for: not yet at the lowest priority
    with suppress(OSError):
        os.nice(_NICE)
    with suppress(OSError):
        linux.leave_disk_to_others()
    cataloger.run()


def _become(link: socket.socket, ready: "Opened") -> None:
    assert ready.log_dir is not None  # noqa: S101
    for number in _NOT_FOR_US:
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _let_go(link.fileno(), ready)
    link.settimeout(0)
    os.umask(os.umask(_UMASK) | _UMASK)
    os.fchdir(ready.log_dir.fd)


def _let_go(link_fd: int, ready: "Opened") -> None:
    """Close what is the recorder's: its sockets, streams, locks, and what it has mapped.

    They would outlive it here. Its files are closed before libpcap lets go of its memory, so that
    it cannot ask the kernel for anything that concerns the recorder.
    """
    assert ready.log_dir is not None  # noqa: S101
    try:
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # a chroot; what only opens names can neither be read nor written
        null_fd = ready.log_dir.fd
    for fd in range(3):
        os.dup2(null_fd, fd)
    for fd in _open_fds():
        if fd > 2 and fd not in (link_fd, ready.log_dir.fd):
            with suppress(OSError):  # that by which they were listed
                os.close(fd)
    ready.source.close()
    if ready.taps is not None:
        ready.taps.close()


def _open_fds() -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # a chroot without /proc; the limit itself may be a billion
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return range(min(limit, MOST_FDS))
