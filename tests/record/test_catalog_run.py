"""The run of a recording in its catalog: whose it is, and how it ends when nobody could say so."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record import census
from daemonlogger_py.record.catalog_run import OwnRun, incomplete, written
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.record.opening import LogDir
from daemonlogger_py.savefile import catalog_end
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_end import End
from daemonlogger_py.savefile.catalog_rows import Gap, Run

from .cataloging import NAMING, SECOND_NS, RingDirectory

STARTED_NS = 1000 * SECOND_NS
PID = 4711


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingDirectory]:
    with RingDirectory(tmp_path) as made:
        yield made


@pytest.fixture
def catalog(ring: RingDirectory) -> Iterator[Catalog]:
    with ring.catalog() as made:
        yield made


def own(ring: RingDirectory, *, pid: int = PID) -> OwnRun:
    ready = SimpleNamespace(
        config=RecorderConfig(interface="eth0", prefix="t"),
        log_dir=LogDir(ring.fd, str(ring.path), NAMING, None, []),
        source=SimpleNamespace(linktype=1, snaplen=65535),
        since_ns=STARTED_NS,
    )
    return OwnRun(cast(Any, ready), pid, Ledger())


def begun(ring: RingDirectory, catalog: Catalog, current: str | None = None) -> OwnRun:
    run = own(ring)
    run.begin(catalog, census.take(catalog, ring.fd, NAMING), current, "port 53")
    return run


def test_it_is_begun_once(ring: RingDirectory, catalog: Catalog) -> None:
    run = own(ring)
    assert not run.is_in(catalog)
    assert run.resume(catalog) is None
    run.begin(catalog, census.take(catalog, ring.fd, NAMING), None, "port 53")
    assert run.is_in(catalog)

    (row,) = catalog.runs()
    assert (row.number, row.pid, row.filter_text) == (run.number, PID, "port 53")
    with Catalog.create(str(ring.path / "u.catalog")) as anew:
        assert not run.is_in(anew)


def test_the_next_process_takes_it_up(ring: RingDirectory, catalog: Catalog) -> None:
    first = begun(ring, catalog)
    next_one, other = own(ring), own(ring, pid=PID + 1)
    row = next_one.resume(catalog)
    assert row is not None
    assert (next_one.number, next_one.is_in(catalog), next_one.over) == (first.number, True, False)
    assert other.resume(catalog) is None

    assert written(catalog, row, 9) == 0
    catalog.set_notes_of(row.number, 5)
    assert written(catalog, row, 9) == 5
    assert incomplete(row)["from_ns"] == row.seen_ns


def test_one_that_ended_is_not_ended_again(ring: RingDirectory, catalog: Catalog) -> None:
    begun(ring, catalog).end(
        catalog, {"why": "SIGINT", "stopped_ns": 7, "lost": 0, "at_ns": 8}, 0, None, None
    )
    run = own(ring)
    row = run.resume(catalog)
    assert row is not None
    assert run.over
    assert written(catalog, row, 9) == 9


def test_a_killed_recorder_recorded_until_its_last_packet(
    ring: RingDirectory, catalog: Catalog
) -> None:
    name = ring.leave(1000, packets=3)
    begun(ring, catalog).end(catalog, None, STARTED_NS, 2000 * SECOND_NS, name.name)

    assert [(gap.kind, gap.from_ns) for gap in catalog.gaps()] == [("crashed", 1002 * SECOND_NS)]


def test_one_that_it_began_without_a_word_proves_it_too(
    ring: RingDirectory, catalog: Catalog
) -> None:
    for epoch in (900, 1100, 1200):
        ring.leave(epoch)
    of_another = ring.leave(1300)
    with ring.being_written(of_another):
        begun(ring, catalog).end(catalog, None, STARTED_NS, 2000 * SECOND_NS, "t.1100")

    assert [(gap.kind, gap.from_ns) for gap in catalog.gaps()] == [("crashed", 1202 * SECOND_NS)]


def test_one_that_left_its_end_beside_the_catalog_was_not_killed(
    ring: RingDirectory, catalog: Catalog
) -> None:
    run = begun(ring, catalog)
    catalog_end.leave(ring.fd, "t.catalog", End(STARTED_NS, 1500 * SECOND_NS, "SIGTERM"))
    run.end(catalog, None, STARTED_NS, 2000 * SECOND_NS, None)

    unknown, stopped = catalog.gaps()
    assert (stopped.kind, stopped.from_ns, stopped.detail) == (
        "stopped",
        1500 * SECOND_NS,
        "SIGTERM",
    )
    # The note that says so did not come, and so no other that waited with it.
    assert (unknown.kind, unknown.from_ns, unknown.to_ns) == (
        "unknown",
        STARTED_NS,
        1500 * SECOND_NS,
    )


def test_what_was_lost_at_the_end_is_a_gap(ring: RingDirectory, catalog: Catalog) -> None:
    said = {"why": "no space", "stopped_ns": 90, "at_ns": 95, "lost": 7, "lost_from_ns": None}
    begun(ring, catalog).end(catalog, said, 80, None, "t.1000")

    lost, stopped = catalog.gaps()
    assert (lost.kind, lost.from_ns, lost.packets, lost.savefile) == ("lost", 80, 7, "t.1000")
    assert (stopped.kind, stopped.from_ns) == ("stopped", 90)


def test_earlier_ones_without_an_end_get_one(ring: RingDirectory, catalog: Catalog) -> None:
    number = catalog.begin_run(Run(started_ns=SECOND_NS, seen_ns=SECOND_NS, pid=os.getpid()))
    ring.leave(100, packets=2)  # which no catalog knows
    begun(ring, catalog)

    (gap,) = catalog.gaps()
    assert (gap.kind, gap.run, gap.from_ns) == ("crashed", number, 101 * SECOND_NS)
    assert gap.to_ns == STARTED_NS


@pytest.mark.parametrize("newer", [[1000], [1000, 1001, 1002], []])
def test_an_earlier_one_recorded_until_its_own_last_packet(
    ring: RingDirectory, catalog: Catalog, newer: list[int]
) -> None:
    """Not until one of those that this run has rolled over already, or of an empty one."""
    catalog.begin_run(Run(started_ns=SECOND_NS, seen_ns=SECOND_NS, pid=os.getpid()))
    ring.leave(100, packets=2)
    ring.leave(200, packets=0)
    (ring.path / "t.300").touch()
    for epoch in newer:
        ring.leave(epoch, packets=3)
    with ring.being_written(ring.leave(900)):  # by another recorder on this ring
        begun(ring, catalog)

    (gap,) = catalog.gaps()
    assert (gap.kind, gap.from_ns, gap.to_ns) == ("crashed", 101 * SECOND_NS, 900 * SECOND_NS)


@pytest.mark.parametrize("written", [True, False])
def test_another_that_has_just_begun_was_not_killed(
    ring: RingDirectory, catalog: Catalog, written: bool
) -> None:
    """Its savefile stands in no row yet."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    catalog.begin_run(
        Run(started_ns=STARTED_NS - 1, seen_ns=STARTED_NS, pid=os.getpid(), boot_id=boot_id)
    )
    other = ring.leave(1000)
    with ring.being_written(other):
        begun(ring, catalog, None if written else other.name)

    assert [gap.kind for gap in catalog.gaps()] == ([] if written else ["crashed"])
    assert [run.ended_ns is None for run in catalog.runs()] == [written, True]


def test_what_was_recorded_without_a_catalog_is_no_gap(
    ring: RingDirectory, catalog: Catalog
) -> None:
    catalog.add_gap(Gap(kind="stopped", from_ns=100 * SECOND_NS, run=1, detail="SIGTERM"))
    for epoch in (200, 300, 1000):  # the last one is our own
        name = ring.leave(epoch)
        os.utime(ring.path / name.name, ns=(0, (epoch + 50) * SECOND_NS))
    begun(ring, catalog, "t.1000")

    assert [(gap.kind, gap.from_ns, gap.to_ns) for gap in catalog.gaps()] == [
        ("stopped", 100 * SECOND_NS, 200 * SECOND_NS),
        ("stopped", 350 * SECOND_NS, STARTED_NS),
    ]
