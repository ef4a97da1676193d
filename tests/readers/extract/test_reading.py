"""Threads read works in an order that lets packets be given out early."""

import threading
import time
from pathlib import Path

import pytest

from daemonlogger_py.readers.extract.order import LAST_KEY, Merger
from daemonlogger_py.readers.extract.reading import LAST_NUMBER, Reading
from daemonlogger_py.readers.extract.task import Found, Task, Tools
from daemonlogger_py.readers.extract.work import Work
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry

from ...pcaps.make import Packet, classic
from .savefiles import EPOCH, MS, NS, member, numbered

BEGIN_NS = EPOCH * NS


def works(
    stopping: Stopping, folder: Path, parts: list[list[Packet]], *, known: bool = False
) -> list[Work]:
    task = Task("", stopping)
    made = []
    for number, part in enumerate(parts):
        path = folder / f"p.{EPOCH + number}"
        path.write_bytes(classic(part))
        entry = None
        if known:
            times = [one.time_ns for one in part]
            entry = Entry(
                path.name, EPOCH, 0, SEALED, 1, 1, len(part), min(times), max(times),
                linktype=1, snaplen=262144,
            )  # fmt: skip
        made.append(Work(task, member(path, entry), number))
    return made


def parts_of(count: int, *, packets: int = 20, size: int = 50) -> list[list[Packet]]:
    return [
        numbered(packets, first=at * packets, start_ns=BEGIN_NS + at * NS, size=size)
        for at in range(count)
    ]


def consume(reading: Reading, *, held_bytes: int = 0) -> tuple[list[int], list[tuple[int, int]]]:
    """Take everything; the number of packets each time, and the bounds."""
    counts, bounds = [], []
    while True:
        taken = reading.take()
        counts.append(sum(found.chunk.packets for _, found in taken.found))
        bounds.append((taken.key, taken.number))
        reading.holds(held_bytes)
        if not taken.going_on:
            return counts, bounds


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("known", [False, True])
def test_everything_is_found_and_bounds_only_rise(
    tmp_path: Path, stopping: Stopping, jobs: int, known: bool
) -> None:
    made = works(stopping, tmp_path, parts_of(12), known=known)
    with Reading(made, jobs=jobs, memory_bytes=1 << 20) as reading:
        counts, bounds = consume(reading)

    assert sum(counts) == 240
    assert bounds == sorted(bounds)
    assert bounds[-1] == (LAST_KEY, LAST_NUMBER)
    assert all(work.done and work.fd == -1 for work in made)


def test_nothing_to_read(stopping: Stopping) -> None:
    with Reading([], jobs=2, memory_bytes=1) as reading:
        assert consume(reading) == ([0], [(LAST_KEY, LAST_NUMBER)])


def test_with_memory_full_only_the_first_is_read(tmp_path: Path, stopping: Stopping) -> None:
    parts = parts_of(6)
    made = works(stopping, tmp_path, parts, known=True)
    with Reading(made, jobs=3, memory_bytes=1) as reading:
        firsts = []
        while True:
            taken = reading.take()
            for work, _ in taken.found:
                firsts.append(work.number)
            reading.holds(0)
            if not taken.going_on:
                break

    assert sorted(firsts) == list(range(6))


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("known", [False, True])
def test_a_consumer_that_is_held_up_holds_up_the_threads(
    tmp_path: Path, stopping: Stopping, jobs: int, known: bool
) -> None:
    """What they find before it takes anything is bounded, however much there is."""
    limit_bytes, most_bytes = 10_000, 3000  # of one savefile
    made = works(stopping, tmp_path, parts_of(40), known=known)
    with Reading(made, jobs=jobs, memory_bytes=limit_bytes) as reading:
        counts = []
        while True:
            time.sleep(0.2 if len(counts) < 2 else 0)  # who reads the output takes nothing
            taken = reading.take()
            found_bytes = sum(len(found.chunk) for _, found in taken.found)
            assert found_bytes < limit_bytes + jobs * most_bytes
            counts.append(sum(found.chunk.packets for _, found in taken.found))
            reading.holds(0)
            if not taken.going_on:
                break

    assert sum(counts) == 800


