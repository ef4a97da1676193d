"""When the ring is looked after, what is said about it, and what a full volume gets back."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record import keeper as module
from daemonlogger_py.record.keeper import Keeper, look_at_volume
from daemonlogger_py.record.retention import Limits, Volume
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.pinned import Pins

from .fakes import Told

NAMING = Naming("t")
FILE_BYTES = 4096
MIB = 1 << 20


class Logs:
    """A log directory, the volume it is said to be on, and a clock."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "logs"
        self.folder.mkdir()
        self.fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self.told = Told()
        self.total_bytes = 100 * FILE_BYTES
        self.free_bytes = 100 * FILE_BYTES
        self.looks = 0
        self.now_s = 0.0
        self.scan_s = 0.0
        self._unlink = os.unlink
        patch.setattr(module, "look_at_volume", self.look)
        patch.setattr(module.time, "monotonic", lambda: self.now_s)
        patch.setattr(os, "unlink", self.unlink)

    def look(self, dir_fd: int) -> Volume:
        assert dir_fd == self.fd
        self.looks += 1
        return Volume(self.total_bytes, self.free_bytes)

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        self._unlink(path, dir_fd=dir_fd)
        self.free_bytes += FILE_BYTES

    def leave(self, *epochs: int, modified_s: int | None = None) -> None:
        for epoch in epochs:
            path = self.folder / f"t.{epoch}"
            path.write_bytes(b"x" * FILE_BYTES)
            self.free_bytes -= FILE_BYTES
            if modified_s is not None:
                os.utime(path, (modified_s, modified_s))

    def keeper(
        self, *, this_run_only: bool = False, archive: Path | None = None, **limits: float
    ) -> Keeper:
        return Keeper(
            self.fd,
            "/logs",
            NAMING,
            Limits(**limits),
            self.told,
            this_run_only=this_run_only,
            archive=None if archive is None else str(archive),
        )

    def roll(self, keeper: Keeper, epoch: int, size: int = FILE_BYTES) -> SavefileName:
        """What the writer does: make room, create, seal the one before."""
        keeper.make_room(size)
        name = SavefileName(epoch, 0, f"t.{epoch}")
        keeper.ring.opened(name)
        self.leave(epoch)
        return name

    def seal(self, keeper: Keeper, name: SavefileName) -> None:
        keeper.sealed(name, os.stat(self.folder / name.name))

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder), key=lambda name: int(name[2:]))


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Logs(tmp_path, monkeypatch)
    yield made
    os.close(made.fd)


def test_room_is_made_for_the_next_savefile(logs: Logs) -> None:
    logs.leave(1, 2, 3, 4, 5)
    keeper = logs.keeper(max_files=3)
    keeper.make_room(FILE_BYTES)

    assert logs.names() == ["t.4", "t.5"]
    assert logs.told.texts() == [f"[!] Ringbuffer: deleting /logs/t.{n}" for n in (1, 2, 3)]
    assert logs.looks == 0, "no limit is about the volume"


def test_savefile_being_written_counts_and_stays(logs: Logs) -> None:
    keeper = logs.keeper(max_files=2)
    first = logs.roll(keeper, 1)
    second = logs.roll(keeper, 2)
    logs.seal(keeper, first)
    assert logs.names() == ["t.1", "t.2"]
    logs.roll(keeper, 3)
    logs.seal(keeper, second)

    assert logs.names() == ["t.2", "t.3"]


def test_ring_of_one_prunes_when_the_last_one_is_complete(logs: Logs) -> None:
    keeper = logs.keeper(max_files=1)
    first = logs.roll(keeper, 1)
    second = logs.roll(keeper, 2)
    assert logs.names() == ["t.1", "t.2"], "until the next is there, this is the only one"
    logs.seal(keeper, first)
    assert logs.names() == ["t.2"]
    logs.roll(keeper, 3)
    logs.seal(keeper, second)

    assert logs.names() == ["t.3"]
    assert logs.told.events() == ["prune", "prune"]


def test_ring_of_one_takes_over_from_earlier_runs(logs: Logs) -> None:
    logs.leave(1, 2, 3)
    keeper = logs.keeper(max_files=1)
    first = logs.roll(keeper, 10)
    second = logs.roll(keeper, 11)
    logs.seal(keeper, first)

    assert second.name in logs.names()
    assert logs.names() == ["t.11"]


def test_only_this_runs_savefiles_when_told_so(logs: Logs) -> None:
    logs.leave(1, 2, 3)
    keeper = logs.keeper(max_files=1, this_run_only=True)
    first = logs.roll(keeper, 10)
    logs.roll(keeper, 11)
    logs.seal(keeper, first)

    assert logs.names() == ["t.1", "t.2", "t.3", "t.11"]


