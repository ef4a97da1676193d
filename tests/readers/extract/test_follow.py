"""Packets come out as a ring grows, once each and in order."""

import fcntl
import gzip
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from daemonlogger_py.config.archive import ExtractConfig, Where
from daemonlogger_py.readers.archive import Archive, Directory
from daemonlogger_py.readers.extract import follow
from daemonlogger_py.readers.extract.follow import Tail, Waiting
from daemonlogger_py.readers.extract.run import Extraction, run
from daemonlogger_py.readers.extract.task import Facts, Found, Task
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry, Gap

from ...pcaps.make import classic, file_header
from ...pcaps.parse import parse
from .savefiles import EPOCH, NS, member, number_of, numbered, numbers_in, records

BEGIN_NS = EPOCH * NS
UNTIL_S = 20.0


def numbers(found: Iterator[Found]) -> list[int]:
    given: list[int] = []
    for one in found:
        data = file_header() + bytes(memoryview(one.chunk))
        given += [number_of(record.data) for record in parse(data).records]
    return given


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    path = tmp_path / f"p.{EPOCH}"
    path.write_bytes(classic(numbered(3)))
    return path


@pytest.fixture
def tail(stopping: Stopping, newest: Path) -> Iterator[Tail]:
    one = member(newest)
    made = Tail(Task("udp", stopping), 0, one.directory, one)
    yield made
    made.close()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_records_come_when_they_are_whole(tail: Tail, newest: Path) -> None:
    assert numbers(tail.read()) == [1, 2]
    more = records(numbered(2, first=3))
    append(newest, more[:-7])
    assert numbers(tail.read()) == [3]
    assert numbers(tail.read()) == []
    append(newest, more[-7:])
    assert numbers(tail.read()) == [4]
    tail.close()
    assert (tail.stats.savefiles, tail.stats.packets_read) == (1, 5)


def test_the_next_savefile_begins_after_the_last_record_of_this_one(
    tail: Tail, newest: Path
) -> None:
    assert numbers(tail.read()) == [1, 2]
    following = newest.with_name(f"p.{EPOCH + 10}")
    following.write_bytes(b"")  # opened early, without a header
    append(newest, records(numbered(2, first=3)))
    assert numbers(tail.read()) == [3, 4]
    append(newest, records(numbered(1, first=5)))
    following.write_bytes(classic(numbered(2, first=6)))
    assert numbers(tail.read()) == [5, 6, 7]


def test_a_ring_that_is_still_empty(tmp_path: Path, stopping: Stopping) -> None:
    dir_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    directory = Directory(dir_fd, str(tmp_path), str(tmp_path), "p", None, None)
    tail = Tail(Task("", stopping), 0, directory, None)
    assert numbers(tail.read()) == []
    (tmp_path / f"p.{EPOCH}").write_bytes(file_header()[:10])
    assert numbers(tail.read()) == []
    (tmp_path / f"p.{EPOCH}").write_bytes(classic(numbered(2)))
    assert numbers(tail.read()) == [0, 1]
    tail.close()
    os.close(dir_fd)


