"""Every savefile that can have a sidecar has one, whatever happened before and beside."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from daemonlogger_py.config.archive import IndexConfig, Where
from daemonlogger_py.errors import CatalogError, StorageError, UsageError
from daemonlogger_py.readers.archive import Archive, Member
from daemonlogger_py.readers.index import indexing
from daemonlogger_py.readers.index.indexing import run
from daemonlogger_py.savefile.catalog import Catalog

from ..extract import traffic
from .known import savefile

PREFIX = "r"
WAIT_S = 10.0
KILLED = """
import sys
from daemonlogger_py.config.archive import IndexConfig, Where
from daemonlogger_py.readers.index.indexing import run
print(flush=True)
run(IndexConfig(Where(rings=(sys.argv[1],)), rebuild=True, progress=False, smallest_bytes=0))
"""


class Ring:
    """A directory of savefiles."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ring"
        self.path.mkdir()
        self.index = self.path / f"{PREFIX}.index"

    def add(self, number: int, *, prefix: str = PREFIX) -> Path:
        return savefile(self.path, traffic.packets(number, 20), name=f"{prefix}.{number}")

    def config(self, **settings: object) -> IndexConfig:
        where = Where(rings=(str(self.path),), prefix=PREFIX)
        fields = {"smallest_bytes": 0, **settings}
        return IndexConfig(where, progress=False, **fields)  # type: ignore[arg-type]

    def indexed(self) -> list[str]:
        return sorted(os.listdir(self.index))


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    made = Ring(tmp_path)
    for number in (100, 101, 102):
        made.add(number)
    return made


def numbers(folder: Path) -> dict[str, int]:
    """Of the files by name: a file that is replaced gets another."""
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_all_savefiles_of_a_ring(ring: Ring, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ring.config()) == 0

    assert ring.indexed() == ["r.100.npz", "r.101.npz", "r.102.npz"]
    out = capsys.readouterr().out
    assert out.startswith("3 indexed (")
    assert out.endswith(" % of the savefiles)\n")


def test_only_what_needs_one_is_indexed(ring: Ring, capsys: pytest.CaptureFixture[str]) -> None:
    run(ring.config())
    before = numbers(ring.index)
    ring.add(101)
    (ring.index / "r.102.npz").write_bytes(b"damaged")
    capsys.readouterr()

    assert run(ring.config(verbose=True)) == 0

    after = numbers(ring.index)
    assert {name for name in after if after[name] != before[name]} == {"r.101.npz", "r.102.npz"}
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(": indexed, ")[0] for line in lines[:-1]) == [
        f"{ring.path}/r.101",
        f"{ring.path}/r.102",
    ]
    assert lines[-1].startswith("2 indexed (")


def test_rebuild_makes_all_of_them_anew(ring: Ring) -> None:
    run(ring.config())
    before = numbers(ring.index)

    assert run(ring.config(rebuild=True, jobs=1)) == 0

    after = numbers(ring.index)
    assert all(after[name] != before[name] for name in before)


def test_what_is_left_of_the_dead_is_removed(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ring.config())
    (ring.path / "r.100").unlink()
    (ring.index / ".77-12345.tmp").write_bytes(b"by one that was killed")
    (ring.index / "other.100.npz").touch()
    (ring.index / "notes").touch()
    capsys.readouterr()

    assert run(ring.config(verbose=True)) == 0

    assert ring.indexed() == ["notes", "other.100.npz", "r.101.npz", "r.102.npz"]
    assert capsys.readouterr().out.splitlines() == [
        f"{ring.index}/r.100.npz: removed",
        "0 indexed, 1 removed",
    ]


def test_other_kinds_of_files_are_passed_over(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    (ring.path / "r.103").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(28))

    assert run(ring.config(verbose=True)) == 0

    out = capsys.readouterr().out
    assert f"{ring.path}/r.103: passed over: not a classic pcap\n" in out
    assert out.splitlines()[-1].endswith(", 1 passed over")


def test_small_ones_get_none_and_lose_what_they_had(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ring.config())
    large = savefile(ring.path, traffic.packets(9, 400), name="r.103")
    smallest_bytes = large.stat().st_size
    capsys.readouterr()

    assert run(ring.config(smallest_bytes=smallest_bytes, verbose=True)) == 0

    assert ring.indexed() == ["r.103.npz"]
    lines = capsys.readouterr().out.splitlines()
    for number in (100, 101, 102):
        assert f"{ring.path}/r.{number}: passed over: smaller than {smallest_bytes} bytes" in lines
        assert f"{ring.index}/r.{number}.npz: removed" in lines
    assert lines[-1].startswith("1 indexed (")
    assert lines[-1].endswith(", 3 too small to need an index, 3 removed")

    assert run(ring.config(smallest_bytes=smallest_bytes, rebuild=True)) == 0
    assert ring.indexed() == ["r.103.npz"]


