"""One savefile read step by step: what it gives, and what it promises of what is to come."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daemonlogger_py.errors import FilterError, SourceError
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.task import Facts, Found, Task, Tools
from daemonlogger_py.readers.extract.work import Work
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry
from daemonlogger_py.savefile.leases import is_held

from ...pcaps.make import Packet, classic, file_header
from ...pcaps.parse import parse
from .savefiles import EPOCH, MS, NS, member, number_of, numbered

BEGIN_NS = EPOCH * NS


def work_of(
    stopping: Stopping,
    folder: Path,
    data: bytes,
    text: str = "",
    *,
    entry: Entry | None = None,
    newest: bool = False,
    reverse: bool = False,
) -> Work:
    path = folder / f"p.{EPOCH}"
    path.write_bytes(data)
    task = Task(text, stopping, reverse=reverse)
    return Work(task, member(path, entry), 0, newest=newest)


def entry_of(packets: list[Packet], *, ordered: bool = True) -> Entry:
    times = [one.time_ns for one in packets]
    return Entry(
        "p", EPOCH, 0, SEALED, 1, 1, len(packets), min(times), max(times), ordered,
        linktype=1, snaplen=262144,
    )  # fmt: skip


def read_all(work: Work) -> tuple[list[int], list[int]]:
    """The numbers it gives, and the fronts after each step."""
    tools = Tools()
    numbers, fronts = [], [work.front]
    while not work.done:
        found, work.front = work.step(tools)
        fronts.append(work.front)
        for one in found:
            data = file_header() + bytes(memoryview(one.chunk))
            numbers += [number_of(record.data) for record in parse(data).records]
    return numbers, fronts


def test_all_of_a_savefile(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(50)), "tcp")

    assert read_all(work) == ([0, 10, 20, 30, 40], [0, LAST_KEY])
    assert (work.facts, work.complaints, work.fd) == (Facts(1, 262144, False), (), -1)
    assert work.stats.packets_read == 50


def test_what_the_catalog_knows_is_promised(tmp_path: Path, stopping: Stopping) -> None:
    packets = numbered(5)
    work = work_of(stopping, tmp_path, classic(packets), entry=entry_of(packets))
    assert (work.front, work.bounded) == (BEGIN_NS, True)
    assert work.facts == Facts(1, 262144, False)

    latest_first = work_of(
        stopping, tmp_path, classic(packets), entry=entry_of(packets), reverse=True
    )
    assert latest_first.front == LAST_KEY - (BEGIN_NS + 4 * MS)
    assert read_all(latest_first)[0] == [4, 3, 2, 1, 0]


def test_without_order_the_promise_is_kept_to_the_end(tmp_path: Path, stopping: Stopping) -> None:
    packets = numbered(5)
    entry = entry_of(packets, ordered=False)
    work = work_of(stopping, tmp_path, classic(packets), entry=entry)

    assert (work.front, work.bounded) == (BEGIN_NS, False)


def test_a_catalog_that_is_wrong_is_found_out(tmp_path: Path, stopping: Stopping) -> None:
    packets = numbered(5)
    data = classic([*packets[3:], *packets[:3]])
    work = work_of(stopping, tmp_path, data, entry=entry_of(packets))

    assert read_all(work)[0] == [0, 1, 2, 3, 4]
    ((line, missing),) = work.complaints
    assert "3 packets are out of the order" in line
    assert missing


@pytest.mark.parametrize("looked", [Work.ask, Work.survey])
def test_one_that_a_look_is_enough_for_is_closed(
    tmp_path: Path, stopping: Stopping, looked: Callable[[Work, Tools], int]
) -> None:
    work = work_of(stopping, tmp_path, classic([]))

    assert looked(work, Tools()) == LAST_KEY
    assert (work.done, work.fd) == (True, -1)


def test_a_survey_promises_and_can_be_laid_aside(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(5)))
    tools = Tools()
    work.front = work.survey(tools)
    assert (work.front, work.bounded) == (BEGIN_NS, True)
    assert work.fd >= 0

    work.lay_aside()
    assert work.fd == -1
    assert read_all(work)[0] == [0, 1, 2, 3, 4]
    assert work.stats.savefiles == 1


def test_a_survey_in_the_middle_goes_on_from_there(tmp_path: Path, stopping: Stopping) -> None:
    packets = [Packet(BEGIN_NS + at * MS, bytes(60000)) for at in range(200)]
    work = work_of(stopping, tmp_path, classic(packets))
    tools = Tools()
    found, work.front = work.step(tools)
    assert work.front == 0
    first = sum(one.chunk.packets for one in found)
    work.front = work.survey(tools)

    assert work.front == BEGIN_NS + first * MS
    rest = 0
    while not work.done:
        found, work.front = work.step(tools)
        rest += sum(one.chunk.packets for one in found)
    assert first + rest == 200


def test_a_large_one_newest_first_is_surveyed(tmp_path: Path, stopping: Stopping) -> None:
    packets = [Packet(BEGIN_NS + at * MS, bytes(60000)) for at in range(300)]
    work = work_of(stopping, tmp_path, classic(packets), reverse=True)
    tools = Tools()
    times: list[int] = []
    while not work.done:
        found, work.front = work.step(tools)
        for one in found:
            times += [one.chunk.last_ns, one.chunk.first_ns]

    assert times == sorted(times, reverse=True)
    assert len(times) > 4


@pytest.mark.parametrize(("newest", "missing"), [(False, True), (True, False)])
def test_a_torn_end_is_told(
    tmp_path: Path, stopping: Stopping, newest: bool, missing: bool
) -> None:
    data = classic(numbered(3))
    work = work_of(stopping, tmp_path, data[:-1], newest=newest)

    assert read_all(work)[0] == [0, 1]
    ((line, counts),) = work.complaints
    assert "cut short at byte offset" in line
    assert counts is missing


def test_of_one_that_is_being_written_it_is_nothing_new(tmp_path: Path, stopping: Stopping) -> None:
    import fcntl

    work = work_of(stopping, tmp_path, classic(numbered(3))[:-1])
    with (tmp_path / f"p.{EPOCH}").open("rb") as recorder:
        fcntl.flock(recorder, fcntl.LOCK_EX)
        assert read_all(work)[0] == [0, 1]

    assert work.complaints == ()


@pytest.mark.parametrize("data", [b"", b"\xd4\xc3\xb2\xa1"])
def test_the_newest_may_have_no_header_yet(tmp_path: Path, stopping: Stopping, data: bytes) -> None:
    work = work_of(stopping, tmp_path, data, newest=True)

    assert read_all(work)[0] == []
    assert work.failure is None


@pytest.mark.parametrize(
    ("data", "text", "failure"),
    [
        (b"no capture at all", "", SourceError),
        (b"", "", SourceError),
        (file_header(linktype=101), "vlan", FilterError),
    ],
)
def test_what_cannot_be_read_is_a_failure(
    tmp_path: Path, stopping: Stopping, data: bytes, text: str, failure: type[Exception]
) -> None:
    work = work_of(stopping, tmp_path, data, text)

    assert read_all(work)[0] == []
    assert isinstance(work.failure, failure)
    assert str(tmp_path) in str(work.failure)
    assert len(work.complaints) == 1


def test_one_that_was_pruned(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(3)))
    (tmp_path / f"p.{EPOCH}").unlink()

    assert read_all(work)[0] == []
    assert (work.pruned, work.complaints, work.failure) == (True, (), None)


def test_one_that_is_held_outlives_its_name(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(3)))
    work.hold()
    with (tmp_path / f"p.{EPOCH}").open("rb") as pruner:
        assert is_held(pruner.fileno())
        (tmp_path / f"p.{EPOCH}").unlink()
        assert read_all(work)[0] == [0, 1, 2]
        assert not is_held(pruner.fileno())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(3)))
    (tmp_path / f"p.{EPOCH}").chmod(0)

    assert read_all(work)[0] == []
    assert isinstance(work.failure, PermissionError)


def test_found_says_where_it_is_from(tmp_path: Path, stopping: Stopping) -> None:
    work = work_of(stopping, tmp_path, classic(numbered(3)))
    (found,), _ = work.step(Tools())

    assert isinstance(found, Found)
    assert (found.sequence, found.facts) == (1, Facts(1, 262144, False))
