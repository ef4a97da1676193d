"""A volume that is full or failing: the savefile ends whole, and all is counted."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record import room, writer
from daemonlogger_py.record.retention import Limits

from ..pcaps import make
from ..pcaps.parse import parse
from .bench import WAIT_S, at, packets_in
from .desk import Desk

HEADER_BYTES = 24
RECORD_BYTES = 56


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(room, "RETRY_S", 0.001)
    with Desk(tmp_path, monkeypatch) as made:
        yield made


def whole(count: int) -> int:
    """Bytes of a savefile with this many packets of ours."""
    return HEADER_BYTES + count * RECORD_BYTES


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(
    "room_bytes",
    [
        HEADER_BYTES,
        HEADER_BYTES + 1,
        whole(1) - 1,
        whole(1),
        whole(3) + 16,
        whole(5),
        whole(7) + RECORD_BYTES - 1,
    ],
)
def test_savefile_ends_with_its_last_whole_record(desk: Desk, room_bytes: int, error: int) -> None:
    packets = at(range(12))
    desk.disk(room_bytes, error)
    with desk.writing() as work:
        work.roll(100)
        for begin in (0, 5, 8):
            work.write(packets[begin : {0: 5, 5: 8, 8: 12}[begin]])
    kept = (room_bytes - HEADER_BYTES) // RECORD_BYTES

    assert desk.contents() == {"t.100": make.classic(packets[:kept])}
    assert work.writer.written_packets == kept
    assert work.writer.lost_packets == 12 - kept
    assert work.writer.written_bytes == whole(kept)
    assert isinstance(work.writer.failure, StorageError)
    assert str(work.writer.failure) == f"{desk.folder / 't.100'}: {os.strerror(error)}"
    assert desk.told.texts("savefile_cut") == [
        (
            f"[!] {desk.folder / 't.100'} ends at its last whole record: "
            f"{kept} packets, {whole(kept)} bytes"
        )
    ]
    assert work.wakes >= 1


def test_nothing_more_is_written_after_a_failure(desk: Desk) -> None:
    disk = desk.disk(whole(2), errno.ENOSPC)
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(4)))
        work.settle()
        disk.has_room_for(1 << 30)
        work.roll(101)
        work.write(at(range(3)))
        work.writer.say("rolling", "Rolling over logfile...")

    assert desk.names() == ["t.100"]
    assert (work.writer.written_packets, work.writer.lost_packets) == (2, 5)
    assert desk.told.events() == ["savefile", "savefile_cut"], "nothing is rolled over any more"
    assert work.writer.files == 1
    assert work.pool.allocated == 1


def test_buffers_come_back_after_a_failure_too(desk: Desk) -> None:
    desk.disk(HEADER_BYTES, errno.EIO)
    with desk.writing() as work:
        work.roll(100)
        for _ in range(20):
            work.write(at(range(2)))
            work.settle()

    assert work.pool.allocated == 1
    assert work.writer.lost_packets == 40


@pytest.mark.parametrize("room_bytes", [0, 10, HEADER_BYTES - 1])
@pytest.mark.parametrize("before", [0, 1])
def test_header_that_cannot_be_written_leaves_no_savefile(
    desk: Desk, room_bytes: int, before: int
) -> None:
    """A savefile without a whole header is none that any reader takes."""
    packets = at(range(3))
    disk = desk.disk(1 << 20, errno.ENOSPC)
    with desk.writing() as work:
        if before:
            work.roll(100)
            work.write(packets)
        work.settle()
        disk.has_room_for(room_bytes)
        work.roll(101)
        work.write(packets)

    assert desk.contents() == ({"t.100": make.classic(packets)} if before else {})
    assert isinstance(work.writer.failure, StorageError)
    assert "No space left on device" in str(work.writer.failure)
    assert work.writer.lost_packets == 3
    assert work.writer.written_packets == 3 * before
    assert work.writer.files == before


def test_directory_that_is_gone(desk: Desk) -> None:
    with desk.writing() as work:
        desk.folder.rmdir()
        work.roll(100)
        work.write(at(range(2)))

    assert isinstance(work.writer.failure, StorageError)
    assert str(work.writer.failure) == f"{desk.folder / 't.100'}: No such file or directory"
    assert work.writer.lost_packets == 2
    desk.folder.mkdir()


def test_failing_roll_over_leaves_the_savefile_before_it_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = at(range(3))
    with desk.writing() as work:
        work.roll(100)
        work.write(packets)
        work.settle()
        opened = os.open

        def refuse(path: str, flags: int, *args: int, **kwargs: int) -> int:
            if flags & os.O_CREAT:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return opened(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", refuse)
        work.roll(101)
        work.write(packets)

    assert desk.contents() == {"t.100": make.classic(packets)}
    assert "t.101: Too many open files" in str(work.writer.failure)
    assert (work.writer.written_packets, work.writer.lost_packets) == (3, 3)


def test_error_on_closing_is_a_failure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems tell of a failed write only then."""
    packets = at(range(3))
    close = os.close
    failed: list[int] = []

    def fail(fd: int) -> None:
        name = os.readlink(f"/proc/self/fd/{fd}")
        close(fd)
        if name.endswith("t.100") and threading.current_thread().name == "writer" and not failed:
            failed.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with desk.writing() as work:
        work.roll(100)
        work.write(packets)
        work.settle()
        monkeypatch.setattr(os, "close", fail)

    assert failed
    assert isinstance(work.writer.failure, StorageError)
    assert "Input/output error" in str(work.writer.failure)