def test_one_that_is_small_as_yet_is_waited_for(
    ring: Ring, following: Callable[[Callable[[], None]], None]
) -> None:
    content = savefile(ring.path, traffic.packets(9, 400), name="a.pcap").read_bytes()

    def work() -> None:
        with (ring.path / "r.103").open("wb", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content[:-1])
            until(lambda: ring.index.exists())
            time.sleep(0.1)  # some polls
            file.write(content[-1:])
        until(lambda: ring.indexed() == ["r.103.npz"])
        ring.add(104)
        (ring.index / "r.104.npz").touch()
        until(lambda: ring.indexed() == ["r.103.npz"])

    following(work)

    assert run(ring.config(follow=True, smallest_bytes=len(content))) == 0


def test_one_that_was_just_made_and_is_not_locked_yet_is_waited_for(
    ring: Ring, following: Callable[[Callable[[], None]], None]
) -> None:
    content = savefile(ring.path, traffic.packets(9, 400), name="a.pcap").read_bytes()
    (ring.path / "r.103").touch()

    def work() -> None:
        until(lambda: ring.index.exists())
        (ring.path / "r.104").touch()
        time.sleep(0.1)  # some polls
        for name in ("r.103", "r.104"):
            (ring.path / name).write_bytes(content)
        until(lambda: ring.indexed() == ["r.103.npz", "r.104.npz"])

    following(work)

    assert run(ring.config(follow=True, smallest_bytes=len(content))) == 0


