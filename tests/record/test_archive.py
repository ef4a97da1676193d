"""Archiving: on one file system and across two, never overwriting, never losing the source."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record.archive import Archiver, Outcome
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.names import Naming

WAIT_S = 20.0


class Bench:
    """A log directory, an archive, an archiver between them and what it said."""

    def __init__(self, logs: Path, archive: Path) -> None:
        self.logs, self.archive = logs, archive
        self.fd = os.open(logs, os.O_RDONLY | os.O_DIRECTORY)
        self.outcomes: list[Outcome] = []
        self.archiver = self.another()

    def another(self, capacity: int = 16) -> Archiver:
        return Archiver(
            self.fd, str(self.archive), Naming("t"), self.outcomes.append, capacity=capacity
        )

    def savefile(self, name: str, content: bytes = b"packets", mode: int = 0o640) -> Savefile:
        path = self.logs / name
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(1, 1_228_873_098_123_456_789))
        return known(name, len(content))

    def move(self, *savefiles: Savefile) -> list[Outcome]:
        for savefile in savefiles:
            assert self.archiver.submit(savefile)
        assert self.archiver.close(WAIT_S)
        return self.outcomes

    def close(self) -> None:
        self.archiver.close(WAIT_S)
        os.close(self.fd)

    def archived(self) -> list[str]:
        return sorted(os.listdir(self.archive))

    def left(self) -> list[str]:
        return sorted(os.listdir(self.logs))


def known(name: str, size: int = 0) -> Savefile:
    parsed = Naming("t").parse(name)
    assert parsed is not None
    return Savefile(parsed.epoch, parsed.serial, name, size, size, 0)


def refuse_rename(code: int) -> Callable[..., None]:
    """A rename that fails between the two directories and works within one."""
    rename = os.rename

    def failing(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if src_dir_fd != dst_dir_fd:
            raise OSError(code, os.strerror(code))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    return failing


@pytest.fixture(params=["rename", "copy", "other volume"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """The same tests over every way a savefile can be moved."""
    logs = tmp_path / "logs"
    logs.mkdir()
    archive = tmp_path / "archive"
    if request.param == "other volume":
        if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
            pytest.skip("the temporary directory is on /dev/shm, too")
        archive = Path(tempfile.mkdtemp(dir="/dev/shm"))
    else:
        archive.mkdir()
    if request.param == "copy":
        monkeypatch.setattr(os, "rename", refuse_rename(errno.EXDEV))
    bench = Bench(logs, archive)
    assert bench.archiver.same_volume == (request.param != "other volume")
    yield bench
    bench.close()
    shutil.rmtree(archive)


@pytest.fixture
def copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "logs").mkdir()
    (tmp_path / "archive").mkdir()
    monkeypatch.setattr(os, "rename", refuse_rename(errno.EXDEV))
    bench = Bench(tmp_path / "logs", tmp_path / "archive")
    yield bench
    bench.close()


def test_moves_whole_with_time_and_mode(bench: Bench) -> None:
    content = os.urandom(9 << 20)  # more than two chunks of a copy
    savefile = bench.savefile("t.5", content)
    assert bench.move(savefile) == [Outcome(savefile, "t.5", None)]
    assert (bench.left(), bench.archived()) == ([], ["t.5"])
    status = (bench.archive / "t.5").stat()
    assert (bench.archive / "t.5").read_bytes() == content
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime_ns == 1_228_873_098_123_456_789


def test_mode_is_not_widened(bench: Bench) -> None:
    bench.move(bench.savefile("t.5", mode=0o600))
    assert stat.S_IMODE((bench.archive / "t.5").stat().st_mode) == 0o600


def test_what_no_disk_refuses_does_not_end_the_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bench.savefile("t.5"), bench.savefile("t.6")
    move = Archiver._move

    def failing(archiver: Archiver, savefile: Savefile) -> str:
        if savefile is first:
            raise MemoryError("no room")
        return move(archiver, savefile)

    monkeypatch.setattr(Archiver, "_move", failing)
    failed, moved = bench.move(first, second)
    assert failed.savefile is first
    assert failed.error is not None
    assert failed.error.strerror == "MemoryError: no room"
    assert moved == Outcome(second, "t.6", None)


def test_empty_savefile(bench: Bench) -> None:
    assert bench.move(bench.savefile("t.5", b""))[0].error is None
    assert (bench.archive / "t.5").read_bytes() == b""


def test_never_overwrites(bench: Bench) -> None:
    (bench.archive / "t.5").write_bytes(b"earlier")
    (bench.archive / "t.5.001").symlink_to("nowhere")
    (bench.archive / "t.5.002").mkdir()
    outcomes = bench.move(bench.savefile("t.5", b"later"), bench.savefile("t.5.002", b"last"))
    assert [outcome.archived_as for outcome in outcomes] == ["t.5.003", "t.5.004"]
    assert (bench.archive / "t.5").read_bytes() == b"earlier"
    assert (bench.archive / "t.5.003").read_bytes() == b"later"
    assert (bench.archive / "t.5.004").read_bytes() == b"last"
    assert not (bench.archive / "nowhere").exists()
    assert len(bench.archived()) == 5


def test_name_with_leading_zeros_is_kept(bench: Bench) -> None:
    (outcome,) = bench.move(bench.savefile("t.0005.01"))
    assert outcome.archived_as == "t.0005.01"


def test_a_second_archived_twice_does_not_try_every_name_each_time(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 50
    for serial in range(count):
        (copying.archive / Naming("t").format(5, serial)).touch()
    monkeypatch.undo()
    opened: list[str] = []
    really_open = os.open

    def counting(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return really_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counting)
    archiver = copying.another(capacity=count)
    for serial in range(count):
        assert archiver.submit(copying.savefile(Naming("t").format(5, serial)))
    assert archiver.close(WAIT_S)
    assert [outcome.error for outcome in copying.outcomes] == [None] * count
    # The first looks through all that are there; each other tries its own and the next free one.
    assert len(opened) <= count + 3 * count


@pytest.mark.parametrize("replacement", ["gone", "link", "directory", "fifo"])
def test_what_is_no_longer_a_savefile(bench: Bench, replacement: str) -> None:
    savefile = bench.savefile("t.5")
    path = bench.logs / "t.5"
    path.unlink()
    if replacement == "link":
        (bench.logs / "evidence").write_bytes(b"evidence")
        path.symlink_to("evidence")
    elif replacement == "directory":
        path.mkdir()
    elif replacement == "fifo":
        os.mkfifo(path)
    before = bench.left()
    (outcome,) = bench.move(savefile)
    assert outcome.archived_as is None
    assert outcome.error is not None
    assert isinstance(outcome.error, FileNotFoundError) == (replacement == "gone")
    assert (bench.left(), bench.archived()) == (before, [])


def fail(monkeypatch: pytest.MonkeyPatch, function: str, code: int) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, failing)


@pytest.mark.parametrize("function", ["sendfile", "fsync", "ftruncate", "fchmod"])
def test_a_failed_copy_leaves_the_source_and_nothing_else(
    copying: Bench, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    savefile = copying.savefile("t.5")
    fail(monkeypatch, function, errno.EIO)
    (outcome,) = copying.move(savefile)
    assert outcome.error is not None
    assert outcome.error.errno == errno.EIO
    assert (copying.left(), copying.archived()) == (["t.5"], [])
    assert (copying.logs / "t.5").read_bytes() == b"packets"


def test_a_copy_that_cannot_be_published_leaves_the_source_and_nothing_else(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    savefile = copying.savefile("t.5")
    codes = iter([errno.EXDEV, errno.EIO])

    def failing(*_: object, **__: object) -> None:
        raise OSError(next(codes), "no")

    monkeypatch.setattr(os, "rename", failing)
    (outcome,) = copying.move(savefile)
    assert outcome.error is not None
    assert outcome.error.errno == errno.EIO
    assert (copying.left(), copying.archived()) == (["t.5"], [])


def test_a_file_system_without_modes_is_no_failure(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    savefile = copying.savefile("t.5")
    fail(monkeypatch, "fchmod", errno.EPERM)
    assert copying.move(savefile) == [Outcome(savefile, "t.5", None)]


def test_a_refused_rename_leaves_the_source_and_nothing_else(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "rename", refuse_rename(errno.EACCES))
    (outcome,) = copying.move(copying.savefile("t.5"))
    assert isinstance(outcome.error, PermissionError)
    assert (copying.left(), copying.archived()) == (["t.5"], [])


def test_source_that_cannot_be_removed_is_not_archived(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def failing(path: str, *, dir_fd: int) -> None:
        if dir_fd == copying.fd:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", failing)
    (outcome,) = copying.move(copying.savefile("t.5"))
    assert isinstance(outcome.error, PermissionError)
    assert (copying.left(), copying.archived()) == (["t.5"], [])


def test_source_removed_during_the_copy_leaves_the_copy(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    savefile = copying.savefile("t.5")
    sendfile = os.sendfile

    def removing(target: int, source: int, offset: int, count: int) -> int:
        (copying.logs / "t.5").unlink()
        return sendfile(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", removing)
    assert copying.move(savefile) == [Outcome(savefile, "t.5", None)]
    assert (copying.archive / "t.5").read_bytes() == b"packets"


def test_source_that_shrinks_is_not_archived(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    (outcome,) = copying.move(copying.savefile("t.5"))
    assert outcome.error is not None
    assert "byte 0 of 7" in str(outcome.error)
    assert (copying.left(), copying.archived()) == (["t.5"], [])


def test_no_room_is_known_before_it_is_used_up(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    savefile = copying.savefile("t.5")
    with (copying.logs / "t.5").open("wb") as sparse:
        sparse.truncate(1 << 42)
    monkeypatch.setattr(os, "sendfile", lambda *_: pytest.fail("the copy was begun"))
    (outcome,) = copying.move(savefile)
    assert outcome.error is not None
    assert outcome.error.errno == errno.ENOSPC
    assert (copying.left(), copying.archived()) == (["t.5"], [])


def test_part_of_a_dead_recorder_is_replaced(copying: Bench) -> None:
    (copying.archive / ".t.5.part").write_bytes(b"longer than what is copied now")
    assert copying.move(copying.savefile("t.5"))[0].error is None
    assert copying.archived() == ["t.5"]
    assert (copying.archive / "t.5").read_bytes() == b"packets"


def test_part_of_a_recorder_at_work_is_left_alone(copying: Bench) -> None:
    part = copying.archive / ".t.5.part"
    part.write_bytes(b"half of")
    with part.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        (outcome,) = copying.move(copying.savefile("t.5"))
    assert outcome.error is not None
    assert copying.left() == ["t.5"]
    assert part.read_bytes() == b"half of"


@pytest.mark.parametrize("also_begun_again", [False, True])
def test_part_published_just_now_is_not_emptied(
    copying: Bench, monkeypatch: pytest.MonkeyPatch, also_begun_again: bool
) -> None:
    part = copying.archive / ".t.5.part"
    part.write_bytes(b"whole")
    flock = fcntl.flock

    def publishing(fd: int, operation: int) -> None:
        os.replace(part, copying.archive / "t.5")
        if also_begun_again:
            part.write_bytes(b"half of")
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", publishing)
    (outcome,) = copying.move(copying.savefile("t.5", b"mine"))
    assert outcome.error is not None
    assert (copying.archive / "t.5").read_bytes() == b"whole"
    assert (copying.logs / "t.5").read_bytes() == b"mine"


def test_part_that_is_a_link_is_not_followed(copying: Bench) -> None:
    evidence = copying.logs / "evidence"
    evidence.write_bytes(b"evidence")
    (copying.archive / ".t.5.part").symlink_to(evidence)
    (outcome,) = copying.move(copying.savefile("t.5"))
    assert outcome.error is not None
    assert evidence.read_bytes() == b"evidence"
    assert (copying.logs / "t.5").read_bytes() == b"packets"


class Gate:
    """A callback that holds the worker until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.outcomes: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.entered.set()
        assert self.go.wait(WAIT_S)


