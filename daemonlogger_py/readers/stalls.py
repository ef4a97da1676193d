"""Output that whoever reads it may hold up: a pipe, a socket, a terminal, a FIFO nobody opens.

A write there lasts until the reader takes something, and Python goes on with one that a signal
interrupted. So the reader is waited for beside the wish to stop; once that is there, only while it
goes on taking something, and not for long.
"""

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from select import PIPE_BUF, POLLIN, POLLOUT, poll
from typing import TYPE_CHECKING

from daemonlogger_py.errors import OutputError
from daemonlogger_py.readers.inputs.stopping import Stopping, StopSignals

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer

# Once stopping is requested: how long a reader may take nothing, and how long it may take in all.
PATIENCE_S = 5.0
LONGEST_S = 30.0
_LOOK_S = 0.1
_DONT_WAIT = 0x40  # MSG_DONTWAIT of Linux: the module is loaded for sockets alone


class StalledError(OutputError):
    """Stopping was requested while a reader held up the output; the exit status is the signal's."""

    def __init__(self, stopping: Stopping, what: str) -> None:
        signal = stopping.signal if isinstance(stopping, StopSignals) else None
        super().__init__(f"stopped{'' if signal is None else f' by {signal.name}'}: {what}")
        if signal is not None:
            self.exit_status = 128 + signal


class Taker:
    """Whoever takes what is written to `fd`, which is called `name` in messages.

    `fd` stays the caller's. Who does not use `write` writes to `self.fd` instead, not
    more than `most_bytes` at once, and calls `wait` when that would block, and before each write if
    `blocks`.
    """

    def __init__(self, fd: int, name: str, stopping: Stopping) -> None:
        self.fd = fd
        self.blocks = False
        """A write may block, but not one of `most_bytes` after `wait`."""
        self.most_bytes = sys.maxsize
        self._name = name
        self._stopping = stopping
        self._own_fd = -1
        self._socket: socket.socket | None = None
        self._until_s: float | None = None
        if _may_stall(fd) and os.get_blocking(fd):
            # O_NONBLOCK belongs to all who have the same open file: this is one of our own.
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            try:
                self.fd = self._own_fd = os.open(f"/proc/self/fd/{fd}", flags)
            except OSError:  # a socket, another user's pipe, no /proc
                self.blocks = True
                self.most_bytes = PIPE_BUF
                self._socket = _socket_of(fd)

    def write(self, data: "Buffer") -> None:
        """Write all of `data`. Raises OSError and StalledError."""
        done = 0
        with memoryview(data) as view:
            while done < len(view):
                try:
                    if self._socket is not None:
                        with view[done:] as rest:
                            done += self._socket.send(rest, _DONT_WAIT)
                        continue
                    if self.blocks:
                        self.wait()
                    with view[done : done + self.most_bytes] as rest:
                        done += os.write(self.fd, rest)
                except BlockingIOError:
                    self.wait()

    def wait(self) -> None:
        """Come back when something can be written, or a write would fail. Raises StalledError."""
        waiting = poll()
        waiting.register(self.fd, POLLOUT)
        if not self._stopping.requested:
            waiting.register(self._stopping.stop_fd, POLLIN)
            if self.fd in [fd for fd, _ in waiting.poll()]:
                return
            waiting.unregister(self._stopping.stop_fd)
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s = now_s + LONGEST_S
        left_s = min(PATIENCE_S, self._until_s - now_s)
        if left_s > 0 and waiting.poll(left_s * 1000):
            return
        self._spare_standard_error()
        what = f"{self._name} was held up by its reader, and may end in the middle of a packet"
        raise StalledError(self._stopping, what)

    def close(self) -> None:
        """Close what was opened here; may be called twice."""
        if self._own_fd >= 0:
            os.close(self._own_fd)
            self._own_fd = -1
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _spare_standard_error(self) -> None:
        # What there is to say would wait for the same reader, as with 2>&1.
        with suppress(OSError):
            if os.path.samestat(os.fstat(2), os.fstat(self.fd)):
                nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                os.dup2(nowhere, 2)
                os.close(nowhere)


def open_output(
    path: str,
    flags: int,
    stopping: Stopping,
    *,
    mode: int = 0o666,
    dir_fd: int | None = None,
    name: str | None = None,
) -> int:
    """Open as `os.open` does; a FIFO, which blocks then no more, once somebody reads it.

    `name` is what messages call it. Raises OSError, and StalledError when stopping is requested
    before that.
    """
    while True:
        if not _is_fifo(path, flags, dir_fd):
            return os.open(path, flags, mode, dir_fd=dir_fd)
        try:
            return os.open(path, flags | os.O_NONBLOCK, mode, dir_fd=dir_fd)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        if stopping.requested:
            raise StalledError(stopping, f"nobody reads {name or path}")
        waiting = poll()
        waiting.register(stopping.stop_fd, POLLIN)
        waiting.poll(_LOOK_S * 1000)


def _is_fifo(path: str, flags: int, dir_fd: int | None) -> bool:
    try:
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=not flags & os.O_NOFOLLOW)
    except OSError:
        return False
    return stat.S_ISFIFO(found.st_mode)


def _may_stall(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))


def _socket_of(fd: int) -> "socket.socket | None":
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    import socket

    return socket.socket(fileno=os.dup(fd))
