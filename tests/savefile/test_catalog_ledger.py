"""Runs, gaps and pins: what is written is read, and what is old goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.savefile import catalog_ledger as module
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import END_NS, Gap, Pin, Run


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create(str(tmp_path / "p.catalog")) as made:
        yield made


def test_runs(catalog: Catalog) -> None:
    assert catalog.last_run() is None
    run = Run(started_ns=1, seen_ns=1, interface="eth0", filter_text="tcp", pid=7, boot_id="b")
    assert [catalog.begin_run(run), catalog.begin_run(run)] == [1, 2]
    catalog.seen(2, 5)
    catalog.end_run(1, 9, "SIGTERM")
    assert catalog.runs() == [
        run._replace(number=1, ended_ns=9, seen_ns=9, why="SIGTERM"),
        run._replace(number=2, seen_ns=5),
    ]
    assert catalog.last_run() == catalog.runs()[1]


def test_how_many_notes_of_a_run_are_written(catalog: Catalog) -> None:
    first, second = (catalog.begin_run(Run(started_ns=at)) for at in (1, 2))
    assert catalog.notes_of(first) == 0
    catalog.set_notes_of(first, 5)
    catalog.set_notes_of(first, 7)
    catalog.set_notes_of(second, 3)
    assert (catalog.notes_of(first), catalog.notes_of(second)) == (7, 3)

    catalog.end_run(first, 9, "done")
    assert (catalog.notes_of(first), catalog.notes_of(second)) == (0, 3)
    assert list(catalog.check()) == []


def test_gaps(catalog: Catalog) -> None:
    stopped = catalog.add_gap(Gap(kind="stopped", from_ns=50, detail="SIGTERM"))
    dropped = catalog.add_gap(Gap(kind="dropped", from_ns=10, to_ns=20, packets=3, savefile="p.1"))
    assert [gap.number for gap in catalog.gaps()] == [dropped, stopped]
    assert [gap.kind for gap in catalog.gaps(21, 50)] == []
    assert [gap.kind for gap in catalog.gaps(20, 51)] == ["dropped", "stopped"]
    assert [gap.kind for gap in catalog.gaps(1000)] == ["stopped"]
    catalog.close_gap(stopped, 60)
    catalog.close_gap(dropped, 30, 9)
    catalog.close_gap(99, 1)
    assert [(gap.to_ns, gap.packets) for gap in catalog.gaps()] == [(30, 9), (60, None)]
    assert catalog.gaps(61) == []


def test_the_ledger_is_bounded(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GAPS_KEPT", 2)
    monkeypatch.setattr(module, "RUNS_KEPT", 2)
    for number in range(5):
        catalog.add_gap(Gap(from_ns=number))
        catalog.begin_run(Run(started_ns=number))
    assert [gap.from_ns for gap in catalog.gaps()] == [3, 4]
    assert [run.number for run in catalog.runs()] == [4, 5]


def test_pins_have_numbers_that_are_not_given_twice(catalog: Catalog) -> None:
    first = catalog.pin(1, 2, "incident 7", 3)
    second = catalog.pin(5, END_NS, "é", 3)
    assert catalog.pins() == [Pin(1, 1, 2, "incident 7", 3), second]
    assert catalog.unpin(second.number) == second
    assert catalog.unpin(second.number) is None
    assert catalog.pin(1, 2, "", 4).number == 3
    catalog.put_pin(Pin(7, 1, 2, "from elsewhere", 3))
    assert catalog.pin(1, 2, "", 4).number == 8
    assert catalog.pins()[0] == first


def test_quota(catalog: Catalog) -> None:
    assert catalog.pin_quota_bytes() is None
    catalog.set_pin_quota_bytes(5 << 40)
    assert catalog.pin_quota_bytes() == 5 << 40
    catalog.set_pin_quota_bytes(None)
    assert catalog.pin_quota_bytes() is None