@pytest.mark.parametrize(
    "limits", [{"max_percent": 95.0}, {"min_free_percent": 5.0}, {"min_free_bytes": 5 * FILE_BYTES}]
)
def test_volume_keeps_room_for_the_next_savefile(logs: Logs, limits: dict) -> None:
    logs.leave(*range(93))
    keeper = logs.keeper(**limits)
    keeper.make_room(2 * FILE_BYTES)
    assert logs.told.all == []
    keeper.make_room(4 * FILE_BYTES)

    # Five blocks have to stay free, and four are to be written: nine, of seven.
    assert logs.names()[0] == "t.2"
    assert logs.free_bytes == 9 * FILE_BYTES


def test_original_line_of_a_full_volume_comes_once_a_roll_over(logs: Logs) -> None:
    logs.leave(*range(1, 99))
    keeper = logs.keeper(max_percent=95.0)
    keeper.make_room(0)
    assert logs.told.texts() == [
        "Disk max utilization reached, rolling over and pruning",
        "[!] Ringbuffer: deleting /logs/t.1",
        "[!] Ringbuffer: deleting /logs/t.2",
        "[!] Ringbuffer: deleting /logs/t.3",
    ]
    logs.leave(100)
    keeper.make_room(0)

    assert logs.told.events().count("max_utilization") == 2


def test_original_line_is_not_for_other_limits_nor_for_the_timer(logs: Logs) -> None:
    logs.leave(*range(1, 99))
    keeper = logs.keeper(max_percent=97.0, max_files=98)
    keeper.make_room(0)
    assert logs.told.events() == ["prune"], "max files 98 came first, and was enough"
    name = logs.roll(keeper, 200)
    logs.told.all.clear()
    logs.free_bytes = 0
    keeper.look_after(name, 0, 0)

    assert set(logs.told.events()) == {"prune"}


def test_what_cannot_be_held_is_said_once(logs: Logs) -> None:
    keeper = logs.keeper(min_free_bytes=MIB)
    for _ in range(3):
        keeper.make_room(0)
    name = logs.roll(keeper, 1)
    keeper.look_after(name, 0, 0)

    assert logs.told.texts() == [
        "[!] Ringbuffer: min free 1m: nothing left to prune, going on while there is room"
    ]
    logs.free_bytes = 2 * MIB
    keeper.look_after(name, 0, 0)
    logs.free_bytes = 0
    keeper.look_after(name, 0, 0)
    assert logs.told.events() == ["nothing_to_prune"] * 2, "it held in between"


def test_growing_savefile_counts_on_the_timer(logs: Logs) -> None:
    logs.leave(1, 2, 3)
    keeper = logs.keeper(max_bytes=6 * FILE_BYTES)
    name = logs.roll(keeper, 10, size=3 * FILE_BYTES)
    assert logs.names() == ["t.1", "t.2", "t.3", "t.10"]
    keeper.look_after(name, 2 * FILE_BYTES, 3 * FILE_BYTES)
    assert len(logs.names()) == 4, "what it has grown it will not grow again"
    keeper.look_after(name, 4 * FILE_BYTES, 3 * FILE_BYTES)

    assert logs.names() == ["t.2", "t.3", "t.10"]


def test_old_savefiles_go_on_the_timer(logs: Logs) -> None:
    logs.leave(1, 2, modified_s=1_000_000)
    logs.leave(3)
    keeper = logs.keeper(max_age_s=3600)
    name = SavefileName(10, 0, "t.10")
    keeper.ring.opened(name)
    keeper.look_after(name, 0, 0)

    assert logs.names() == ["t.3"]


def test_directory_is_read_again_now_and_then(logs: Logs) -> None:
    logs.leave(1)
    keeper = logs.keeper(max_files=3)
    name = logs.roll(keeper, 10)
    logs.leave(2, 3)  # by somebody else
    keeper.look_after(name, 0, 0)
    assert len(logs.names()) == 4, "not yet"
    logs.now_s += module.RECONCILE_S
    keeper.look_after(name, 0, 0)

    assert logs.names() == ["t.2", "t.3", "t.10"]


