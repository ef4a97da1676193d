"""Stand-ins for what a recorder has around it: a scripted source, a clock, a log of messages."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Counters, Stop

from ..pcaps import make

MANY = 1 << 62


def nothing() -> None:
    """Do nothing."""


@dataclass
class Step:
    """Let `packets` come, do something, and end the fill for a reason; None: go on filling."""

    packets: int = 0
    stop: Stop | None = None
    then: Callable[[], object] = nothing


class Asked(NamedTuple):
    """What one fill was asked for."""

    bytes_left: int
    packets_left: int
    until_ns: int
    hold_ns: int
    deadline_ns: int


class FakeSource:
    """Hands out `packets` step by step; budgets hold in every step, exactly as they have to.

    After the last step the rest comes at once, then Stop.END. After `finish` only `late` packets
    still come. The records themselves are made by a real source, as nothing else can fill buffers.
    """

    def __init__(
        self,
        packets: Iterable[make.Packet],
        script: Sequence[Step],
        *,
        live: bool = False,
        late: int = 0,
        failure: str = "the fake is damaged at byte offset 7: scripted",
    ) -> None:
        self.live = live
        self.failure: str | None = None
        self.asked: list[Asked] = []
        self.filters: list[str] = []
        self.dropped = 0
        self.if_dropped = 0
        self.finished = 0
        self.closed = False
        self.before_deadline: Callable[[], object] = nothing
        self._why = failure
        self._script = list(script)
        self._late = late
        self._fd = os.memfd_create("packets", os.MFD_CLOEXEC)
        with open(self._fd, "wb", closefd=False) as file:
            file.write(make.classic(packets))
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._wake_fds = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._inner = FileSource(self._fd, name="the fake", wake_fd=self._wake_fds[0])
        self.linktype = self._inner.linktype
        self.snaplen = self._inner.snaplen
        self.nanosecond = self._inner.nanosecond
        self.file_header = self._inner.file_header

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def next_ns(self) -> int | None:
        """As the contract says."""
        return self._inner.next_ns

    @property
    def record_bytes(self) -> int:
        """As the contract says."""
        return self._inner.record_bytes

    def fill(
        self,
        buffer: Buffer,
        bytes_left: int,
        packets_left: int,
        until_ns: int,
        hold_ns: int,
        deadline_ns: int,
    ) -> int:
        """Play the script on, as far as the budgets let it."""
        asked = Asked(bytes_left, packets_left, until_ns, hold_ns, deadline_ns)
        self.asked.append(asked)
        if self.finished:
            return self._finish_filling(buffer, asked)
        while self._script:
            step = self._script[0]
            size_before = len(buffer)
            reason, taken = self._take(buffer, asked, step.packets)
            step.packets -= taken
            used = len(buffer) - size_before
            asked = asked._replace(
                bytes_left=asked.bytes_left - used, packets_left=asked.packets_left - taken
            )
            if reason is not None:
                return reason
            self._script.pop(0)
            step.then()
            if step.stop is not None:
                if step.stop in (Stop.DAMAGED, Stop.FAILED):
                    self.failure = self._why
                if step.stop is Stop.DEADLINE:
                    self.before_deadline()
                return step.stop
        reason, _ = self._take(buffer, asked, MANY)
        return Stop.END if reason is None else reason

    def counters(self) -> Counters:
        """What was handed out, and what the test says was dropped."""
        return Counters(self._inner.counters().received, self.dropped, self.if_dropped)

    def refilter(self, text: str) -> None:
        """Filter the rest, and note by what. Raises FilterError."""
        self._inner.refilter(text)
        self.filters.append(text)

    def finish(self) -> None:
        """Count how often this was asked for."""
        self.finished += 1

    def close(self) -> None:
        """Free everything; may be called twice."""
        self._inner.close()
        if not self.closed:
            for fd in (self._fd, *self._wake_fds):
                os.close(fd)
        self.closed = True

    def _take(self, buffer: Buffer, asked: Asked, wanted: int) -> tuple[Stop | None, int]:
        """Up to `wanted` packets, and the budget that ended it, if one did."""
        if wanted == 0:
            return None, 0
        before = buffer.packets
        most = min(asked.packets_left, wanted)
        until_ns = asked.until_ns
        reason = Stop(self._inner.fill(buffer, asked.bytes_left, most, until_ns, MANY, NEVER_NS))
        taken = buffer.packets - before
        if reason is Stop.PACKETS and taken < asked.packets_left:
            return None, taken
        return reason, taken

    def _finish_filling(self, buffer: Buffer, asked: Asked) -> Stop:
        reason, taken = self._take(buffer, asked, self._late)
        self._late -= taken
        return Stop.END if reason is None else reason


class Clock:
    """The `time` of a module under test: it stands still unless it is moved.

    The monotonic clock stands where the real one, which native code reads, was at the beginning.
    """

    def __init__(self, wall_ns: int = make.START_NS) -> None:
        self.wall_ns = wall_ns
        self._monotonic_ns = time.monotonic_ns()

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.wall_ns += int(seconds * 10**9)
        self._monotonic_ns += int(seconds * 10**9)

    def set_wall(self, wall_ns: int) -> None:
        """Set the wall clock alone, as an administrator does."""
        self.wall_ns = wall_ns

    def time(self) -> float:
        """Wall clock in seconds."""
        return self.wall_ns / 10**9

    def time_ns(self) -> int:
        """Wall clock in nanoseconds."""
        return self.wall_ns

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC at the beginning, and what was added."""
        return self._monotonic_ns


class Told:
    """What was told, in order; any thread may tell."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, dict[str, object]]] = []
        self.upon: dict[str, Callable[[], object]] = {}
        """What is done when an event is told."""

    def __call__(self, event: str, text: str, /, **facts: object) -> None:
        """Note a message."""
        self.all.append((event, text, facts))
        self.upon.get(event, nothing)()

    def events(self) -> list[str]:
        """Every event."""
        return [event for event, _, _ in self.all]

    def texts(self, *events: str) -> list[str]:
        """The lines of these events; of all without any."""
        return [text for event, text, _ in self.all if not events or event in events]

    def facts(self, event: str) -> list[dict[str, object]]:
        """What was said beside the lines of an event."""
        return [facts for name, _, facts in self.all if name == event]
