"""The writer thread: names, modes, order, what it tells, and what the ring is told."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record import serials
from daemonlogger_py.record.keeper import Keeper
from daemonlogger_py.record.openfile import OpenSavefile, Sealed
from daemonlogger_py.record.retention import Limits
from daemonlogger_py.record.writer import Writer
from daemonlogger_py.savefile.names import Naming, SavefileName

from ..pcaps import make
from .bench import WAIT_S, at, packets_in
from .desk import HEADER, Desk

HEADER_BYTES = 24


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with Desk(tmp_path, monkeypatch) as made:
        yield made


class NotingKeeper:
    """Notes what a keeper is asked to do, and what was on disk at that moment."""

    def __init__(self, desk: Desk) -> None:
        self.noted: list[tuple[object, ...]] = []
        self.ring = self
        self._desk = desk
        self._serials: dict[int, int] = {}

    def make_room(self, may_grow_bytes: int) -> None:
        self.noted.append(("make_room", may_grow_bytes, self._desk.names()))

    def opened(self, name: SavefileName) -> None:
        self.noted.append(("opened", name.name, self._desk.names()))

    def grown(self, name: SavefileName, size_bytes: int) -> None:
        self.noted.append(("grown", name.name, size_bytes))

    def sealed(self, name: SavefileName, status: os.stat_result) -> None:
        self.noted.append(("sealed", name.name, status.st_size))

    def look_after(self, name: SavefileName, size_bytes: int, may_grow_bytes: int) -> None:
        self.noted.append(("look_after", name.name, size_bytes, may_grow_bytes))

    def next_serial(self, epoch: int) -> int:
        return self._serials.get(epoch, 0)

    def taken(self, epoch: int, serial: int) -> None:
        self._serials[epoch] = serial + 1

    def close(self) -> None:
        self.noted.append(("close",))


def test_savefile_is_header_and_records(desk: Desk) -> None:
    packets = at(range(5))
    with desk.writing() as work:
        work.roll(100)
        work.write(packets[:2])
        work.write(packets[2:])

    assert desk.contents() == {"t.100": make.classic(packets)}
    assert (work.writer.files, work.writer.written_packets, work.writer.lost_packets) == (1, 5, 0)
    assert work.writer.written_bytes == len(make.classic(packets))
    assert work.writer.failure is None


def test_nothing_is_created_before_it_is_ordered(desk: Desk) -> None:
    with desk.writing():
        pass

    assert desk.names() == []


def test_an_idle_savefile_is_locked_once_its_reader_is_gone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that opened it before its lock; there may be no write for hours to try again."""
    flock = fcntl.flock
    refused: list[int] = []

    def held_by_a_reader(fd: int, kind: int) -> None:
        refused.append(kind)
        raise BlockingIOError

    with desk.writing() as work:
        monkeypatch.setattr(fcntl, "flock", held_by_a_reader)
        work.roll(100)
        work.settle()
        work.writer.tick()
        work.settle()
        assert len(refused) == 3  # when it was made, with its header, with the tick
        monkeypatch.setattr(fcntl, "flock", flock)
        assert not desk.is_locked("t.100")
        work.writer.tick()
        work.settle()
        assert desk.is_locked("t.100")


def test_savefiles_of_one_second_have_serials(desk: Desk) -> None:
    with desk.writing() as work:
        for epoch in (100, 100, 100, 101, 100, 101):
            work.roll(epoch)
            work.write(at([epoch]))

    expected = ["t.100", "t.100.001", "t.100.002", "t.101", "t.100.003", "t.101.001"]
    assert desk.told.texts("savefile") == [
        f"Logging packets to {desk.folder / name}" for name in expected
    ]
    assert [len(packets_in(data)) for data in desk.contents().values()] == [1] * 6


def test_forgotten_seconds_cost_tries_but_no_names(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serials, "SECONDS_REMEMBERED", 2)
    with desk.writing() as work:
        for epoch in (1, 2, 3, 1, 4, 5, 1, 1):
            work.roll(epoch)

    assert desk.names() == ["t.1", "t.1.001", "t.1.002", "t.1.003", "t.2", "t.3", "t.4", "t.5"]