def test_slow_directory_is_read_less_often(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the time at most, so that a huge or remote directory is no burden."""
    keeper = logs.keeper(max_files=3)
    name = logs.roll(keeper, 10)
    scans: list[float] = []
    reconcile = keeper.ring.reconcile

    def slow() -> None:
        scans.append(logs.now_s)
        reconcile()
        logs.now_s += 5.0

    monkeypatch.setattr(keeper.ring, "reconcile", slow)
    for _ in range(1200):
        logs.now_s += 1.0
        keeper.look_after(name, 0, 0)

    assert scans[0] == 60.0
    assert [b - a for a, b in pairwise(scans)] == [505.0] * (len(scans) - 1)
    assert len(scans) == 3


def test_full_volume_gets_back_what_is_wanted(logs: Logs) -> None:
    logs.leave(1, 2, 3, 4)
    keeper = logs.keeper()

    assert keeper.make_space(FILE_BYTES + 1)
    assert logs.names() == ["t.3", "t.4"]
    assert keeper.make_space(1)
    assert keeper.make_space(100 * FILE_BYTES), "less than wanted is something"
    assert logs.names() == []
    assert not keeper.make_space(1)


def test_savefile_being_written_is_no_space(logs: Logs) -> None:
    keeper = logs.keeper()
    logs.roll(keeper, 1)

    assert not keeper.make_space(1)
    assert logs.names() == ["t.1"]


def test_pruned_savefiles_are_moved_to_the_archive(logs: Logs, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    logs.leave(1, 2, 3)
    keeper = logs.keeper(max_files=2, archive=archive)
    keeper.make_room(0)
    keeper.close()

    assert logs.names() == ["t.3"]
    assert sorted(os.listdir(archive)) == ["t.1", "t.2"]
    assert logs.told.texts("archive") == [f"[!] Ringbuffer: archiving /logs/t.{n}" for n in (1, 2)]


def test_archive_on_a_full_volume_does_not_stop_the_recording(logs: Logs, tmp_path: Path) -> None:
    """Moving within a volume frees nothing: recording goes before keeping what is oldest."""
    archive = tmp_path / "archive"
    archive.mkdir()
    logs.leave(1, 2)
    keeper = logs.keeper(archive=archive)

    assert keeper.make_space(1)
    assert logs.names() == ["t.2"]
    assert os.listdir(archive) == []
    keeper.close()


def test_archive_that_takes_too_long_is_told(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    archive = tmp_path / "archive"
    archive.mkdir()
    keeper = logs.keeper(archive=archive)
    archiver = keeper._archiver
    assert archiver is not None
    close: Callable[[float], bool] = archiver.close

    def never(timeout_s: float) -> bool:
        asked.append(timeout_s)
        close(timeout_s)
        return False

    monkeypatch.setattr(archiver, "close", never)
    keeper.close()

    assert asked == [30.0]
    assert logs.told.texts() == ["[!] Archiving took more than 30 s; the rest stays where it is"]


def test_directory_that_cannot_be_read(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageError, match=r"^log directory /logs: Input/output error$"):
        logs.keeper()


def test_volume_that_cannot_be_asked(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    keeper = logs.keeper(max_percent=50.0)
    monkeypatch.setattr(module, "look_at_volume", fail)
    with pytest.raises(StorageError, match=r"^/logs: Input/output error$"):
        keeper.make_room(0)


def test_volume_is_the_directorys(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    volume = look_at_volume(fd)
    status = os.fstatvfs(fd)
    os.close(fd)

    assert volume.total_bytes == status.f_blocks * status.f_frsize
    # Blocks reserved for root are not for us; others may write meanwhile.
    assert volume.free_bytes <= status.f_bfree * status.f_frsize + 64 * MIB
    assert volume.free_bytes > 0


class Pinned:
    """What is pinned, and how often it was waited for."""

    def __init__(self, *spans_s: tuple[int, int], known: bool = True) -> None:
        self.now = Pins((begin * 10**9, end * 10**9) for begin, end in spans_s)
        self.pins_known = known
        self.comes = Pins()
        self.waits = 0

    def pins(self) -> Pins:
        return self.now

    def wait_for_pins(self) -> bool:
        self.waits += 1
        self.pins_known = bool(self.comes)
        self.now = self.comes or self.now
        return self.pins_known


def leave_in_the_past(logs: Logs, *epochs: int) -> None:
    """Savefiles that were written in the second they are named after."""
    for epoch in epochs:
        logs.leave(epoch, modified_s=epoch)


def test_what_is_pinned_stays(logs: Logs) -> None:
    leave_in_the_past(logs, 100, 200, 300, 400, 500)
    keeper = logs.keeper(max_files=3)
    keeper.keep_pinned(Pinned((100, 110), (300, 301)))
    keeper.make_room(FILE_BYTES)

    assert logs.names() == ["t.100", "t.300"]
    assert keeper.state.pinned_bytes == 2 * FILE_BYTES
    assert keeper.state.oldest_epoch == 100


def test_the_savefile_being_written_counts_with_what_it_holds_by_now(logs: Logs) -> None:
    keeper = logs.keeper(max_files=5)
    first, second = logs.roll(keeper, 100), logs.roll(keeper, 200)
    logs.seal(keeper, first)
    for size_bytes in (24, 700):
        keeper.grown(second, size_bytes)
        assert (keeper.state.files, keeper.state.size_bytes) == (2, FILE_BYTES + size_bytes)
    keeper.look_after(second, 800, FILE_BYTES)
    assert (keeper.state.files, keeper.state.size_bytes) == (2, FILE_BYTES + 800)


def test_the_savefile_being_written_is_pinned_too(logs: Logs) -> None:
    leave_in_the_past(logs, 100)
    keeper = logs.keeper(max_files=5)
    keeper.keep_pinned(Pinned((0, 1 << 33)))
    name = logs.roll(keeper, 200)
    keeper.grown(name, 700)

    assert keeper.state.pinned_bytes == FILE_BYTES + 700
    assert keeper.state.pinned_open_bytes == 700
    logs.seal(keeper, name)
    assert (keeper.state.pinned_bytes, keeper.state.pinned_open_bytes) == (2 * FILE_BYTES, 0)


def test_the_savefile_being_written_is_of_no_span_that_is_over(logs: Logs) -> None:
    leave_in_the_past(logs, 100)
    keeper = logs.keeper(max_files=5)
    keeper.keep_pinned(Pinned((0, 110)))
    keeper.grown(logs.roll(keeper, 200), 700)

    assert (keeper.state.pinned_bytes, keeper.state.pinned_open_bytes) == (FILE_BYTES, 0)


def test_pins_alone_fill_the_limit(logs: Logs) -> None:
    leave_in_the_past(logs, 100, 200, 300)
    keeper = logs.keeper(max_files=3)
    keeper.keep_pinned(Pinned((0, 1000)))
    for _ in range(3):
        keeper.make_room(FILE_BYTES)

    assert logs.names() == ["t.100", "t.200", "t.300"]
    left = f"nothing left to prune but what is pinned (3 savefiles, {3 * FILE_BYTES} bytes)"
    assert logs.told.texts() == [
        f"[!] Ringbuffer: max files 3: {left}, going on while there is room"
    ]
    assert keeper.nothing_to_prune
    assert not keeper.make_space(1)


def test_pins_that_are_taken_away_free_what_they_kept(logs: Logs) -> None:
    leave_in_the_past(logs, 100, 200, 300)
    keeper = logs.keeper(max_files=2)
    pinned = Pinned((0, 1000))
    keeper.keep_pinned(pinned)
    keeper.make_room(FILE_BYTES)
    assert len(logs.names()) == 3
    pinned.now = Pins()
    keeper.make_room(FILE_BYTES)

    assert logs.names() == ["t.300"]


def test_nothing_is_pruned_before_pins_are_known(logs: Logs) -> None:
    leave_in_the_past(logs, 100, 200, 300)
    keeper = logs.keeper(max_files=3)
    pinned = Pinned(known=False)
    pinned.comes = Pins([(100 * 10**9, 101 * 10**9)])
    keeper.keep_pinned(pinned)
    keeper.make_room(FILE_BYTES)

    assert (pinned.waits, logs.names()) == (1, ["t.100", "t.300"])


def test_pins_are_not_waited_for_where_nothing_would_be_pruned(logs: Logs) -> None:
    leave_in_the_past(logs, 100)
    keeper = logs.keeper(max_files=3)
    pinned = Pinned(known=False)
    keeper.keep_pinned(pinned)
    keeper.make_room(FILE_BYTES)

    assert (pinned.waits, logs.told.all) == (0, [])


def test_pins_that_do_not_come_do_not_stop_the_ring(logs: Logs) -> None:
    leave_in_the_past(logs, 100, 200, 300)
    keeper = logs.keeper(max_files=2)
    pinned = Pinned(known=False)
    keeper.keep_pinned(pinned)
    for _ in range(2):
        keeper.make_room(FILE_BYTES)

    assert (pinned.waits, logs.names()) == (1, ["t.300"])
    assert logs.told.events() == ["pins_unknown", "prune", "prune"]


def test_what_else_grows_on_the_volume_has_its_room(logs: Logs) -> None:
    logs.leave(*range(1, 11))
    keeper = logs.keeper(min_free_bytes=89 * FILE_BYTES)
    keeper.share_volume(lambda: 2 * FILE_BYTES)
    keeper.make_room(FILE_BYTES)

    # One for the next savefile and two for the other are to be free beside those 89.
    assert logs.free_bytes == 92 * FILE_BYTES


def test_what_others_removed_while_it_was_written_is_not_counted(logs: Logs) -> None:
    keeper = logs.keeper()
    name = logs.roll(keeper, 1)
    keeper.grown(name, FILE_BYTES)
    assert (keeper.state.files, keeper.state.size_bytes) == (1, FILE_BYTES)
    keeper.removed(name)

    assert (keeper.state.files, keeper.state.size_bytes) == (0, 0)
    assert name.name not in keeper.ring
