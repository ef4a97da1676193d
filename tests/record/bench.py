"""A log directory with a real writer and pool, to run a recorder in with whatever source."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record import recorder
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.keeper import Keeper
from daemonlogger_py.record.recorder import Recorder
from daemonlogger_py.record.retention import Limits
from daemonlogger_py.record.signals import Signals
from daemonlogger_py.record.totals import Totals
from daemonlogger_py.record.writer import Writer
from daemonlogger_py.savefile.names import Naming

from ..pcaps import make
from ..pcaps.parse import parse
from .fakes import Clock, FakeSource, Step, Told

# What a test waits at most for another thread; only a failing test waits that long.
WAIT_S = 20.0


def at(
    seconds: Iterable[float], *, size: int = 40, start_ns: int = make.START_NS
) -> list[make.Packet]:
    """Packets of `size` bytes at these times after `start_ns`, none like another."""
    return [
        make.Packet(start_ns + round(second * 10**6) * 1000, bytes([number % 251]) * size)
        for number, second in enumerate(seconds)
    ]


def mixture() -> list[make.Packet]:
    """The mixture of the captures as a microsecond savefile has it."""
    return [p._replace(time_ns=p.time_ns // 1000 * 1000) for p in make.mixture()]


def packets_in(data: bytes) -> list[make.Packet]:
    """The packets of a savefile that is whole."""
    capture = parse(data)
    assert capture.whole
    return [
        make.Packet(time_ns, r.data, None if r.origlen == len(r.data) else r.origlen)
        for time_ns, r in zip(capture.times_ns(), capture.records, strict=True)
    ]


class Bench:
    """One log directory; the recorder's clock stands at `make.START_NS` until it is moved."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told = Told()
        self.writes = 0
        self.gate = threading.Event()
        self.pool: BufferPool | None = None
        self.steps: list[Step] = []
        self.patch = pytest.MonkeyPatch()
        self._directory = tempfile.TemporaryDirectory(prefix="savefiles")
        self.folder = Path(self._directory.name)

    def __enter__(self) -> Self:
        self.patch.setattr(recorder, "time", self.clock)
        return self

    def __exit__(self, *_: object) -> None:
        self.patch.undo()
        self._directory.cleanup()

    def record(
        self,
        source: FakeSource,
        *,
        memory_bytes: int = 1 << 30,
        around: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Totals:
        """Run a recorder to its end with this configuration, and with what is `around` it."""
        settings = RecorderConfig(log_dir=str(self.folder), prefix="t", **config)
        dir_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        pool = self.pool = BufferPool(source.record_bytes, memory_bytes)
        try:
            with source, closing(Signals()) as signals, signals:
                keeper = self._keeper(dir_fd) if settings.ring else None
                writer = Writer(
                    dir_fd,
                    str(self.folder),
                    Naming("t"),
                    source.file_header,
                    pool,
                    keeper,
                    self.told,
                    signals.wake,
                    may_grow_bytes=settings.roll_size,
                    direct=settings.direct,
                )
                # A buffer that is due waits for a writer that is not done.
                source.before_deadline = lambda: self.wait_until(lambda: not writer.busy)
                recorder = Recorder(
                    settings, source, pool, writer, signals, self.told, **(around or {})
                )
                return recorder.run()
        finally:
            os.close(dir_fd)

    def _keeper(self, dir_fd: int) -> Keeper:
        """A ring without limits but the volume's size."""
        return Keeper(
            dir_fd,
            str(self.folder),
            Naming("t"),
            Limits(),
            self.told,
            this_run_only=False,
            archive=None,
        )

    # What is on disk

    def path(self, name: str) -> Path:
        return self.folder / name

    def savefiles(self) -> dict[str, list[make.Packet]]:
        """The packets in each savefile, in the order in which they were begun."""
        names = [os.path.basename(str(facts["path"])) for facts in self.told.facts("savefile")]
        assert sorted(names) == self.names()
        return {name: packets_in(self.path(name).read_bytes()) for name in names}

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def size_bytes(self) -> int:
        return sum(self.path(name).stat().st_size for name in self.names())

    def wait_for_files(self, count: int) -> list[str]:
        """Wait until the writer has begun this many savefiles; their names."""
        self.wait_until(lambda: len(self.names()) >= count)
        return self.names()

    def wait_for_packets(self, count: int) -> int:
        """Wait until this many whole packets are on disk; how many are."""
        self.wait_until(lambda: self._packets() >= count)
        return self._packets()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"not within {WAIT_S:g} s; on disk: {self.names()}"
            time.sleep(0.0005)

    def _packets(self) -> int:
        contents = [self.path(name).read_bytes() for name in self.names()]
        return sum(len(parse(data).records) for data in contents if len(data) >= 24)

    # What happens meanwhile

    def send(self, *numbers: int) -> Callable[[], None]:
        """For a step: these signals come, one after the other."""

        def act() -> None:
            for number in numbers:
                signal.raise_signal(number)

        return act

    def count_writes(self) -> None:
        """Count in `writes` how often something is written to a savefile."""
        write = os.pwrite

        def counted(fd: int, data: bytes, offset: int) -> int:
            self.writes += 1
            return write(fd, data, offset)

        self.patch.setattr(os, "pwrite", counted)

    def stall_disk(self) -> None:
        """Let no write to a savefile go through before `gate` is set."""
        write = os.pwrite

        def stalled(fd: int, data: bytes, offset: int) -> int:
            assert self.gate.wait(WAIT_S)
            return write(fd, data, offset)

        self.patch.setattr(os, "pwrite", stalled)