@pytest.mark.parametrize("keeping", [False, True])
@pytest.mark.parametrize("kind", ["file", "empty", "symlink", "dangling", "directory", "fifo"])
def test_what_has_the_name_already_is_left_alone(desk: Desk, kind: str, keeping: bool) -> None:
    evidence = desk.folder / "evidence"
    evidence.write_bytes(b"evidence")
    taken = desk.folder / "t.100"
    match kind:
        case "file":
            taken.write_bytes(b"older")
        case "empty":
            taken.touch()
        case "symlink":
            taken.symlink_to(evidence)
        case "dangling":
            taken.symlink_to(desk.folder / "nowhere")
        case "directory":
            taken.mkdir()
        case "fifo":
            os.mkfifo(taken)
    before = os.lstat(taken)
    keeper = desk.keeper(Limits()) if keeping else None
    packets = at(range(3))
    with desk.writing(keeper=keeper) as work:
        work.roll(100)
        work.write(packets)
        work.roll(100)

    after = os.lstat(taken)
    assert (after.st_ino, after.st_mode, after.st_size) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
    )
    assert evidence.read_bytes() == b"evidence"
    assert not (desk.folder / "nowhere").exists()
    assert packets_in((desk.folder / "t.100.001").read_bytes()) == packets
    assert (desk.folder / "t.100.002").exists()


def test_names_that_are_taken_far_on(desk: Desk) -> None:
    for name in ("t.100", *(f"t.100.{serial:03d}" for serial in range(1, 40))):
        (desk.folder / name).mkdir()
    with desk.writing() as work:
        work.roll(100)

    assert (desk.folder / "t.100.040").is_file()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o077, 0o600), (0o000, 0o640)])
def test_mode(desk: Desk, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with desk.writing() as work:
            work.roll(100)
    finally:
        os.umask(before)

    assert stat.S_IMODE((desk.folder / "t.100").stat().st_mode) == mode


def test_savefile_that_is_being_written_is_locked(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.roll(101)
        work.settle()
        assert [desk.is_locked("t.100"), desk.is_locked("t.101")] == [False, True]
    assert not desk.is_locked("t.101")


def test_file_system_without_locks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(3)))

    assert work.writer.failure is None
    assert work.writer.written_packets == 3


def test_messages_stand_where_they_were_ordered(desk: Desk) -> None:
    with desk.writing() as work:
        work.writer.say("first", "before the file", number=1)
        work.roll(100)
        work.writer.say("roll", "Size limit reached")
        work.writer.say("rolling", "Rolling over logfile...")
        work.roll(101)
        work.writer.say("last", "after it")

    assert desk.told.events() == ["first", "savefile", "roll", "rolling", "savefile", "last"]
    assert desk.told.all[0] == ("first", "before the file", {"number": 1})
    assert desk.told.facts("savefile") == [
        {"path": str(desk.folder / "t.100")},
        {"path": str(desk.folder / "t.101")},
    ]


def test_next_savefile_is_there_before_the_last_one_is_sealed(desk: Desk) -> None:
    keeper = NotingKeeper(desk)
    with desk.writing(keeper=cast("Keeper", keeper), may_grow_bytes=1 << 20) as work:
        work.roll(100)
        work.write(at(range(3)))
        work.roll(101)

    size = HEADER_BYTES + 3 * 56
    assert keeper.noted == [
        ("make_room", 1 << 20, []),
        ("opened", "t.100", ["t.100"]),
        # What is to be pruned, and what is told of the ring, depends on how much it holds by now.
        ("grown", "t.100", HEADER_BYTES),
        ("grown", "t.100", size),
        ("make_room", 1 << 20, ["t.100"]),
        ("opened", "t.101", ["t.100", "t.101"]),
        ("grown", "t.101", HEADER_BYTES),
        ("sealed", "t.100", size),
        ("sealed", "t.101", HEADER_BYTES),
        ("close",),
    ]