# With a ring


def fill_ring(desk: Desk, count: int, packets: int) -> None:
    """What earlier runs left: `count` savefiles."""
    for epoch in range(count):
        (desk.folder / f"t.{epoch}").write_bytes(make.classic(at(range(packets))))


@pytest.mark.parametrize("room_bytes", [0, 10, whole(0), whole(2) + 5])
def test_full_ring_prunes_the_oldest_and_goes_on(desk: Desk, room_bytes: int) -> None:
    fill_ring(desk, 4, 40)
    packets = at(range(60))
    keeper = desk.keeper(Limits())
    desk.disk(room_bytes, errno.ENOSPC)
    with desk.writing(keeper=keeper) as work:
        work.roll(100)
        for begin in range(0, 60, 10):
            work.write(packets[begin : begin + 10])

    assert (work.writer.written_packets, work.writer.lost_packets) == (60, 0)
    assert work.writer.failure is None
    assert (desk.folder / "t.100").read_bytes() == make.classic(packets)
    assert desk.names() == ["t.100", "t.2", "t.3"]
    assert desk.told.texts("prune") == [
        f"[!] Ringbuffer: deleting {desk.folder / name}" for name in ("t.0", "t.1")
    ]


def test_full_ring_with_nothing_to_prune_waits_for_room(desk: Desk) -> None:
    packets = at(range(60))
    disk = desk.disk(whole(7) + 9, errno.ENOSPC)
    full = threading.Event()
    desk.told.upon["volume_full"] = full.set
    with desk.writing(keeper=desk.keeper(Limits())) as work:
        work.roll(100)
        work.write(packets)
        assert full.wait(WAIT_S)
        while disk.refused < 5:
            pass
        disk.has_room_for(1 << 30)
        work.settle()

    assert (desk.folder / "t.100").read_bytes() == make.classic(packets)
    assert desk.told.texts("volume_full") == [
        f"[!] {desk.folder}: No space left on device, nothing left to prune: waiting for room"
    ]
    assert (work.writer.failure, work.writer.lost_packets) == (None, 0)
    assert [fact["seconds"] >= 0 for fact in desk.told.facts("volume_room")] == [True]


