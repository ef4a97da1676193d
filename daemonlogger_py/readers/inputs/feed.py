"""The thread and the pipe between what has to be made and what reads captures.

A `FileSource` reads a descriptor and can wait for it. What is decompressed, what still grows and
what may never end is therefore put into a pipe by a thread; the pipe's end is the capture's end.
Stopping ends the pipe, and with it any wait for more of it.
"""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from select import POLLIN, poll

# What an ordinary user may ask for (pipe-max-size): fewer changes between two threads.
PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 18


class StoppedError(Exception):
    """Reading was asked to stop, or nobody reads what is made; it stays within this package."""


class Reading:
    """What is read from the descriptor `fd`, which may be anything that can be read.

    Waits end, with StoppedError, when `stop_fd` becomes readable or, once it `feeds` a pipe, when
    that is read by nobody. `position` is the bytes taken so far.
    """

    def __init__(self, fd: int, stop_fd: int) -> None:
        self.fd = fd
        self.stop_fd = stop_fd
        self.position = 0
        self._status = os.fstat(fd)
        self._head = b""
        self._looking_fd = -1

    @property
    def regular(self) -> bool:
        """Whether it is a file that has an end, and not a pipe, a terminal or a socket."""
        return stat.S_ISREG(self._status.st_mode)

    @property
    def piped(self) -> bool:
        """Whether it is a pipe."""
        return stat.S_ISFIFO(self._status.st_mode)

    def feeds(self, write_fd: int) -> None:
        """Give up as well once nobody reads the pipe `write_fd`."""
        self._looking_fd = write_fd

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which `read` gives again; fewer only at the end of the input."""
        while len(self._head) < size and (more := self._read(size - len(self._head))):
            self._head += more
        return self._head

    def read(self, size: int = READ_BYTES) -> bytes:
        """Return some bytes, none at the end of the input. Raises OSError and StoppedError."""
        data, self._head = self._head or self._read(size), b""
        self.position += len(data)
        return data

    def _read(self, size: int) -> bytes:
        while True:
            self.wait()
            with suppress(BlockingIOError):
                return os.read(self.fd, size)

    def wait(self) -> None:
        """Come back when there is something to read, or its end. Raises StoppedError."""
        self._poll(None if not self.regular else 0, and_input=not self.regular)

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises StoppedError."""
        self._poll(seconds, and_input=False)

    def _poll(self, seconds: float | None, *, and_input: bool) -> None:
        waiting = poll()
        waiting.register(self.stop_fd, POLLIN)
        if self._looking_fd >= 0:
            waiting.register(self._looking_fd, 0)  # an error is told unasked
        if and_input:
            waiting.register(self.fd, POLLIN)
        ready = waiting.poll(None if seconds is None else seconds * 1000)
        if any(fd != self.fd for fd, _ in ready):
            raise StoppedError


class Feed:
    """A pipe, `read_fd`, that `make` fills from a thread of its own; it ends where `make` does.

    `make` gets the descriptor to write to. What it raises is kept in `failure`, known to whoever
    read the end of the pipe; but not StoppedError, nor the news that nobody reads the pipe.
    """

    def __init__(self, make: Callable[[int], None]) -> None:
        self.failure: Exception | None = None
        self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # what the system allows is only slower
            fcntl.fcntl(self.read_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._make = make
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._make(self._write_fd)
        except (StoppedError, BrokenPipeError):
            pass
        except Exception as error:
            self.failure = error
        finally:
            os.close(self._write_fd)

    def close(self) -> None:
        """End the thread, which waits for nothing once its pipe has no reader."""
        if self.read_fd >= 0:
            os.close(self.read_fd)
            self.read_fd = -1
            self._thread.join()


def pour(chunks: Iterator[bytes], only: Reading | None = None) -> Callable[[int], None]:
    """What makes a feed of `chunks`; `only`: what they come of, if nothing else comes of it."""

    def make(write_fd: int) -> None:
        if only is not None:
            only.feeds(write_fd)
        for chunk in chunks:
            put(write_fd, chunk)

    return make


def put(write_fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(write_fd, view) :]


def relay(reading: Reading) -> Callable[[int], None]:
    """What makes a feed of all that is read, without copying it where both are pipes."""

    def make(write_fd: int) -> None:
        reading.feeds(write_fd)
        put(write_fd, reading.peek(0) and reading.read())
        if reading.piped:
            with suppress(_NotSplicedError):
                _splice(reading, write_fd)
                return
        while data := reading.read():
            put(write_fd, data)

    return make


class _NotSplicedError(Exception):
    """The system does not move data between these two."""


def _splice(reading: Reading, write_fd: int) -> None:
    while True:
        reading.wait()
        try:
            moved = os.splice(reading.fd, write_fd, PIPE_BYTES)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise _NotSplicedError from None
            raise
        if moved == 0:
            return
        reading.position += moved
