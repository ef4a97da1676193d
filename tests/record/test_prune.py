"""Pruning for real: what goes, what stays, and what is said about it."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from daemonlogger_py.record import prune as module
from daemonlogger_py.record.archive import Archiver, Outcome
from daemonlogger_py.record.prune import Pruner
from daemonlogger_py.record.retention import Limits, Prune, Volume
from daemonlogger_py.record.ring import Ring
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.leases import hold
from daemonlogger_py.savefile.names import Naming

WAIT_S = 20.0
NAMING = Naming("t")


class Bench:
    """A log directory with savefiles of 4096 bytes, its ring, and what was told."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.fd = os.open(logs, os.O_RDONLY | os.O_DIRECTORY)
        self.told: list[tuple[str, str]] = []
        self.ring = Ring(self.fd, NAMING, this_run_only=False)
        self.pruner = Pruner(self.ring, self.fd, "/var/log/pcap/", self.tell)

    def tell(self, event: str, text: str, /, **facts: object) -> None:
        assert "\n" not in text
        self.told.append((event, text))

    def fill(self, count: int) -> list[Savefile]:
        for epoch in range(count):
            (self.logs / f"t.{epoch}").write_bytes(b"x" * 4096)
        self.ring.adopt()
        return list(self.ring.oldest_first())

    def apply(self, *savefiles: Savefile, force_delete: bool = False) -> list[Savefile]:
        prunes = [Prune(savefile, "max files 5") for savefile in savefiles]
        done = self.pruner.apply(prunes, force_delete=force_delete)
        return [prune.savefile for prune in done]

    def enforce(
        self, limits: Limits, volume: Volume | None = None, opening: int = 0
    ) -> tuple[list[int], tuple[str, ...]]:
        look = None if volume is None else lambda: volume
        result = self.pruner.enforce(limits, look, reserve_bytes=0, now_ns=0, opening=opening)
        return [prune.savefile.epoch for prune in result.pruned], result.unmet

    def left(self) -> list[str]:
        return sorted(os.listdir(self.logs))

    def known(self) -> list[str]:
        return [savefile.name for savefile in self.ring.oldest_first()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    logs = tmp_path / "logs"
    logs.mkdir()
    bench = Bench(logs)
    yield bench
    os.close(bench.fd)


class Archive:
    """An archiver whose worker stops at a gate before it reports."""

    def __init__(self, bench: Bench, target: Path, capacity: int = 16) -> None:
        target.mkdir()
        self.target = target
        self.pruner = bench.pruner
        self.entered, self.go = threading.Event(), threading.Event()
        self.archiver = Archiver(bench.fd, str(target), NAMING, self.finished, capacity=capacity)
        # The directories share a volume here; the ring is to believe otherwise.
        self.archiver.same_volume = False
        bench.pruner.archive_to(self.archiver)

    def finished(self, outcome: Outcome) -> None:
        self.entered.set()
        assert self.go.wait(WAIT_S)
        self.pruner.finished(outcome)

    def finish(self) -> None:
        self.go.set()
        assert self.archiver.close(WAIT_S)
        self.pruner.settle()


@pytest.fixture
def archive(bench: Bench, tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(bench, tmp_path / "archive", capacity=2)
    yield archive
    archive.finish()


def unremovable(monkeypatch: pytest.MonkeyPatch, names: set[str], code: int) -> list[str]:
    tried: list[str] = []
    unlink = os.unlink

    def failing(path: str, *, dir_fd: int | None = None) -> None:
        if path in names:
            tried.append(path)
            raise OSError(code, os.strerror(code))
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", failing)
    return tried


def test_deletes_and_says_so(bench: Bench) -> None:
    first, second, _ = bench.fill(3)
    assert bench.apply(first, second) == [first, second]
    assert bench.left() == bench.known() == ["t.2"]
    assert bench.told == [
        ("prune", "[!] Ringbuffer: deleting /var/log/pcap/t.0"),
        ("prune", "[!] Ringbuffer: deleting /var/log/pcap/t.1"),
    ]


@contextmanager
def read(bench: Bench, *names: str) -> Iterator[None]:
    """Readers hold these savefiles meanwhile."""
    with ExitStack() as stack:
        for name in names:
            file = stack.enter_context((bench.logs / name).open("rb"))
            assert hold(file.fileno())
        yield


def test_what_is_read_goes_last(bench: Bench) -> None:
    bench.fill(6)
    with read(bench, "t.0", "t.2"):
        assert bench.enforce(Limits(max_files=4)) == ([1, 3], ())
    assert bench.left() == ["t.0", "t.2", "t.4", "t.5"]
    assert [event for event, _ in bench.told] == ["prune", "prune"]


def test_what_is_read_goes_when_there_is_nothing_else_and_that_is_said(bench: Bench) -> None:
    bench.fill(4)
    with read(bench, "t.0", "t.1", "t.3"):
        assert bench.enforce(Limits(max_files=2)) == ([2, 0], ())
    assert bench.left() == ["t.1", "t.3"]
    assert bench.told == [
        ("prune", "[!] Ringbuffer: deleting /var/log/pcap/t.2"),
        (
            "prune_read",
            "[!] Ringbuffer: /var/log/pcap/t.0 is being read, and has to go: max files 2",
        ),
        ("prune", "[!] Ringbuffer: deleting /var/log/pcap/t.0"),
    ]


def test_what_is_too_old_goes_though_it_is_read(bench: Bench) -> None:
    first, *_ = bench.fill(2)
    os.utime(bench.logs / first.name, (0, 0))
    bench.ring.remove(first)
    bench.ring.reconcile()
    with read(bench, first.name):
        done = bench.pruner.enforce(
            Limits(max_age_s=60), None, reserve_bytes=0, now_ns=time.time_ns()
        )
    assert [prune.savefile.name for prune in done.pruned] == [first.name]
    assert [event for event, _ in bench.told] == ["prune_read", "prune"]


def test_a_reader_that_is_done_is_noticed_after_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    bench.fill(4)
    with read(bench, "t.0"):
        assert bench.enforce(Limits(max_files=3))[0] == [1]
    assert bench.enforce(Limits(max_files=2))[0] == [2]  # not looked at again so soon
    now += module.LEASE_S
    assert bench.enforce(Limits(max_files=1))[0] == [0]


def test_a_full_volume_takes_what_is_read_last(bench: Bench) -> None:
    bench.fill(3)
    with read(bench, "t.0", "t.1"):
        done = bench.pruner.make_space(4096)
        assert [prune.savefile.name for prune in done.pruned] == ["t.2"]
        done = bench.pruner.make_space(4096)
        assert [prune.savefile.name for prune in done.pruned] == ["t.0"]
    assert "prune_read" in [event for event, _ in bench.told]


def test_archived_ones_are_told_by_both_their_names(bench: Bench) -> None:
    told: list[tuple[str, str]] = []
    bench.pruner.on_archived(lambda name, archived_as: told.append((name, archived_as)))
    first, second = bench.fill(2)
    bench.pruner.finished(Outcome(first, "t.0.001", None))
    bench.pruner.finished(Outcome(second, None, OSError(errno.EIO, "Input/output error")))
    bench.pruner.settle()

    assert told == [("t.0", "t.0.001")]


def test_what_someone_else_removed_is_not_ours(bench: Bench) -> None:
    first, second = bench.fill(2)
    (bench.logs / "t.0").unlink()
    assert bench.apply(first, second) == [second]
    assert bench.known() == []
    assert len(bench.told) == 1


def test_removed_between_the_look_and_the_deletion(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (savefile,) = bench.fill(1)
    unremovable(monkeypatch, {"t.0"}, errno.ENOENT)
    assert bench.apply(savefile) == []
    assert (bench.known(), bench.told) == ([], [])


@pytest.mark.parametrize("replacement", ["link", "directory", "fifo"])
@pytest.mark.parametrize("archived", [False, True])
def test_what_is_no_regular_file_now_stays(
    bench: Bench, tmp_path: Path, replacement: str, archived: bool
) -> None:
    (savefile,) = bench.fill(1)
    path = bench.logs / "t.0"
    path.unlink()
    if replacement == "link":
        (bench.logs / "evidence").write_bytes(b"evidence")
        path.symlink_to("evidence")
    elif replacement == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    before = bench.left()
    if archived:
        Archive(bench, tmp_path / "archive").finish()
    assert bench.apply(savefile) == []
    assert bench.left() == before
    assert (bench.known(), bench.told) == ([], [])


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EROFS, errno.EIO])
def test_what_cannot_be_removed_is_said_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    bench.fill(3)
    tried = unremovable(monkeypatch, {"t.0"}, code)
    path = "/var/log/pcap/t.0"
    # It no longer counts, so nothing else has to go.
    assert bench.enforce(Limits(max_files=2)) == ([], ())
    assert bench.known() == ["t.1", "t.2"]
    assert bench.told == [
        (
            "prune_failed",
            f"[!] Ringbuffer: cannot remove {path}: {os.strerror(code)}; it is left alone",
        )
    ]
    assert bench.enforce(Limits(max_files=1)) == ([1], ())
    assert tried == ["t.0"]
    bench.ring.reconcile()
    assert bench.enforce(Limits(max_files=1)) == ([], ())
    assert tried == ["t.0", "t.0"]
    assert [event for event, _ in bench.told].count("prune_failed") == 1


def test_what_cannot_be_removed_frees_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(4)
    unremovable(monkeypatch, {"t.0", "t.2"}, errno.EPERM)
    one = next(bench.ring.oldest_first()).allocated_bytes
    freed: list[int] = []

    def look() -> Volume:
        left = sum((bench.logs / name).stat().st_blocks * 512 for name in bench.left())
        freed.append(4 * one - left)
        return Volume(100 * one, freed[-1])

    limits = Limits(min_free_bytes=2 * one)
    result = bench.pruner.enforce(limits, look, reserve_bytes=0, now_ns=0)
    assert [prune.savefile.epoch for prune in result.pruned] == [1, 3]
    assert result.unmet == ()
    assert freed == [0, one, one]


def test_unreadable_entry_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (savefile,) = bench.fill(1)

    def failing(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", failing)
        assert bench.apply(savefile) == []
    assert [event for event, _ in bench.told] == ["prune_failed"]
    assert bench.left() == ["t.0"]


def test_enforce_without_limits_asks_no_volume(bench: Bench) -> None:
    bench.fill(3)

    def look() -> Volume:
        raise AssertionError("no limit needs the volume")

    result = bench.pruner.enforce(Limits(max_files=3), look, reserve_bytes=0, now_ns=0, opening=1)
    assert [prune.savefile.epoch for prune in result.pruned] == [0]


def test_enforce_says_what_does_not_hold(bench: Bench) -> None:
    bench.fill(2)
    assert bench.enforce(Limits(min_free_bytes=1 << 40), Volume(1 << 30, 0)) == (
        [0, 1],
        ("min free 1t",),
    )
    assert bench.left() == []


def test_make_space(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = bench.fill(4)
    unremovable(monkeypatch, {"t.1"}, errno.EPERM)
    result = bench.pruner.make_space(first.allocated_bytes + 1)
    assert [prune.savefile.epoch for prune in result.pruned] == [0, 2]
    assert {prune.reason for prune in result.pruned} == {"volume full"}
    assert result.unmet == ()
    assert bench.left() == ["t.1", "t.3"]
    assert bench.pruner.make_space(1 << 40).unmet == ("volume full",)


def test_archives_instead(bench: Bench, archive: Archive) -> None:
    first, second = bench.fill(2)
    assert bench.apply(first) == [first]
    assert bench.known() == ["t.1"]
    bench.ring.reconcile()
    assert bench.known() == ["t.1"], "what is on its way is not adopted again"
    archive.finish()
    assert (bench.left(), os.listdir(archive.target)) == (["t.1"], ["t.0"])
    assert bench.told == [("archive", "[!] Ringbuffer: archiving /var/log/pcap/t.0")]
    assert not bench.pruner.archiving_fails
    assert bench.apply(second) == [], "a closed archiver takes nothing"
    assert bench.known() == ["t.1"]


def test_what_does_not_fit_in_the_queue_waits(bench: Bench, archive: Archive) -> None:
    bench.fill(6)
    assert bench.enforce(Limits(max_files=5)) == ([0], ())
    assert archive.entered.wait(WAIT_S)
    assert bench.enforce(Limits(max_files=1)) == ([1, 2], ())
    assert bench.known() == ["t.3", "t.4", "t.5"]
    archive.finish()
    assert bench.known() == ["t.3", "t.4", "t.5"]


def test_what_is_on_its_way_counts_as_free(bench: Bench, archive: Archive) -> None:
    one = bench.fill(3)[0].allocated_bytes
    full = Volume(100 * one, 0)
    assert bench.enforce(Limits(min_free_bytes=one), full) == ([0], ())
    assert archive.entered.wait(WAIT_S)
    assert bench.enforce(Limits(min_free_bytes=one), full) == ([], ())
    assert bench.pruner.make_space(one).pruned == ()
    assert [p.savefile.epoch for p in bench.pruner.make_space(one + 1).pruned] == [1]


def test_archive_on_the_same_volume_gives_no_space(bench: Bench, archive: Archive) -> None:
    archive.archiver.same_volume = True
    bench.fill(3)
    limits = Limits(max_files=2, min_free_bytes=1)
    assert bench.enforce(limits, Volume(10, 0)) == ([0], ("min free 1",))
    assert archive.entered.wait(WAIT_S)
    assert bench.pruner.make_space(1).unmet == ("volume full",)
    forced = bench.pruner.make_space(1, force_delete=True)
    assert [prune.savefile.epoch for prune in forced.pruned] == [1]


def test_force_delete_takes_the_queue_first(bench: Bench, archive: Archive) -> None:
    savefiles = bench.fill(5)
    one = savefiles[0].allocated_bytes
    assert bench.apply(savefiles[0]) == [savefiles[0]]
    assert archive.entered.wait(WAIT_S)
    assert bench.apply(*savefiles[1:3]) == savefiles[1:3]
    result = bench.pruner.make_space(3 * one, force_delete=True)
    assert [prune.savefile.epoch for prune in result.pruned] == [1, 2, 3]
    assert result.unmet == ()
    archive.finish()
    assert (bench.left(), os.listdir(archive.target)) == (["t.4"], ["t.0"])


def test_failed_archiving_keeps_the_savefile_and_is_said_once(
    bench: Bench, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = bench.fill(3)
    rename = os.rename
    broken = threading.Event()
    broken.set()

    def failing(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if broken.is_set():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", failing)
    archive.go.set()
    outcomes = threading.Semaphore(0)
    take = archive.pruner.finished

    def finished(outcome: Outcome) -> None:
        take(outcome)
        outcomes.release()

    monkeypatch.setattr(archive.pruner, "finished", finished)
    assert bench.apply(first, second) == [first, second]
    assert outcomes.acquire(timeout=WAIT_S)
    assert outcomes.acquire(timeout=WAIT_S)
    bench.pruner.settle()
    assert bench.known() == bench.left() == ["t.0", "t.1", "t.2"]
    assert [bench.pruner.archiving_fails] == [True]
    assert bench.told[2:] == [
        (
            "archive_failed",
            "[!] Ringbuffer: cannot archive /var/log/pcap/t.0: Read-only file system; it stays",
        )
    ]
    assert bench.apply(first, force_delete=True) == [first]
    broken.clear()
    assert bench.apply(third) == [third]
    archive.finish()
    assert [bench.pruner.archiving_fails] == [False]
    assert bench.told[-1] == ("archive_recovered", "[-] Archiving works again")
    assert bench.left() == bench.known() == ["t.1"]


def test_removed_before_the_archiver_came_to_it(bench: Bench, archive: Archive) -> None:
    first, second = bench.fill(2)
    assert bench.apply(first) == [first]
    assert archive.entered.wait(WAIT_S)
    assert bench.apply(second) == [second]
    (bench.logs / "t.1").unlink()
    archive.finish()
    assert (bench.known(), len(bench.ring)) == ([], 0)
    assert [event for event, _ in bench.told] == ["archive", "archive"]


def test_what_repairs_kept_goes_with_the_savefile_and_not_before(bench: Bench) -> None:
    for aside in ("t.0.damaged", ".t.0.repairing", "t.1.damaged"):
        (bench.logs / aside).write_bytes(b"x" * 4096)
    bench.fill(3)
    pruned, unmet = bench.enforce(Limits(max_bytes=4 * 4096))

    # The first and what was kept of it are three files' bytes.
    assert (pruned, unmet) == ([0], ())
    assert bench.left() == ["t.1", "t.1.damaged", "t.2"]
    assert [text for event, text in bench.told if event.startswith("prune")] == [
        "[!] Ringbuffer: deleting /var/log/pcap/.t.0.repairing",
        "[!] Ringbuffer: deleting /var/log/pcap/t.0.damaged",
        "[!] Ringbuffer: deleting /var/log/pcap/t.0",
    ]
    # It takes the place of no savefile.
    assert bench.enforce(Limits(max_files=2)) == ([], ())


def test_an_original_whose_savefile_is_gone_has_its_turn(bench: Bench) -> None:
    (bench.logs / "t.0.damaged").write_bytes(b"x" * 4096)
    bench.fill(3)
    (bench.logs / "t.0").unlink()
    bench.ring.reconcile()
    assert bench.enforce(Limits(max_bytes=2 * 4096)) == ([0], ())
    assert bench.left() == ["t.1", "t.2"]


def test_what_is_gone_beside_a_savefile_is_no_matter(bench: Bench) -> None:
    (bench.logs / "t.0.damaged").write_bytes(b"x")
    oldest = bench.fill(2)[0]
    (bench.logs / "t.0.damaged").unlink()
    assert bench.apply(oldest) == [oldest]
    assert bench.left() == ["t.1"]
