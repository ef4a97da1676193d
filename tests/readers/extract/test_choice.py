"""Which savefiles are opened: the same whatever is looked at together, and in the same order."""

import fcntl
import os
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import IndexConfig, VerifyConfig, Where
from daemonlogger_py.readers.archive import Archive, Member
from daemonlogger_py.readers.extract import choice as module
from daemonlogger_py.readers.extract.choice import Choice
from daemonlogger_py.readers.extract.sidecars import Sidecars
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Task
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.verify import run as verify

from ...pcaps.make import LINUX_SLL, NANOSECONDS, Packet, classic
from .savefiles import EPOCH, NS, numbered, ring

BEGIN_NS = EPOCH * NS
SAVEFILES = 6
NAMES = [f"p.{EPOCH + 10 * at}" for at in range(SAVEFILES)]
LINUX_SLL2 = 276
ABSENT = "host 203.0.113.9"
ETHERNET = Facts(linktype=1, snaplen=262144, nanosecond=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring whose packets are as old as its names say; its catalog knows all but the newest."""
    folder = tmp_path / "ring"
    parts = [numbered(3000, start_ns=BEGIN_NS + 10 * at * NS) for at in range(SAVEFILES)]
    ring(folder, parts[:-1])
    where = Where(rings=(str(folder),))
    verify(VerifyConfig(where, rebuild=True, progress=False))
    (folder / NAMES[-1]).write_bytes(classic(parts[-1]))
    return folder


def chosen(folder: Path, task: Task, *, few: bool = False) -> Choice:
    made = Choice(task, Stats(), jobs=1, few=few)
    with Archive(Where(rings=(str(folder),))) as archive:
        if task.sidecars is not None:
            task.sidecars.prepare(archive.directories)
        made.take(archive.each())
        assert made.facts() in (set(), {ETHERNET})
    return made


def names(made: Choice) -> list[str]:
    return [work.member.name for work in made.works]


@pytest.mark.parametrize("at_once", [1, 2, 4096])
def test_a_span_leaves_out_the_rest(
    folder: Path, stopping: Stopping, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    whole = chosen(folder, Task("", stopping))
    assert names(whole) == NAMES
    assert [work.number for work in whole.works] == [*range(SAVEFILES)]
    assert [work.newest for work in whole.works] == [name == NAMES[-1] for name in NAMES]

    part = Task("", stopping, from_ns=BEGIN_NS + 20 * NS, to_ns=BEGIN_NS + 31 * NS, reverse=True)
    made = chosen(folder, part)
    assert [name for name in names(made) if name != NAMES[-1]] == NAMES[2:4]
    assert [work.number for work in made.works] == [*range(len(made.works))][::-1]
    assert not any(work.newest for work in made.works if work.member.name != NAMES[-1])
    assert not made.has_more


def test_what_no_catalog_describes_is_counted_unless_it_is_being_written(
    folder: Path, stopping: Stopping
) -> None:
    assert chosen(folder, Task("", stopping)).unknown == 1
    with (folder / NAMES[-1]).open("rb") as written:
        fcntl.flock(written, fcntl.LOCK_EX)  # as a recorder does
        assert chosen(folder, Task("", stopping)).unknown == 0


def test_names_and_times_leave_out_nothing_of_what_is_scanned_whole_or_named(
    folder: Path, stopping: Stopping
) -> None:
    newest_ns = BEGIN_NS + 10 * (SAVEFILES - 1) * NS
    os.utime(folder / NAMES[-1], ns=(newest_ns + 3 * NS, newest_ns + 3 * NS))
    named = {(str(folder), NAMES[-1])}

    assert names(chosen(folder, Task("", stopping, to_ns=BEGIN_NS))) == []
    assert names(chosen(folder, Task("", stopping, to_ns=BEGIN_NS, scans_all=True))) == NAMES[-1:]
    assert names(chosen(folder, Task("", stopping, to_ns=BEGIN_NS, named=named))) == NAMES[-1:]


@pytest.mark.parametrize("at_once", [1, 4, 4096])
def test_what_the_index_spares_is_only_known(
    folder: Path, stopping: Stopping, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    where = Where(rings=(str(folder),))
    assert index(IndexConfig(where, progress=False, smallest_bytes=1)) == 0
    sidecars = Sidecars()
    try:
        nothing = chosen(folder, Task(ABSENT, stopping, sidecars=sidecars))
        everything = chosen(folder, Task("udp", stopping, sidecars=sidecars))
        few = chosen(folder, Task(ABSENT, stopping, sidecars=sidecars), few=True)
    finally:
        sidecars.close()
    assert names(nothing) == []
    assert nothing.has_more
    with Archive(where) as archive:
        nothing.take(archive.each())
        assert nothing.facts() == {ETHERNET}
    assert names(everything) == NAMES
    assert names(few) == NAMES[:-1]  # of the newest there is no entry: it is glanced at


def facts_of_what_is_passed_over(where: Where, stopping: Stopping) -> set[Facts]:
    """What is said of an indexed ring in which nothing can match."""
    sidecars = Sidecars()
    try:
        made = Choice(Task(ABSENT, stopping, sidecars=sidecars), Stats(), jobs=1, few=False)
        with Archive(where) as archive:
            sidecars.prepare(archive.directories)
            made.take(archive.each())
            assert made.works == []
            return made.facts()
    finally:
        sidecars.close()


def test_headers_are_read_where_the_catalog_says_too_little(
    folder: Path, stopping: Stopping
) -> None:
    (folder / "p.catalog").unlink()
    where = Where(rings=(str(folder),))
    assert index(IndexConfig(where, progress=False, smallest_bytes=1)) == 0
    assert facts_of_what_is_passed_over(where, stopping) == {ETHERNET}


@pytest.mark.parametrize("linktype", [LINUX_SLL, LINUX_SLL2])
def test_so_is_the_header_of_the_other_byte_order(
    tmp_path: Path, stopping: Stopping, linktype: int
) -> None:
    """Which libpcap reads, and of which there is an index all the same."""
    packets = [Packet(BEGIN_NS + at, bytes(60)) for at in range(50)]
    header = classic(packets, magic=NANOSECONDS, order=">", linktype=linktype)
    (tmp_path / NAMES[0]).write_bytes(header)
    where = Where(rings=(str(tmp_path),))
    assert index(IndexConfig(where, progress=False, smallest_bytes=0)) == 0
    assert facts_of_what_is_passed_over(where, stopping) == {
        Facts(linktype, 262144, nanosecond=True)
    }


def test_works_do_not_keep_entries(folder: Path, stopping: Stopping) -> None:
    made = chosen(folder, Task("", stopping))
    assert all(isinstance(work.member, Member) and work.member.entry is None for work in made.works)
    assert made.works[0].facts is made.works[1].facts
    assert made.works[0].front == BEGIN_NS
