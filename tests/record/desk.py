"""A log directory and a writer that is given its orders by the test itself."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.keeper import Keeper
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.record.retention import Limits
from daemonlogger_py.record.writer import Writer
from daemonlogger_py.savefile.names import Naming

from ..pcaps import make
from .bench import WAIT_S
from .fakes import MANY, FakeSource, Told

BLOCK_BYTES = 4096
HEADER = make.file_header()
NAMING = Naming("t")


class Disk:
    """Stands in for the volume of a directory: beyond `room_bytes` more it refuses with `error`.

    Keeps what was in savefiles that are deleted, so that a test can account for every packet.
    """

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, room_bytes: int, error: int
    ) -> None:
        self.refused = 0
        self.pruned: list[bytes] = []
        self._folder = folder
        self._error = error
        self._write = os.pwrite
        self._unlink = os.unlink
        self.has_room_for(room_bytes)
        patch.setattr(os, "pwrite", self.pwrite)
        patch.setattr(os, "fstatvfs", self.fstatvfs)
        patch.setattr(os, "unlink", self.unlink)

    def has_room_for(self, room_bytes: int) -> None:
        self._capacity_bytes = self._used_bytes() + room_bytes

    def _used_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._folder.iterdir())

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        end = os.fstat(fd).st_size + self._capacity_bytes - self._used_bytes()
        length = min(len(data), max(0, end - offset))
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            length = length // BLOCK_BYTES * BLOCK_BYTES
        if length == 0:
            self.refused += 1
            raise OSError(self._error, os.strerror(self._error))
        return self._write(fd, data[:length], offset)

    def fstatvfs(self, _fd: int) -> SimpleNamespace:
        free_bytes = self._capacity_bytes - self._used_bytes()
        return SimpleNamespace(f_bavail=max(0, free_bytes), f_frsize=1)

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        self.pruned.append((self._folder / path).read_bytes())
        self._unlink(path, dir_fd=dir_fd)


class Work:
    """Orders for a writer, as the loop would give them."""

    def __init__(self, desk: "Desk", keeper: Keeper | None, may_grow_bytes: int) -> None:
        self.wakes = 0
        self.dropped = 0  # by the kernel, as far as the loop knows
        self.sealed: list[Sealed] = []
        self.write_s: list[float] = []
        self.pool = BufferPool(1 << 16, 1 << 30)
        self.writer = Writer(
            desk.dir_fd,
            str(desk.folder),
            NAMING,
            HEADER,
            self.pool,
            keeper,
            desk.told,
            self._wake,
            may_grow_bytes=may_grow_bytes,
            on_sealed=self.sealed.append,
            on_written=self.write_s.append,
        )
        self._offset = 0
        self._desk = desk

    def _wake(self) -> None:
        self.wakes += 1

    def roll(self, epoch: int) -> None:
        self.writer.roll(epoch, "size", self.dropped)
        self._offset = len(HEADER)

    def write(self, packets: Sequence[make.Packet]) -> None:
        buffer = self.pool.take()
        assert buffer is not None
        with FakeSource(packets, []) as source:
            assert source.fill(buffer, MANY, MANY, NEVER_NS, MANY, NEVER_NS) == Stop.END
        length = len(buffer)
        self.writer.write(buffer, self._offset, length)
        self._offset += length

    def settle(self) -> None:
        """Wait until everything ordered so far is done, or refused after a failure."""
        done = threading.Event()
        self._desk.told.upon["settle"] = done.set
        self.writer.say("settle", "")
        end = time.monotonic() + WAIT_S
        while not done.is_set() and not (self.writer.failure and self._all_back()):
            assert time.monotonic() < end
            time.sleep(0.0002)
        self._desk.told.all = [told for told in self._desk.told.all if told[0] != "settle"]

    def _all_back(self) -> bool:
        return len(self.pool._spare) == self.pool.allocated

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the writer busy meanwhile."""
        gate = threading.Event()
        self._desk.told.upon["hold"] = gate.wait
        self.writer.say("hold", "")
        yield
        gate.set()


class Desk:
    """A log directory."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "logs"
        self.folder.mkdir()
        self.told = Told()
        self.dir_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self._patch = patch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.dir_fd)

    def keeper(self, limits: Limits, *, this_run_only: bool = False) -> Keeper:
        return Keeper(
            self.dir_fd,
            str(self.folder),
            NAMING,
            limits,
            self.told,
            this_run_only=this_run_only,
            archive=None,
        )

    def disk(self, room_bytes: int, error: int) -> Disk:
        return Disk(self.folder, self._patch, room_bytes, error)

    @contextmanager
    def writing(
        self, *, keeper: Keeper | None = None, may_grow_bytes: int = 1 << 31
    ) -> Iterator[Work]:
        """A writer at work; in the end it has done everything and its thread is gone."""
        work = Work(self, keeper, may_grow_bytes)
        work.writer.start()
        try:
            yield work
        finally:
            work.writer.close("exit", work.dropped)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def contents(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in self.names()}

    def is_locked(self, name: str) -> bool:
        with (self.folder / name).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