def test_the_ring_s_state_has_what_is_written_by_now(desk: Desk) -> None:
    keeper = desk.keeper(Limits())
    with desk.writing(keeper=keeper) as work:
        work.roll(100)
        work.write(at(range(3)))
        work.settle()
        first = keeper.state
        work.roll(101)
        work.write(at(range(5)))
        work.settle()
        second = keeper.state

    assert (first.files, first.size_bytes) == (1, HEADER_BYTES + 3 * 56)
    assert (second.files, second.size_bytes) == (2, 2 * HEADER_BYTES + 8 * 56)
    assert (keeper.state.files, keeper.state.size_bytes) == (second.files, second.size_bytes)


def test_ring_is_looked_after_once_for_many_ticks(desk: Desk) -> None:
    keeper = NotingKeeper(desk)
    with desk.writing(keeper=cast("Keeper", keeper), may_grow_bytes=1000) as work:
        work.writer.tick()  # nothing is open yet
        work.roll(100)
        work.write(at(range(2)))
        work.settle()
        with work.held():
            for _ in range(5):
                work.writer.tick()
        work.settle()
        work.writer.tick()

    looked = [noted for noted in keeper.noted if noted[0] == "look_after"]
    assert looked == [("look_after", "t.100", HEADER_BYTES + 2 * 56, 1000)] * 2


def test_ticks_without_a_ring(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.writer.tick()

    assert work.writer.failure is None


def test_buffer_comes_back_and_wakes_a_loop_that_starves(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(2)))
        work.settle()
        assert (work.pool.allocated, work.wakes) == (1, 0)
        work.pool.starving = True
        work.write(at(range(2)))
        work.settle()
        assert (work.pool.allocated, work.wakes) == (1, 1)


def test_orders_do_not_wait_for_the_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    write = os.pwrite

    def stalled(fd: int, data: bytes, offset: int) -> int:
        assert gate.wait(WAIT_S)
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", stalled)
    packets = at(range(50))
    with desk.writing() as work:
        work.roll(100)
        for packet in packets:
            work.write([packet])
        assert work.writer.written_packets == 0
        gate.set()

    assert desk.contents() == {"t.100": make.classic(packets)}
    assert work.pool.allocated == len(packets)


@pytest.mark.parametrize("most", [1, 7, 24, 100])
def test_short_writes_are_gone_on_with(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:most], offset))
    packets = at(range(9))
    with desk.writing() as work:
        work.roll(100)
        work.write(packets[:4])
        work.write(packets[4:])

    assert desk.contents() == {"t.100": make.classic(packets)}
    assert work.writer.written_bytes == len(make.classic(packets))


def test_write_without_a_savefile_is_a_failure_and_counted(desk: Desk) -> None:
    with desk.writing() as work:
        work.write(at(range(3)))

    assert isinstance(work.writer.failure, StorageError)
    assert (work.writer.lost_packets, work.writer.written_packets) == (3, 0)
    assert work.wakes == 1


def test_names_are_those_of_the_naming(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.roll(100)

    assert [Naming("t").parse(name) for name in desk.names()] == [
        (100, 0, "t.100"),
        (100, 1, "t.100.001"),
    ]


def test_thread_is_gone_in_the_end(desk: Desk) -> None:
    with desk.writing() as work:
        assert "writer" in [thread.name for thread in threading.enumerate()]
        work.roll(100)

    assert "writer" not in [thread.name for thread in threading.enumerate()]
    assert isinstance(work.writer, Writer)


def test_failure_that_nobody_expects_ends_in_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise MemoryError("none left")

    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(2)))
        work.settle()
        monkeypatch.setattr(OpenSavefile, "put", fail)
        work.write(at(range(3)))
        work.write(at(range(4)))

    assert str(work.writer.failure) == f"{desk.folder / 't.100'}: MemoryError: none left"
    assert (work.writer.written_packets, work.writer.lost_packets) == (2, 7)
    assert not work.writer.busy


