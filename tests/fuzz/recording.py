"""Records a savefile as a recorder does: from a file or a pipe, fill by fill, into one buffer.

Each fill is held to the contract of `protocol.Source`. Whether what came is what the savefile
holds is target.py's question.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import FilterError, SourceError

from .model import (
    FILE_HEADER_BYTES,
    NATIVE_ORDER,
    RECORD_HEADER_BYTES,
    Record,
    max_caplen,
    read_records,
)
from .trial import NEVER_NS, Trial

PAGE_BYTES = 4096
PIPE_BYTES = 1 << 20  # as much as anyone may ask for: a page each for 256 writes
HEADER_CHUNKS = 24
CHUNKS = PIPE_BYTES // PAGE_BYTES - HEADER_CHUNKS
LONGEST_IN_PIPE_BYTES = CHUNKS * PAGE_BYTES
LAST = frozenset({Stop.END, Stop.DAMAGED, Stop.FAILED})


class Recording(NamedTuple):
    """All that a source gave, its buffers put together."""

    file_header: bytes
    nanosecond: bool
    linktype: int
    records: bytes
    packets: int
    reason: Stop
    failure: str | None

    @property
    def savefile(self) -> bytes:
        """The file that a recorder would have written."""
        return self.file_header + self.records


@contextmanager
def input_file(content: bytes) -> Iterator[int]:
    """Give a regular file in memory."""
    fd = os.memfd_create("savefile")
    try:
        os.truncate(fd, len(content))
        os.pwrite(fd, content, 0)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def full_pipe(content: bytes, chunk_bytes: int) -> Iterator[int]:
    """Give a pipe whose reads end at the chunks, as when a slow writer is at the other end.

    O_DIRECT keeps the writes apart, and what is too long for a read is lost: the source reads at
    least a page at a time, but for the file header, which therefore ends a chunk.
    """
    reading, writing = os.pipe2(os.O_DIRECT)
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        header, rest = content[:FILE_HEADER_BYTES], content[FILE_HEADER_BYTES:]
        for part in (header, rest):
            length = max(min(chunk_bytes, PAGE_BYTES), -(-len(part) // CHUNKS))
            for at in range(0, len(part), length):
                os.write(writing, part[at : at + length])
        os.close(writing)
        writing = -1
        yield reading
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def record_late(trial: Trial) -> Recording | None:
    """Record from a pipe into which the next bytes come when the source has nothing more."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    ends = [reading, writing]
    chunk_bytes = max(trial.chunk_bytes, len(trial.savefile) // 64)
    at = FILE_HEADER_BYTES
    os.write(writing, trial.savefile[:at])

    def feed() -> None:
        nonlocal at
        if at < len(trial.savefile):
            at += os.write(writing, trial.savefile[at : at + chunk_bytes])
        elif writing in ends:
            ends.remove(writing)
            os.close(writing)

    try:
        os.set_blocking(reading, True)
        return record(trial, reading, feed)
    finally:
        for fd in ends:
            os.close(fd)


def record(trial: Trial, fd: int, feed: Callable[[], None] | None = None) -> Recording | None:
    """Fill buffers from `fd` until nothing comes any more; None: refused.

    `feed` puts more into a pipe; with it, a fill does not wait.
    """
    wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        source = FileSource(
            fd,
            name="input",
            wake_fd=wake_fd,
            filter_text=trial.filter,
            snaplen=trial.snaplen,
            nanosecond=trial.nanosecond,
        )
    except (SourceError, FilterError, MemoryError):
        os.close(wake_fd)
        return None
    try:
        return Session(trial, source, wake_fd, feed).run()
    except MemoryError:
        return None
    finally:
        source.close()
        source.close()
        os.close(wake_fd)


class Session:
    """One source, emptied by fills as a recorder does it; each fill is held to its contract."""

    def __init__(
        self, trial: Trial, source: FileSource, wake_fd: int, feed: Callable[[], None] | None
    ) -> None:
        self.trial = trial
        self.source = source
        self.wake_fd = wake_fd
        self.feed = feed
        self.lead = source.file_header if trial.lead else b""
        self.buffer = self.new_buffer()
        self.until_ns = 1 if trial.time_step_ns else NEVER_NS
        self.fills = 0
        self.packets = 0
        self.parts: list[bytes] = []

    def run(self) -> Recording:
        """Fill until the end and tell all that came."""
        # Each fill but those that the trial's own events end brings a record, or is the last.
        most = 2 * len(self.trial.savefile) // RECORD_HEADER_BYTES + 200
        reason = Stop.FULL
        while reason not in LAST:
            self.fills += 1
            assert self.fills < most, "fills without progress"
            self.before_fill()
            reason = self.fill()
            self.after_fill(reason)
        self.empty()
        source = self.source
        assert source.counters() == (self.packets, 0, 0)
        assert (source.failure is None) is (reason is Stop.END)
        return Recording(
            source.file_header,
            source.nanosecond,
            source.linktype,
            b"".join(self.parts),
            self.packets,
            reason,
            source.failure,
        )

    def before_fill(self) -> None:
        """What may happen to a recorder at any time."""
        if self.fills == self.trial.wake_at:
            os.eventfd_write(self.wake_fd, 1)
        if self.fills == self.trial.finish_at:
            self.source.finish()
        if self.fills == self.trial.refilter_at:
            try:
                self.source.refilter(self.trial.second_filter)
            except FilterError:
                assert self.trial.second_filter

    def fill(self) -> Stop:
        """Fill once and hold the result against the budgets."""
        trial, buffer = self.trial, self.buffer
        used, packets = len(buffer), buffer.packets
        reason = Stop(
            self.source.fill(
                buffer,
                trial.bytes_left,
                trial.packets_left,
                self.until_ns,
                NEVER_NS,
                0 if self.feed else NEVER_NS,
            )
        )
        added = bytes(buffer)[used:]
        records = whole_records(added, self.source.linktype)
        assert len(records) == buffer.packets - packets
        assert len(records) <= trial.packets_left
        assert (len(records) == trial.packets_left) or reason is not Stop.PACKETS
        if records:
            before_last = len(added) - RECORD_HEADER_BYTES - records[-1].caplen
            assert before_last < trial.bytes_left
        assert (reason is Stop.SIZE) <= (len(added) >= trial.bytes_left)
        self.check_times(records, reason)
        self.packets += len(records)
        return reason

    def check_times(self, records: list[Record], reason: Stop) -> None:
        """The buffer tells its first and last time; none is beyond the time budget."""
        source, buffer = self.source, self.buffer
        assert (reason is Stop.TIME) is (source.next_ns is not None)
        assert source.next_ns is None or source.next_ns >= self.until_ns
        assert (buffer.waiting_since_ns > 0) is (buffer.packets > 0)
        if not records:
            return
        # A scaled stamp with more than a second of microseconds has lost its upper bits.
        stamps = [record.stamp_ns(nanosecond=source.nanosecond) for record in records]
        if max(record.fraction for record in records) < 1_000_000_000:
            assert max(stamps) < self.until_ns

    def after_fill(self, reason: Stop) -> None:
        """Do what a recorder does for this reason."""
        assert reason is not Stop.DEADLINE or self.feed
        assert reason is not Stop.WAKE or self.trial.wake_at
        assert reason is not Stop.FAILED, self.source.failure
        if reason is Stop.DEADLINE and self.feed:
            self.feed()
        if reason is Stop.WAKE:
            os.eventfd_read(self.wake_fd)
        if reason is Stop.TIME:
            assert self.source.next_ns is not None
            self.until_ns = self.source.next_ns + self.trial.time_step_ns
        if reason is Stop.FULL:
            assert self.buffer.packets
        if reason is Stop.FULL or self.trial.clear_always:
            self.empty()

    def empty(self) -> None:
        """Take what the buffer holds."""
        self.parts.append(bytes(self.buffer).removeprefix(self.lead))
        # A header may claim what it likes: memory is for bytes that were really there.
        given = max(self.trial.capacity, len(self.trial.savefile))
        assert self.buffer.capacity <= 2 * given + 131_072, "a buffer grew without reason"
        if self.trial.many_buffers:
            self.buffer = self.new_buffer()
        else:
            self.buffer.clear(self.lead)

    def new_buffer(self) -> Buffer:
        """Return a buffer that has not grown yet."""
        buffer = Buffer(self.trial.capacity)
        buffer.clear(self.lead)
        return buffer


def whole_records(data: bytes, linktype: int) -> list[Record]:
    """Parse what a source put into a buffer: nothing but whole records of possible length."""
    records, end = read_records(bytes(FILE_HEADER_BYTES) + data, NATIVE_ORDER, max_caplen(linktype))
    assert end == FILE_HEADER_BYTES + len(data), f"no whole record at {end - FILE_HEADER_BYTES}"
    return records