def test_a_sidecar_that_cannot_be_removed_is_told(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    ring.index.mkdir()
    (ring.index / "r.101.npz").mkdir()

    assert run(ring.config(smallest_bytes=1 << 20)) == 1

    told = capsys.readouterr()
    assert told.err == f"dlctl index: {ring.index}: Is a directory\n"
    assert told.out == "0 indexed, 3 too small to need an index, 1 failed\n"


def test_one_that_cannot_be_indexed_is_told_and_fails(
    ring: Ring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = indexing.write_sidecar

    def write(dir_fd: int, name: str, index_fd: int, *, smallest_bytes: int) -> int:
        if name == "r.101":
            raise OSError(5, "Input/output error")
        return right(dir_fd, name, index_fd, smallest_bytes=smallest_bytes)

    monkeypatch.setattr(indexing, "write_sidecar", write)

    assert run(ring.config()) == 1

    assert ring.indexed() == ["r.100.npz", "r.102.npz"]
    told = capsys.readouterr()
    assert told.err == f"dlctl index: {ring.path}/r.101: Input/output error\n"
    assert told.out.endswith(", 1 failed\n")


def test_the_savefile_that_is_written_is_left(ring: Ring) -> None:
    with (ring.path / "r.102").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert run(ring.config()) == 0

    assert ring.indexed() == ["r.100.npz", "r.101.npz"]


def test_a_directory_with_several_rings(ring: Ring) -> None:
    ring.add(7, prefix="other")

    assert run(IndexConfig(Where(paths=(str(ring.path),)), progress=False, smallest_bytes=0)) == 0

    assert ring.indexed() == ["r.100.npz", "r.101.npz", "r.102.npz"]
    assert os.listdir(ring.path / "other.index") == ["other.7.npz"]


def test_an_index_elsewhere(ring: Ring, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    where = Where(paths=(str(ring.path / "r.101"), str(savefile(ring.path, [], name="a.pcap"))))

    assert run(IndexConfig(where, str(elsewhere), progress=False, smallest_bytes=0)) == 0

    assert sorted(os.listdir(elsewhere)) == ["a.pcap.npz", "r.101.npz"]
    assert not ring.index.exists()


def test_what_has_no_place_for_an_index(tmp_path: Path) -> None:
    path = savefile(tmp_path, [], name="a.pcap")

    with pytest.raises(UsageError, match="--index-dir is missing"):
        run(IndexConfig(Where(paths=(str(path),)), progress=False))


def test_one_index_for_several_directories_is_refused(ring: Ring, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    savefile(other, [], name="r.100")
    where = Where(rings=(str(ring.path), str(other)))

    with pytest.raises(UsageError, match="--index-dir: "):
        run(IndexConfig(where, str(tmp_path / "index"), progress=False))


def test_two_indexers_do_not_work_in_one_place(ring: Ring) -> None:
    ring.index.mkdir()
    fd = os.open(ring.index, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)

    with pytest.raises(StorageError, match=r"another dlctl index keeps it$"):
        run(ring.config())
    os.close(fd)


def test_an_index_that_cannot_be_kept(ring: Ring) -> None:
    ring.index.write_bytes(b"")

    with pytest.raises(StorageError, match=r"r\.index: Not a directory$"):
        run(ring.config())


def test_workers_are_of_the_lowest_priority_and_nobody_else() -> None:
    found: list[tuple[int, int]] = []

    def look() -> None:
        indexing.lower_priority()
        thread = psutil.Process(threading.get_native_id())
        found.append((os.getpriority(os.PRIO_PROCESS, 0), thread.ionice().ioclass))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert found == [(19, psutil.IOPRIO_CLASS_IDLE)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_it_stops_when_asked(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    right = indexing.write_sidecar

    def write(dir_fd: int, name: str, index_fd: int, *, smallest_bytes: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return right(dir_fd, name, index_fd, smallest_bytes=smallest_bytes)

    for number in range(200, 230):
        ring.add(number)
    monkeypatch.setattr(indexing, "write_sidecar", write)

    assert run(ring.config(jobs=1)) == 128 + signal.SIGTERM

    assert 0 < len(ring.indexed()) < 10


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Do something in a thread while `run` follows, then stop it."""
    monkeypatch.setattr(indexing, "POLL_S", 0.02)
    threads: list[threading.Thread] = []

    def start(work: Callable[[], None]) -> None:
        def all_of_it() -> None:
            try:
                work()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        threads.append(threading.Thread(target=all_of_it))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.01)


def all_are_indexed(ring: Ring) -> bool:
    """Whether the three are there; until then their temporary files may be."""
    return ring.index.exists() and ring.indexed() == ["r.100.npz", "r.101.npz", "r.102.npz"]


def test_follow_indexes_what_is_sealed_and_removes_what_is_gone(
    ring: Ring, following: Callable[[Callable[[], None]], None]
) -> None:
    seen: list[list[str]] = []

    def work() -> None:
        until(lambda: all_are_indexed(ring))
        with (ring.path / "r.103").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write((ring.path / "r.102").read_bytes())
            (ring.path / "r.100").unlink()
            until(lambda: "r.100.npz" not in ring.indexed())
            seen.append(ring.indexed())
        until(lambda: "r.103.npz" in ring.indexed())
        seen.append(ring.indexed())

    following(work)

    assert run(ring.config(follow=True)) == 0

    assert seen == [
        ["r.101.npz", "r.102.npz"],
        ["r.101.npz", "r.102.npz", "r.103.npz"],
    ]


def test_follow_looks_at_old_savefiles_again(
    ring: Ring,
    following: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "LOOK_AGAIN_S", 0.1)

    def work() -> None:
        until(lambda: all_are_indexed(ring))
        before = numbers(ring.index)["r.101.npz"]
        ring.add(101)
        until(lambda: numbers(ring.index).get("r.101.npz", before) != before)

    following(work)

    assert run(ring.config(follow=True, rebuild=True)) == 0


def test_follow_tells_of_a_damaged_catalog_at_once_and_once(
    ring: Ring,
    following: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "LOOK_AGAIN_S", 0.05)
    told: list[str] = []
    rounds: list[object] = []
    settled = indexing._whole
    (ring.path / f"{PREFIX}.catalog").write_bytes(b"no database" * 1000)

    def whole(*arguments: object) -> None:
        settled(*arguments)  # type: ignore[arg-type]
        rounds.append(arguments)

    monkeypatch.setattr(indexing, "tell", lambda _, line: told.append(line))
    monkeypatch.setattr(indexing, "_whole", whole)
    told_while_it_follows: list[str] = []

    def work() -> None:
        until(lambda: len(rounds) > 2)
        told_while_it_follows.extend(told)

    following(work)

    assert run(ring.config(follow=True)) == 0

    (line,) = told
    assert "is damaged" in line
    assert told_while_it_follows == told


def test_follow_tells_what_goes_wrong_later(
    ring: Ring,
    following: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The catalog was whole when it was opened."""
    monkeypatch.setattr(indexing, "LOOK_AGAIN_S", 0.05)
    told: list[str] = []
    monkeypatch.setattr(indexing, "tell", lambda _, line: told.append(line))
    Catalog.create(str(ring.path / f"{PREFIX}.catalog")).close()

    def fails(*_: object) -> None:
        raise CatalogError("r.catalog: is locked by another process")

    def work() -> None:
        until(lambda: all_are_indexed(ring))
        assert not told
        monkeypatch.setattr(Catalog, "unlinked_entries", fails)
        until(lambda: bool(told))

    following(work)

    assert run(ring.config(follow=True)) == 0

    assert told == ["r.catalog: is locked by another process; savefiles are read without it"]


def test_a_killed_indexer_is_no_harm(ring: Ring) -> None:
    """It dies at random moments; whatever it leaves is right, or made right by the next one."""
    for number in range(200, 240):
        ring.add(number)
    for delay_ms in range(0, 12, 2):
        command = [sys.executable, "-c", KILLED, str(ring.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delay_ms / 1000)
            child.kill()

    assert run(ring.config()) == 0

    assert len(ring.indexed()) == 43
    assert all(not name.startswith(".") for name in ring.indexed())
    fd = os.open(ring.index, os.O_RDONLY)
    for path in ring.path.glob("r.[0-9]*"):
        status = path.stat()
        assert indexing.fits(fd, path.name, status.st_size, status.st_mtime_ns)
    os.close(fd)


def test_one_that_grew_since_it_was_listed_is_not_small(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = savefile(ring.path, traffic.packets(9, 400), name="a.pcap").read_bytes()
    path = ring.path / "r.103"
    path.write_bytes(content[:-1])
    members = indexing._members

    def sealed(archive: Archive) -> Iterator[Member]:
        for member in members(archive):
            path.write_bytes(content)  # after its size was looked at
            yield member

    monkeypatch.setattr(indexing, "_members", sealed)
    assert run(ring.config(smallest_bytes=len(content))) == 0
    assert ring.indexed() == ["r.103.npz"]
