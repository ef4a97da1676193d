"""Opens captures as sources and takes what they give, for the tests of both."""

import fcntl
import os
import struct
import termios
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop

from ..pcaps.parse import Record, parse

MANY = 1 << 62
NAME = "x.pcap"
ROOMY_BYTES = 1 << 20


def file_of(data: bytes) -> int:
    """A regular file in memory, at its beginning; the caller closes it."""
    fd = os.memfd_create("capture", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@contextmanager
def wakeable() -> Iterator[tuple[int, int]]:
    """A pipe to wake a source with: its reading and its writing end."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield ends
    finally:
        for fd in ends:
            os.close(fd)


@contextmanager
def source_on(
    data: bytes, *, filter_text: str = "", snaplen: int = 0, nanosecond: bool = False
) -> Iterator[FileSource]:
    """A source over `data` as a regular file."""
    fd = file_of(data)
    try:
        with wakeable() as (wake_fd, _):
            source = FileSource(
                fd,
                name=NAME,
                wake_fd=wake_fd,
                filter_text=filter_text,
                snaplen=snaplen,
                nanosecond=nanosecond,
            )
            try:
                yield source
            finally:
                source.close()
    finally:
        os.close(fd)


def fill(
    source: FileSource,
    buffer: Buffer,
    *,
    bytes_left: int = MANY,
    packets_left: int = MANY,
    until_ns: int = NEVER_NS,
    hold_ns: int = MANY,
    deadline_ns: int = NEVER_NS,
) -> Stop:
    """Fill with no budget but those named."""
    return Stop(source.fill(buffer, bytes_left, packets_left, until_ns, hold_ns, deadline_ns))


def drain(source: FileSource, capacity: int = ROOMY_BYTES) -> tuple[bytes, Stop]:
    """Everything the source still has, and why that was all."""
    taken = []
    while True:
        buffer = Buffer(capacity)
        reason = fill(source, buffer)
        taken.append(bytes(buffer))
        if reason is not Stop.FULL:
            return b"".join(taken), reason


def records_of(source: FileSource, taken: bytes) -> list[Record]:
    """The records in `taken`, as the savefile made of them would be read."""
    capture = parse(source.file_header + taken)
    assert capture.whole
    assert capture.nanosecond is source.nanosecond
    return capture.records


def read_all(
    data: bytes, *, filter_text: str = "", snaplen: int = 0, nanosecond: bool = False
) -> list[Record]:
    """All records of a capture that is whole."""
    with source_on(data, filter_text=filter_text, snaplen=snaplen, nanosecond=nanosecond) as source:
        taken, reason = drain(source)
        assert reason is Stop.END
        return records_of(source, taken)


class Pipe:
    """A pipe whose writing end the test holds, and a source on the reading end."""

    def __init__(self, stack_fds: tuple[int, int], wake_fds: tuple[int, int]) -> None:
        self.read_fd, self.write_fd = stack_fds
        self.wake_fd, self.wake_write_fd = wake_fds

    def source(self, *, filter_text: str = "") -> FileSource:
        """Opens what was put; blocks until a whole file header was."""
        return FileSource(
            self.read_fd, name="standard input", wake_fd=self.wake_fd, filter_text=filter_text
        )

    def put(self, data: bytes) -> None:
        assert os.write(self.write_fd, data) == len(data)

    def end(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def wake(self) -> None:
        os.write(self.wake_write_fd, b"\0")

    def unread(self) -> int:
        """Bytes that were put and not read."""
        answer = fcntl.ioctl(self.read_fd, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", answer)[0])


@contextmanager
def piped() -> Iterator[Pipe]:
    """A pipe that is closed in the end."""
    with wakeable() as wake_fds:
        pipe = Pipe(os.pipe2(os.O_CLOEXEC), wake_fds)
        try:
            yield pipe
        finally:
            pipe.end()
            os.close(pipe.read_fd)


@contextmanager
def fed(pipe: Pipe, chunks: Iterable[bytes]) -> Iterator[None]:
    """Puts `chunks` into the pipe one by one, and ends it, from a thread of its own."""

    def feed() -> None:
        with suppress(BrokenPipeError):
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(pipe.write_fd, view) :]
        pipe.end()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        thread.join()