@pytest.mark.parametrize("room_bytes", [whole(0), whole(7) + 9])
def test_ending_recorder_gives_up_on_a_full_volume(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    monkeypatch.setattr(room, "GIVE_UP_S", 0.0)
    packets = at(range(60))
    desk.disk(room_bytes, errno.ENOSPC)
    with desk.writing(keeper=desk.keeper(Limits())) as work:
        work.roll(100)
        work.write(packets)
    kept = (room_bytes - HEADER_BYTES) // RECORD_BYTES

    assert (desk.folder / "t.100").read_bytes() == make.classic(packets[:kept])
    assert "No space left on device" in str(work.writer.failure)
    assert (work.writer.written_packets, work.writer.lost_packets) == (kept, 60 - kept)


def test_savefile_that_fills_the_volume_alone_is_sealed_and_pruned(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LEAST_EARLY_BYTES", 1000)
    packets = at(range(1000))
    disk = desk.disk(whole(200) + 30, errno.ENOSPC)
    with desk.writing(keeper=desk.keeper(Limits())) as work:
        work.roll(100)
        for begin in range(0, 1000, 7):
            work.write(packets[begin : begin + 7])

    assert (work.writer.failure, work.writer.lost_packets) == (None, 0)
    assert work.writer.written_packets == 1000
    # The first was sealed with its last whole record, and pruned once the next needed room.
    assert disk.pruned[0] == make.classic(packets[:200])
    early_bytes = whole(200) // 8
    assert work.writer.roll_bytes == early_bytes
    assert desk.told.texts("early_roll")[0] == (
        f"[!] {desk.folder / 't.100'} fills the volume alone: rolling over early, "
        f"and after {early_bytes} bytes until there is room again"
    )
    left = [
        desk.contents()[os.path.basename(path)] for path in told_paths(desk)[len(disk.pruned) :]
    ]
    found = [packet for data in [*disk.pruned, *left] for packet in packets_in(data)]
    assert found == packets
    assert work.writer.files == len(disk.pruned) + len(left)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_savefiles_are_as_large_as_before_once_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(writer, "LEAST_EARLY_BYTES", 1000)
    wanted_bytes = whole(300)
    disk = desk.disk(whole(200) + 30, error)
    with desk.writing(keeper=desk.keeper(Limits()), may_grow_bytes=wanted_bytes) as work:
        rolled = []

        def roll() -> None:
            epoch = 101 + len(rolled)
            work.roll(epoch)
            work.write(at(range(10)))
            work.settle()
            rolled.append(work.writer.roll_bytes)

        work.roll(100)
        for begin in range(0, 250, 10):
            work.write(at(range(begin, begin + 10)))
        work.settle()
        small_bytes = work.writer.roll_bytes
        roll()
        disk.has_room_for(wanted_bytes * 2)
        for _ in range(3):
            roll()

    assert small_bytes == max(1000, whole(200) // 8)
    if error == errno.EDQUOT:  # what a quota leaves, nobody tells us
        assert rolled == [small_bytes] * 4
        assert desk.told.texts("late_roll") == []
        assert desk.told.texts("early_roll")[0].endswith(" from now on")
        return
    assert rolled == [small_bytes, *[wanted_bytes] * 3]
    assert desk.told.texts("late_roll") == [
        f"{desk.folder}: there is room again: rolling over after {wanted_bytes} bytes"
    ]


def test_savefiles_are_as_large_as_what_there_is_room_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LEAST_EARLY_BYTES", 1000)
    monkeypatch.setattr(writer, "REGROW_S", 0.0)
    disk = desk.disk(whole(200), errno.ENOSPC)
    with desk.writing(keeper=desk.keeper(Limits())) as work:
        work.roll(100)
        work.write(at(range(250)))
        work.settle()
        small_bytes = work.writer.roll_bytes
        disk.has_room_for(12 * small_bytes)
        work.roll(101)
        work.settle()
        assert work.writer.roll_bytes == small_bytes, "not worth it"
        disk.has_room_for(32 * small_bytes)
        work.roll(102)
        work.settle()
        assert 4 * small_bytes <= work.writer.roll_bytes < 8 * small_bytes


def test_a_volume_that_is_full_again_and_again_is_not_said_at_each_roll_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LEAST_EARLY_BYTES", 1000)
    disk = desk.disk(whole(200), errno.ENOSPC)
    with desk.writing(keeper=desk.keeper(Limits()), may_grow_bytes=whole(300)) as work:
        for epoch in range(100, 110):
            work.roll(epoch)
            work.write(at(range(250)))
            work.settle()
            disk.has_room_for(whole(300))
            work.roll(epoch)
            work.settle()
            disk.has_room_for(0)

    assert len(desk.told.texts("late_roll")) == 1


def told_paths(desk: Desk) -> list[str]:
    return [str(facts["path"]) for facts in desk.told.facts("savefile")]


def test_failing_disk_of_a_ring_prunes_nothing(desk: Desk) -> None:
    fill_ring(desk, 3, 40)
    desk.disk(whole(2), errno.EIO)
    with desk.writing(keeper=desk.keeper(Limits())) as work:
        work.roll(100)
        work.write(at(range(9)))

    assert desk.names() == ["t.0", "t.1", "t.100", "t.2"]
    assert (work.writer.written_packets, work.writer.lost_packets) == (2, 7)
    assert "Input/output error" in str(work.writer.failure)


def test_savefile_of_the_full_volume_is_a_whole_one_for_every_reader(desk: Desk) -> None:
    desk.disk(whole(3) + 20, errno.ENOSPC)
    with desk.writing() as work:
        work.roll(100)
        work.write(at(range(9)))

    capture = parse((desk.folder / "t.100").read_bytes())
    assert capture.whole
    assert len(capture.records) == work.writer.written_packets == 3