def test_with_enough_found_nothing_is_read_ahead(tmp_path: Path, stopping: Stopping) -> None:
    made = works(stopping, tmp_path, parts_of(30), known=True)
    with Reading(made, jobs=2, memory_bytes=1 << 20, enough=25) as reading:
        packets = 0
        while packets < 25:
            taken = reading.take()
            packets += sum(found.chunk.packets for _, found in taken.found)
            reading.holds(0)
        # The first two have them; the threads wait, but for what each may have begun meanwhile.
        read = sum(work.taken for work in made)
        for _ in range(3):
            taken = reading.take()
        assert sum(work.taken for work in made) <= read + 2
        assert read <= 6
        assert taken.going_on


def test_in_a_hurry_what_is_unknown_is_surveyed(tmp_path: Path, stopping: Stopping) -> None:
    made = works(stopping, tmp_path, parts_of(5))
    reading = Reading(made, jobs=1, memory_bytes=1)
    reading.hurry()
    with reading:
        counts, bounds = consume(reading)

    assert sum(counts) == 100
    assert all(work.bounded for work in made)
    assert bounds == sorted(bounds)


def test_those_still_to_be_read_can_be_held(tmp_path: Path, stopping: Stopping) -> None:
    made = works(stopping, tmp_path, parts_of(3))
    reading = Reading(made, jobs=1, memory_bytes=1 << 20)
    reading.hold(made)
    assert all(work.fd >= 0 for work in made)
    for one in tmp_path.iterdir():
        one.unlink()
    with reading:
        counts, _ = consume(reading)

    assert sum(counts) == 60


def test_stopping_closes_what_is_left(tmp_path: Path, stopping: Stopping) -> None:
    made = works(stopping, tmp_path, parts_of(50))
    reading = Reading(made, jobs=2, memory_bytes=1 << 20)
    reading.hold(made)
    reading.stop()
    with reading:
        reading.take()

    assert all(work.fd == -1 for work in made)


def test_what_should_not_happen_is_raised_where_it_is_seen(
    tmp_path: Path, stopping: Stopping
) -> None:
    class Broken(Work):
        def step(self, tools: Tools) -> tuple[list[Found], int]:
            raise RuntimeError("a defect")

    path = tmp_path / f"p.{EPOCH}"
    path.write_bytes(classic(numbered(1)))
    work = Broken(Task("", stopping), member(path), 0)
    with (
        pytest.raises(RuntimeError, match="a defect"),
        Reading([work], jobs=2, memory_bytes=1) as reading,
    ):
        consume(reading)


def test_what_can_be_given_out_is_in_order(tmp_path: Path, stopping: Stopping) -> None:
    """Merging up to each bound gives the order of a sort over everything."""
    shuffled = [
        [Packet(BEGIN_NS + ((7 * at + 3 * part) % 50) * MS, bytes([part, at])) for at in range(50)]
        for part in range(6)
    ]
    made = works(stopping, tmp_path, shuffled)
    merger = Merger()
    from daemonlogger_py.engine.buffer import Buffer

    out = Buffer(1 << 20)
    reading = Reading(made, jobs=3, memory_bytes=2000)
    reading.hurry()
    with reading:
        while True:
            taken = reading.take()
            for work, found in taken.found:
                merger.add(found.chunk, work.number, found.sequence, 0)
            merger.merge(out, taken.key, taken.number, LAST_KEY)
            reading.holds(merger.held_bytes)
            if not taken.going_on:
                break
    from ...pcaps.make import file_header
    from ...pcaps.parse import parse

    found_data = [one.data for one in parse(file_header() + bytes(memoryview(out))).records]
    everything = [one for part in shuffled for one in part]
    assert found_data == [one.data for one in sorted(everything, key=lambda one: one.time_ns)]
    assert threading.active_count() >= 1
