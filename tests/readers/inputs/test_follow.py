"""A ring that is written while it is read: nothing is missed, nothing comes twice."""

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.readers.inputs.capture import Complaint, Input
from daemonlogger_py.readers.inputs.files import File
from daemonlogger_py.readers.inputs.follow import LATE_NS, Following
from daemonlogger_py.readers.inputs.ring import Ring
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.inputs.succession import Next, Succession
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry
from daemonlogger_py.savefile.names import SavefileName

from ...pcaps.make import record
from .reading import EPOCH, NS, capture, numbers, packets

PATIENCE_S = 60.0


class Writer:
    """The recorder of a ring."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory
        self.written = 0

    def roll(self, second: int) -> None:
        self.path = self.directory / f"p.{EPOCH + second}"
        self.path.write_bytes(capture(0))

    def write(self, count: int = 1, *, cut: int = 0) -> bytes:
        """Append packets; returns what was cut off, to be appended later."""
        made = packets(count, first=self.written)
        self.written += count
        data = b"".join(map(record, made))
        self.append(data[: len(data) - cut])
        return data[len(data) - cut :]

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


class Reader:
    """What a consumer gets, by a thread of its own."""

    def __init__(self, items: Iterator[Input | Complaint], stopping: Stopping) -> None:
        self.numbers: list[int] = []
        self.names: list[str] = []
        self.complaints: list[Complaint] = []
        self.errors: list[BaseException] = []
        self._stopping = stopping
        self._items = items
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if isinstance(item, Complaint):
                    self.complaints.append(item)
                else:
                    self._read(item)
        except BaseException as error:
            self.errors.append(error)

    def _read(self, item: Input) -> None:
        self.names.append(os.path.basename(item.name))
        while True:
            buffer = Buffer(1 << 20)
            reason = item.fill(buffer, 10_000_000)
            self.numbers += numbers(item, bytes(buffer))
            if reason not in (Stop.FULL, Stop.DEADLINE):
                break
        if not self._stopping.requested and (complaint := item.ending(reason)):
            self.complaints.append(complaint)

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            assert not self.errors, self.errors
            assert time.monotonic() < deadline, (self.numbers, self.names, self.complaints)
            time.sleep(0.005)

    def has(self, count: int) -> None:
        self.until(lambda: len(self.numbers) >= count)
        assert self.numbers == list(range(count))


@pytest.fixture
def follow(tmp_path, stopping) -> Iterator[Callable[..., Reader]]:
    ring = Ring(str(tmp_path), "p")
    readers: list[Reader] = []

    def start(to_ns: int | None = None) -> Reader:
        following = Following(ring, stopping, "", to_ns)
        readers.append(Reader(following.captures(None), stopping))
        return readers[-1]

    before = threading.active_count()
    yield start
    stopping.request()
    for reader in readers:
        reader.thread.join(PATIENCE_S)
        assert not reader.thread.is_alive()
        assert reader.errors == []
    ring.close()
    assert threading.active_count() == before


def test_records_come_as_they_are_written_and_roll_over(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(3)
    reader = follow()
    reader.has(3)
    writer.write(2)
    reader.has(5)
    writer.roll(60)
    writer.write(1)
    reader.has(6)
    writer.roll(120)
    writer.write(1)
    reader.has(7)
    assert reader.names == [f"p.{EPOCH + second}" for second in (0, 60, 120)]
    assert reader.complaints == []


def test_half_a_record_is_waited_for(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    rest = writer.write(3, cut=20)
    reader = follow()
    reader.has(2)
    for byte in rest:
        writer.append(bytes([byte]))
    reader.has(3)
    assert reader.complaints == []


def test_what_comes_after_a_newer_one_was_opened_is_not_left_behind(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    reader = follow()
    (tmp_path / f"p.{EPOCH + 60}").write_bytes(b"")  # opened, without a header yet
    time.sleep(0.3)
    writer.write(4)
    reader.has(4)
    writer.roll(60)
    writer.write(1)
    reader.has(5)


def test_an_empty_ring_is_waited_for(tmp_path, follow) -> None:
    reader = follow()
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(1)
    reader.has(1)


def test_a_savefile_without_its_header_is_waited_for(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    (tmp_path / f"p.{EPOCH}").write_bytes(b"")
    reader = follow()
    data = capture(0)
    writer.path = tmp_path / f"p.{EPOCH}"
    writer.append(data[:10])
    writer.append(data[10:])
    writer.write(2)
    reader.has(2)


def test_savefiles_that_were_rolled_over_in_between_all_come(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    for second in range(20):
        writer.roll(second)
        writer.write(3)
    reader = follow()
    reader.has(60)
    for second in range(20, 40):
        writer.roll(second)
        writer.write(3)
    reader.has(120)
    assert len(reader.names) == 40


def test_a_torn_savefile_is_told_and_not_the_end(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2, cut=20)
    reader = follow()
    reader.until(lambda: reader.numbers == [0])
    writer.roll(60)
    writer.write(1)
    reader.until(lambda: reader.numbers == [0, 2])
    (complaint,) = reader.complaints
    assert not complaint.failed
    assert "cut short" in complaint.text


def test_a_request_ends_it(tmp_path, follow, stopping) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2, cut=5)
    reader = follow()
    reader.has(1)
    stopping.request()
    reader.thread.join(PATIENCE_S)
    assert not reader.thread.is_alive()
    assert reader.complaints == []


def test_a_request_ends_the_wait_for_a_savefile(follow, stopping) -> None:
    reader = follow()
    stopping.request()
    reader.thread.join(PATIENCE_S)
    assert not reader.thread.is_alive()


def test_a_packet_from_behind_the_end_ends_it(tmp_path, follow) -> None:
    to_ns = int(time.time() + 3600) * NS  # not by the clock
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2)
    late = packets(1, start_s=(to_ns + LATE_NS) / NS)
    writer.append(record(late[0]))
    writer.write(1)
    reader = follow(to_ns)
    reader.thread.join(PATIENCE_S)
    assert not reader.thread.is_alive()
    assert reader.numbers == [0, 1]
    assert reader.complaints == []


def test_the_clock_ends_it_on_an_idle_link(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2)
    reader = follow(time.time_ns() - LATE_NS)
    reader.thread.join(PATIENCE_S)
    assert not reader.thread.is_alive()
    assert reader.numbers == [0, 1]


def test_pruned_before_it_could_be_opened_is_counted(tmp_path, stopping) -> None:
    Writer(tmp_path).roll(0)
    ring = Ring(str(tmp_path), "p")
    (gone,) = ring.savefiles()
    (tmp_path / gone.name).unlink()
    following = Following(ring, stopping, "", 1)
    file = File(gone.name, dir_fd=ring.dir_fd, growing=True)
    assert list(following.captures(None, (gone, file))) == []
    assert following.pruned == [gone]
    ring.close()


def test_compressed_before_it_was_read_is_read(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2)
    reader = follow()
    reader.has(2)
    for second in (60, 120):
        writer.path = tmp_path / f"later.{second}"
        writer.path.write_bytes(capture(0))
        writer.write(2)
        path = tmp_path / f"p.{EPOCH + second}.gz"
        path.with_name("other").write_bytes(gzip.compress(writer.path.read_bytes()))
        path.with_name("other").rename(path)
    reader.has(6)
    writer.roll(180)
    writer.write(1)
    reader.has(7)
    ends = ("", ".gz", ".gz", "")
    assert reader.names == [
        f"p.{EPOCH + second}{end}" for second, end in zip((0, 60, 120, 180), ends, strict=True)
    ]
    assert reader.complaints == []


def test_pruned_between_two_looks_is_told(tmp_path, stopping) -> None:
    ring = Ring(str(tmp_path), "p")
    following = Following(ring, stopping, "")
    writer = Writer(tmp_path)
    writer.roll(0)
    (first,) = ring.savefiles()
    writer.path.unlink()
    with Catalog.create(str(tmp_path / "p.catalog")) as catalog:
        for at in range(3):
            epoch = EPOCH + 60 * at
            catalog.seal(Entry(f"p.{epoch}", epoch, 0, SEALED, 1, 1, sha256=bytes(32)))
        for at in range(2):
            catalog.remove(f"p.{EPOCH + 60 * at}", 1)
        writer.roll(120)
        writer.write(1)
        items = following.captures(first)
        assert next(items) == Complaint(
            f"savefiles behind {ring.path(first)} were pruned before being read"
        )
        assert isinstance(next(items), Input)
        items.close()
    ring.close()


def test_compressed_or_pruned_when_it_is_opened(tmp_path, stopping, monkeypatch) -> None:
    path = tmp_path / f"p.{EPOCH + 60}"
    compressed = tmp_path / f"p.{EPOCH + 60}.gz"
    compressed.write_bytes(gzip.compress(capture(3)))
    ring = Ring(str(tmp_path), "p")
    listed = Next(SavefileName(EPOCH + 60, 0, path.name), None)
    monkeypatch.setattr(Succession, "next", lambda *_: listed)
    items = Following(ring, stopping, "").captures(None)
    input_ = next(items)
    assert isinstance(input_, Input)
    assert input_.name == str(compressed)
    items.close()

    compressed.unlink()
    following = Following(ring, stopping, "")
    items = following.captures(None)
    assert next(items) == Complaint(f"{path} was pruned before being read")
    items.close()
    assert following.pruned == []
    ring.close()


def test_pruned_while_it_is_read_is_read_to_its_end(tmp_path, follow) -> None:
    writer = Writer(tmp_path)
    writer.roll(0)
    writer.write(2)
    reader = follow()
    reader.has(2)
    with writer.path.open("ab") as file:
        writer.path.unlink()
        file.write(record(packets(1, first=2)[0]))
    writer.written = 3
    reader.has(3)
    writer.roll(60)
    writer.write(1)
    reader.has(4)
