"""Into the background, while the command that was typed waits for what becomes of it.

python-daemon detaches: two forks, a session of its own, no core dumps, nothing left open of what
the caller had open. Around it, the caller's process stays until the daemon says that it is ready,
and exits with 0 then; if the daemon ends before, it exits with the daemon's status. So whatever is
refused is refused in front of the caller: until then standard error is still his.

When to detach is the caller's: before threads (fork(2) copies one of them), before other children
(they would be the waiting process's), before a chroot or a sandbox (/dev/null is opened), and best
before anything is opened at all. Privileges may have been dropped.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import BinaryIO, NoReturn

from daemonlogger_py.errors import UsageError

# What ends a command at a terminal; the daemon is not in the terminal's reach any more.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)

_READY = b"ready\n"
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Detached:
    """What is left of the caller in the daemon: its standard streams, and its waiting."""

    def __init__(self, told_fd: int, null_fd: int, *, keep_stdin: bool) -> None:
        self._told_fd = told_fd
        self._null_fd = null_fd
        self._streams = (1, 2) if keep_stdin else (0, 1, 2)

    def ready(self) -> None:
        """Let go of the caller: its command ends with status 0. May be called twice.

        The standard streams are /dev/null afterwards, the working directory is the root.
        """
        if self._told_fd < 0:
            return
        _flush()
        os.chdir("/")
        for fd in self._streams:
            os.dup2(self._null_fd, fd)
        os.close(self._null_fd)
        with suppress(BrokenPipeError):  # nobody waits any more
            os.write(self._told_fd, _READY)
        os.close(self._told_fd)
        self._told_fd = -1


def detach(*, keep_stdin: bool = False) -> Detached:
    """Return in a daemon process; the calling one waits for its verdict and exits with it.

    Descriptors of this program's stay open, those it was started with are closed; handlers, umask,
    user and, until `Detached.ready`, standard streams and working directory stay what they are.
    `keep_stdin`: packets come from there. INT, TERM and QUIT to the waiting process go on to the
    daemon. Raises UsageError when there is no further process to be had.
    """
    _open_streams()
    null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # by name there is none in a chroot
    verdict_fd, told_fd = os.pipe2(os.O_CLOEXEC)
    _adopt_orphans()
    # Until the daemon's PID is known there is nobody to forward a signal to.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        child = os.fork()
        if child:
            os.close(told_fd)
            _wait(verdict_fd, mask)
        os.close(verdict_fd)
        try:
            _become_daemon()
        finally:  # also of a child that could not: its status is the verdict
            with suppress(BrokenPipeError):
                os.write(told_fd, b"%d\n" % os.getpid())
    except OSError as error:
        raise UsageError(f"-d/--daemon: {error.strerror or error}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Detached(told_fd, null_fd, keep_stdin=keep_stdin)


def _become_daemon() -> None:
    from daemon import DaemonContext

    umask = os.umask(0o077)
    os.umask(umask)
    # As another user we may not be allowed into the directory that the caller is in.
    directory = "." if os.access(".", os.X_OK) else "/"
    DaemonContext(
        detach_process=True,
        working_directory=directory,
        umask=umask,
        signal_map={},
        files_preserve=list(_own_descriptors()),
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
    ).open()


def _own_descriptors() -> Iterator[int]:
    """Those that this program opened: what came through exec(2) is never close-on-exec."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            if fcntl.fcntl(int(name), fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                yield int(name)


def _open_streams() -> None:
    # Started with one of them closed, Python has None for it, which python-daemon does not expect.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _adopt_orphans() -> None:
    """Make the daemon this process's child when its parents are gone, so that it can be waited for.

    Where the kernel refuses, a daemon that fails is known by its silence, and its status is 1.
    """
    import ctypes

    numbers = map(ctypes.c_ulong, (1, 0, 0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, *numbers)


def _wait(verdict_fd: int, mask: set[int | signal.Signals]) -> NoReturn:
    status = 1
    try:
        with open(verdict_fd, "rb") as verdict:
            status = _verdict(verdict, mask)
    finally:
        # Nothing of this process is to be undone: what it had belongs to the daemon.
        os._exit(status)


def _verdict(verdict: BinaryIO, mask: set[int | signal.Signals]) -> int:
    announced = verdict.readline()
    if not announced:
        return _complain("ended while it was detaching")
    pid = int(announced)

    def forward(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return 0 if verdict.readline() == _READY else _status_of(pid)


def _status_of(pid: int) -> int:
    """Exit status of the daemon, as a shell has it."""
    # The first child is ours; its end makes the second ours, whose end makes the daemon ours.
    ended = 0
    while ended != pid:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            return 1
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    _complain(f"ended by {signal.Signals(-code).name} before it was ready")
    return 128 - code


def _complain(what: str) -> int:
    with suppress(OSError):
        os.write(2, f"daemonlogger: the daemon {what}\n".encode())
    return 1