def test_no_thread_before_the_first_savefile(bench: Bench) -> None:
    assert not any(thread.name == "archiver" for thread in threading.enumerate())
    bench.move(bench.savefile("t.5"))
    assert not any(thread.name == "archiver" for thread in threading.enumerate())


def test_full_queue_and_withdrawal(bench: Bench) -> None:
    gate = Gate()
    archiver = Archiver(bench.fd, str(bench.archive), Naming("t"), gate, capacity=2)
    first = bench.savefile("t.1", b"12345")
    assert archiver.submit(first)
    assert gate.entered.wait(WAIT_S)
    second, third, fourth = (bench.savefile(f"t.{epoch}", b"12345") for epoch in (2, 3, 4))
    assert archiver.submit(second)
    assert archiver.submit(third)
    assert not archiver.submit(fourth)
    assert archiver.pending_bytes == (0 if archiver.same_volume else 15)
    assert archiver.withdraw() == [second, third]
    assert archiver.submit(fourth)
    gate.go.set()
    assert archiver.close(WAIT_S)
    assert not archiver.submit(fourth)
    assert archiver.pending_bytes == 0
    assert archiver.close(WAIT_S)
    assert [outcome.savefile for outcome in gate.outcomes] == [first, fourth]
    assert bench.left() == ["t.2", "t.3"]