def test_what_is_no_savefile_is_told_and_left(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(tail.read()) == [1, 2]
    newest.with_name(f"p.{EPOCH + 10}").write_text("something else, and long enough")
    newest.with_name(f"p.{EPOCH + 20}").write_bytes(classic(numbered(1, first=9)))

    assert numbers(tail.read()) == [9]
    assert f"p.{EPOCH + 10}: not a savefile" in capsys.readouterr().err
    assert tail.failures == 1


def test_damage_is_told_once_the_next_one_is_there(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(newest, b"\xff" * 40)
    assert numbers(tail.read()) == [1, 2]
    newest.with_name(f"p.{EPOCH + 10}").write_bytes(classic(numbered(1, first=9)))

    assert numbers(tail.read()) == [9]
    assert "is damaged" in capsys.readouterr().err
    assert tail.failures == 1


def test_packets_of_several_rings_wait_for_each_other(
    tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(follow.time, "monotonic", lambda: now_s)
    waiting = Waiting(0.5)
    (found,) = tail.read()
    waiting.note(found)

    assert (waiting.key(), waiting.waiting) == (0, True)
    now_s = 100.6
    assert (waiting.key(), waiting.waiting) == (found.chunk.last_ns, False)
    assert waiting.key() == 0


class Following:
    """``dlctl extract --follow`` of a directory's rings, and what it has written."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "daemonlogger_py.cli.dlctl", "extract", "--follow"]
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.data = b""

    def until(self, count: int) -> list[int]:
        """The numbers of the packets, once there are so many."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        end_s = time.monotonic() + UNTIL_S
        while time.monotonic() < end_s:
            if len(self.data) >= 24 and len(numbers_in(self.data)) >= count:
                break
            if select.select([fd], [], [], 1)[0]:
                more = os.read(fd, 1 << 16)
                if not more:
                    break
                self.data += more
        return numbers_in(self.data)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, bytes]:
        self.process.send_signal(number)
        rest, told = self.process.communicate(timeout=UNTIL_S)
        self.data += rest
        return self.process.returncode, told


def test_goes_on_where_the_first_pass_ended(tmp_path: Path) -> None:
    paths = [tmp_path / f"p.{EPOCH + 10 * at}" for at in range(4)]
    for at, path in enumerate(paths[:2]):
        path.write_bytes(classic(numbered(5, first=5 * at, start_ns=BEGIN_NS + at * NS)))
    following = Following("--ring", str(tmp_path))
    assert following.until(10) == list(range(10))
    append(paths[1], records(numbered(5, first=10, start_ns=BEGIN_NS + 2 * NS)))
    assert following.until(15) == list(range(15))
    paths[2].write_bytes(classic(numbered(5, first=15, start_ns=BEGIN_NS + 3 * NS)))
    assert following.until(20) == list(range(20))
    status, told = following.stop()

    assert status == 0, told
    assert numbers_in(following.data) == list(range(20))


def test_what_was_missed_is_no_success(tmp_path: Path) -> None:
    old, new = (tmp_path / f"p.{EPOCH + 10 * at}" for at in range(2))
    old.write_bytes(classic(numbered(5)))
    following = Following("--ring", str(tmp_path))
    assert following.until(5) == list(range(5))
    append(old, b"\xff" * 40)
    new.write_bytes(classic(numbered(5, first=5, start_ns=BEGIN_NS + NS)))
    assert following.until(10) == list(range(10))
    status, told = following.stop()
    assert status == 1, told
    assert b"is damaged" in told


def test_what_was_pruned_before_the_first_pass_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in range(3):
        path = tmp_path / f"p.{EPOCH + 10 * at}"
        path.write_bytes(classic(numbered(5, first=5 * at, start_ns=BEGIN_NS + at * NS)))

    def pruned(extraction: Extraction, *members: object) -> None:
        (tmp_path / f"p.{EPOCH}").unlink(missing_ok=True)
        begin(extraction, *members)

    begin = Extraction.__init__
    monkeypatch.setattr(Extraction, "__init__", pruned)
    where = Where(rings=(str(tmp_path),), to_ns=BEGIN_NS + 10 * NS)
    out = tmp_path / "out"
    assert run(ExtractConfig(where, "", str(out), follow=True)) == 1
    assert "1 savefile was pruned before being read" in capsys.readouterr().err
    assert numbers_in(out.read_bytes()) == list(range(5, 15))


def test_a_roll_over_that_is_under_way_at_the_start(tmp_path: Path) -> None:
    old, new = (tmp_path / f"p.{EPOCH + 10 * at}" for at in range(2))
    old.write_bytes(classic(numbered(5)))
    new.write_bytes(b"")  # opened early: what belongs into the old one is not all written
    following = Following("--ring", str(tmp_path))
    assert following.until(5) == list(range(5))
    append(old, records(numbered(5, first=5, start_ns=BEGIN_NS + NS)))
    assert following.until(10) == list(range(10))
    new.write_bytes(classic(numbered(5, first=10, start_ns=BEGIN_NS + 2 * NS)))
    assert following.until(15) == list(range(15))
    assert following.stop()[0] == 0


def test_what_cannot_be_given_out_yet_is_bounded(tmp_path: Path, stopping: Stopping) -> None:
    last_first = [*numbered(3000, first=1, size=1400), *numbered(1, start_ns=BEGIN_NS - NS)]
    for at in range(2):
        (tmp_path / f"p.{EPOCH + 10 * at}").write_bytes(classic(last_first))
    out = tmp_path / "out"
    where = Where(rings=(str(tmp_path),), to_ns=BEGIN_NS + 10 * NS)
    config = ExtractConfig(where, "", str(out), follow=True, memory_bytes=1 << 20)
    assert run(config) == 0
    got = numbers_in(out.read_bytes())
    assert sorted(got) == sorted(2 * [*range(3001)])
    assert got[:1] == [0]


@pytest.mark.parametrize("max_packets", [None, 4000])
def test_who_is_behind_by_much_gives_out_and_keeps_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_packets: int | None
) -> None:
    (tmp_path / f"p.{EPOCH}").write_bytes(classic(numbered(8000, size=1400)))
    (tmp_path / f"p.{EPOCH + 10}").write_bytes(
        classic(numbered(8000, first=8000, start_ns=BEGIN_NS + 10 * NS, size=1400))
    )
    monkeypatch.setattr(follow, "_followed", lambda members, _directory: members)
    monkeypatch.setattr(Extraction, "_spill", lambda _self: pytest.fail("a temporary file"))
    out = tmp_path / "out"
    where = Where(rings=(str(tmp_path),), to_ns=BEGIN_NS + 100 * NS)
    config = ExtractConfig(
        where, "", str(out), follow=True, memory_bytes=1 << 20, max_packets=max_packets
    )
    assert run(config) == 0
    assert numbers_in(out.read_bytes()) == list(range(max_packets or 16_000))


def test_ends_when_that_time_is_over_or_enough_has_come(tmp_path: Path) -> None:
    (tmp_path / f"p.{EPOCH}").write_bytes(classic(numbered(10)))
    over = Following("--ring", str(tmp_path), "--to", f"{EPOCH}.005")
    enough = Following("--ring", str(tmp_path), "-c", "3")
    for one, count in ((over, 5), (enough, 3)):
        out, told = one.process.communicate(timeout=UNTIL_S)
        assert one.process.returncode == 0, told
        assert numbers_in(out) == list(range(count))


def test_gaps_that_arise_meanwhile_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"p.{EPOCH}").write_bytes(classic(numbered(3)))
    catalog = Catalog.create(str(tmp_path / "p.catalog"))
    catalog.add_gap(Gap(kind="stopped", from_ns=BEGIN_NS, to_ns=BEGIN_NS + NS, detail="before"))
    late = [
        Gap(kind="dropped", from_ns=time.time_ns(), to_ns=time.time_ns() + NS, packets=7),
        Gap(kind="stopped", from_ns=time.time_ns() + NS, detail="SIGTERM"),
    ]

    def meanwhile(stopping: Stopping, _seconds: float) -> None:
        told.append(capsys.readouterr().err.splitlines())
        if len(told) in (2, 4):
            catalog.add_gap(late[len(told) // 2 - 1])
        if len(told) == 6:
            stopping.request()

    told: list[list[str]] = []
    monkeypatch.setattr(follow, "GAPS_S", 0.0)
    monkeypatch.setattr(follow, "stopping_wait", meanwhile)
    where = Where(rings=(str(tmp_path),))
    assert run(ExtractConfig(where, "", str(tmp_path / "out"), follow=True)) == 0
    catalog.close()

    assert [len(lines) for lines in told] == [1, 0, 1, 0, 1, 0]
    assert "stopped (before)" in told[0][0]
    assert "7 packets dropped" in told[2][0]
    assert "stopped (SIGTERM)" in told[4][0]


def test_the_archive_is_asked_now_and_then_and_for_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int | None] = []

    class Asking:
        def tell_gaps(self, _archive: object, from_ns: int | None) -> None:
            asked.append(from_ns)

    now_s = 0.0
    monkeypatch.setattr(follow.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(follow.time, "time_ns", lambda: BEGIN_NS + int(now_s * NS))
    gaps = follow.Gaps(ExtractConfig(Where()), cast(Archive, None))
    for _ in range(10):
        now_s += 1
        gaps.tell(cast(Extraction, Asking()))
    assert asked == [BEGIN_NS] * 3
    now_s = 10 * 3600.0
    gaps.tell(cast(Extraction, Asking()))
    assert asked[3:] == [BEGIN_NS + 9 * 3600 * NS]


def compress(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_what_was_compressed_before_it_began_is_told_and_no_success(tmp_path: Path) -> None:
    for at in range(2):
        path = tmp_path / f"p.{EPOCH + 10 * at}"
        path.write_bytes(classic(numbered(2, first=2 * at)))
        if not at:
            compress(path)
    process = Following("--ring", str(tmp_path), "--to", f"{EPOCH + 5}").process
    out, told = process.communicate(timeout=UNTIL_S)
    assert (numbers_in(out), process.returncode) == ([2, 3], 1)
    assert b"1 compressed savefile is not read with --ring" in told


def test_what_was_compressed_before_it_was_read_is_read(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(tail.read()) == [1, 2]
    paths = [newest.with_name(f"p.{EPOCH + 10 * at}") for at in (1, 2, 3)]
    for at, path in enumerate(paths):
        path.write_bytes(classic(numbered(2, first=11 + 3 * at)))
    compress(newest)
    compress(paths[0])
    compress(paths[1])
    assert numbers(tail.read()) == [11, 12, 14, 15, 17, 18]
    compress(paths[2])  # it is the last one of a recording, which ended
    assert numbers(tail.read()) == []
    later = newest.with_name(f"p.{EPOCH + 40}")
    later.write_bytes(classic(numbered(1, first=21)))
    compress(later)
    assert numbers(tail.read()) == [21]
    assert tail.facts == Facts(1, 262144, False)
    assert (capsys.readouterr().err, tail.failures) == ("", 0)
    tail.close()
    assert tail.stats.savefiles == 5


def test_one_that_is_compressed_when_it_is_opened(
    tail: Tail, newest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numbers(tail.read()) == [1, 2]
    path = newest.with_name(f"p.{EPOCH + 10}")
    path.write_bytes(classic(numbered(2, first=11)))
    turn = follow.Succession.turn

    def then_compressed(*asked: object) -> None:
        turn(*asked)  # type: ignore[arg-type]
        compress(path)

    monkeypatch.setattr(follow.Succession, "turn", then_compressed)
    assert numbers(tail.read()) == [11, 12]
    assert tail.failures == 0


def test_what_is_damaged_in_a_compressed_one_is_told(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(tail.read()) == [1, 2]
    path = newest.with_name(f"p.{EPOCH + 10}")
    path.write_bytes(classic(numbered(2, first=11))[:-5])
    compress(path)
    assert numbers(tail.read()) == [11]
    assert f"p.{EPOCH + 10}.gz" in capsys.readouterr().err
    assert tail.failures == 1


def test_what_was_pruned_between_two_looks_is_told(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Catalog.create(str(newest.with_name("p.catalog"))) as catalog:
        assert numbers(tail.read()) == [1, 2]
        for at in range(4):
            epoch = EPOCH + 10 * at
            catalog.seal(Entry(f"p.{epoch}", epoch, 0, SEALED, 1, 1, sha256=bytes(32)))
        catalog.remove(f"p.{EPOCH + 10}", 1)
        catalog.remove(f"p.{EPOCH + 20}", 1)
        newest.with_name(f"p.{EPOCH + 30}").write_bytes(classic(numbered(1, first=9)))
        assert numbers(tail.read()) == [9]
        assert numbers(tail.read()) == []
    told = capsys.readouterr().err
    assert told == f"dlctl extract: 2 savefiles behind {newest} were pruned before being read\n"
    assert tail.failures == 1


def test_one_that_is_pruned_when_it_is_opened(
    tail: Tail, newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest.unlink()
    assert numbers(tail.read()) == []
    assert f"{newest} was pruned before being read" in capsys.readouterr().err
    assert tail.failures == 1


def test_what_is_still_written_is_not_leased(tail: Tail, newest: Path) -> None:
    """A lease would keep its recorder from locking it."""
    assert numbers(tail.read()) == [1, 2]
    with newest.open("rb") as recorder:
        fcntl.flock(recorder, fcntl.LOCK_EX | fcntl.LOCK_NB)