def test_what_is_sealed_is_announced_with_what_is_in_it(desk: Desk) -> None:
    packets = at(range(5))
    with desk.writing() as work:
        work.dropped = 3  # before the first savefile, and so in none
        work.roll(100)
        work.write(packets[:2])
        work.write(packets[2:4])
        work.dropped = 10
        work.roll(101)
        work.write(packets[4:])
        work.settle()
        assert [sealed.name for sealed in work.sealed] == ["t.100"]
        work.dropped = 11

    assert work.sealed == [
        Sealed("t.100", "size", 4, len(make.classic(packets[:4])),
               packets[0].time_ns, packets[3].time_ns, 7),
        Sealed("t.101", "exit", 1, len(make.classic(packets[4:])),
               packets[4].time_ns, packets[4].time_ns, 1),
    ]  # fmt: skip


def test_savefile_without_packets_is_announced_too(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)

    assert work.sealed == [Sealed("t.100", "exit", 0, len(HEADER), 0, 0, 0)]


def test_each_write_is_timed(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.write(at([0]))
        work.write(at([1]))

    assert len(work.write_s) == 2
    assert all(seconds >= 0 for seconds in work.write_s)


@pytest.mark.parametrize("keeping", [False, True])
def test_a_savefile_that_somebody_removed(desk: Desk, keeping: bool) -> None:
    packets = at(range(4))
    path = desk.folder / "t.100"
    keeper = desk.keeper(Limits()) if keeping else None
    with desk.writing(keeper=keeper) as work:
        work.roll(100)
        work.write(packets[:2])
        work.settle()
        path.unlink()
        for _ in range(2):
            work.writer.tick()
            work.settle()
        assert (work.writer.spoilt, work.wakes) == (True, 1)
        work.write(packets[2:3])
        work.roll(101)
        work.write(packets[3:])
        if keeper is not None:
            work.settle()
            assert "t.100" not in keeper.ring

    assert desk.contents() == {"t.101": make.classic(packets[3:])}
    assert [sealed.name for sealed in work.sealed] == ["t.101"]
    assert [told for told in desk.told.all if told[0].startswith("savefile_")] == [
        (
            "savefile_removed",
            f"[!] {path} was removed while it was written",
            {"path": str(path)},
        ),
        (
            "savefile_lost",
            f"[!] 3 packets are lost with {path}",
            {
                "path": str(path),
                "packets": 3,
                "from_ns": packets[0].time_ns,
                "to_ns": packets[2].time_ns,
                "detail": "t.100 was removed while it was written",
            },
        ),
    ]
    # Before the next one is begun, which the catalog would take for the one that is lost.
    events = desk.told.events()
    assert events.index("savefile_lost") < events.index("savefile", 1)


@pytest.mark.parametrize("rolls", [False, True])
def test_one_that_was_removed_is_missed_at_its_end_too(desk: Desk, rolls: bool) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(3)))
        work.settle()
        (desk.folder / "t.100").unlink()
        if rolls:
            work.roll(101)

    assert desk.told.texts("savefile_lost") == [
        f"[!] 3 packets are lost with {desk.folder / 't.100'}"
    ]
    assert desk.names() == (["t.101"] if rolls else [])


def test_an_empty_one_that_was_removed_has_lost_nothing(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.settle()
        (desk.folder / "t.100").unlink()

    assert desk.told.events() == ["savefile", "savefile_removed"]
    assert work.sealed == []


def test_a_savefile_that_somebody_truncated(desk: Desk) -> None:
    path = desk.folder / "t.100"
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(3)))
        work.settle()
        os.truncate(path, 0)
        work.writer.tick()
        work.settle()
        assert work.writer.spoilt
        work.write(at([5]))
        work.roll(101)

    assert desk.told.texts("savefile_truncated") == [
        f"[!] {path} was truncated while it was written"
    ]
    assert desk.told.texts("savefile_lost") == [f"[!] Some of 4 packets are lost from {path}"]
    (facts,) = desk.told.facts("savefile_lost")
    assert facts["packets"] is None
    assert [sealed.name for sealed in work.sealed] == ["t.100", "t.101"]


def test_a_directory_that_is_gone_ends_it(desk: Desk) -> None:
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(3)))
        work.settle()
        (desk.folder / "t.100").unlink()
        desk.folder.rmdir()
        work.roll(101)
        work.settle()

    assert str(work.writer.failure) == f"{desk.folder / 't.101'}: No such file or directory"
    assert desk.told.events() == ["savefile", "savefile_removed", "savefile_lost"]