def test_close_drains(bench: Bench) -> None:
    savefiles = [bench.savefile(f"t.{epoch}") for epoch in range(10)]
    assert [outcome.savefile for outcome in bench.move(*savefiles)] == savefiles
    assert bench.left() == []
    assert len(bench.archived()) == 10


def test_close_gives_up_in_time_and_keeps_the_rest(
    copying: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that would take for ever, one byte at a time."""
    entered = threading.Event()

    def crawling(target: int, source: int, offset: int, count: int) -> int:
        entered.set()
        return 1

    savefiles = [copying.savefile(f"t.{epoch}", b"x") for epoch in (1, 2)]
    with (copying.logs / "t.1").open("wb") as sparse:
        sparse.truncate(200 << 20)
    monkeypatch.setattr(os, "sendfile", crawling)
    for savefile in savefiles:
        assert copying.archiver.submit(savefile)
    assert entered.wait(WAIT_S)
    assert not copying.archiver.close(0)
    (outcome,) = copying.outcomes
    assert outcome.error is not None
    assert outcome.error.errno == errno.ECANCELED
    assert (copying.left(), copying.archived()) == (["t.1", "t.2"], [])


def test_close_does_not_wait_for_a_disk_that_never_answers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemonlogger_py.record.archive._ABORT_S", 0.0)
    gate = Gate()
    archiver = Archiver(bench.fd, str(bench.archive), Naming("t"), gate)
    assert archiver.submit(bench.savefile("t.5"))
    assert gate.entered.wait(WAIT_S)
    assert not archiver.close(0)
    gate.go.set()
    assert archiver.close(WAIT_S)


@pytest.mark.parametrize("target", ["missing", "file"])
def test_no_archive_directory(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(StorageError, match=f"archive directory .*{target}"):
        Archiver(fd, str(tmp_path / target), Naming("t"), lambda outcome: None)
    os.close(fd)


@pytest.mark.parametrize("same_volume", [True, False])
def test_what_a_repair_kept_follows_its_savefile(bench: Bench, *, same_volume: bool) -> None:
    bench.archiver.same_volume = same_volume
    (bench.archive / "t.5").write_bytes(b"another")
    (bench.archive / "t.5.001.damaged").write_bytes(b"another")
    savefile = bench.savefile("t.5", b"repaired")
    beside = {"t.5.damaged": b"original", "t.5.damaged.1": b"before", ".t.5.repairing": b"half"}
    for name, content in beside.items():
        (bench.logs / name).write_bytes(content)
    (outcome,) = bench.move(replace(savefile, asides=(*beside, "t.5.damaged.7")))

    assert (outcome.archived_as, outcome.error) == ("t.5.001", None)
    assert bench.left() == []
    assert {name: (bench.archive / name).read_bytes() for name in bench.archived()} == {
        "t.5": b"another",
        "t.5.001": b"repaired",
        "t.5.001.damaged": b"another",
        "t.5.001.damaged.1": b"original",
        "t.5.001.damaged.1.1": b"before",
    }


def test_originals_of_savefiles_that_are_gone(bench: Bench) -> None:
    (bench.archive / "t.5.damaged").write_bytes(b"another")
    for name in ("t.5.damaged", ".t.6.repairing"):
        (bench.logs / name).write_bytes(b"packets")
    outcomes = bench.move(
        Savefile(5, 0, "t.5.damaged", 7, 7, 0), Savefile(6, 0, ".t.6.repairing", 7, 7, 0)
    )

    assert [outcome.error for outcome in outcomes] == [None, None]
    assert bench.left() == []
    assert bench.archived() == ["t.5.damaged", "t.5.damaged.1"]
