"""Runs and gaps: when one begins, when it ends, and which of them a kill leaves behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.record.ledger import LONGEST_NS, Ledger
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_end import End
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry, Gap, Run

S = 10**9


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create(str(tmp_path / "t.catalog")) as made:
        yield made


def run(started_s: int) -> Run:
    return Run(started_ns=started_s * S, seen_ns=started_s * S, interface="eth0")


def begun(catalog: Catalog, started_s: int, alive: tuple[int, ...] = ()) -> Ledger:
    ledger = Ledger()
    ledger.begin(catalog, run(started_s), alive, {})
    return ledger


def gaps(catalog: Catalog) -> list[tuple[str, float, float | None]]:
    return [
        (gap.kind, gap.from_ns / S, None if gap.to_ns is None else gap.to_ns / S)
        for gap in catalog.gaps()
    ]


def test_between_two_runs_nothing_was_recorded(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    assert gaps(catalog) == []
    ledger.end(catalog, "SIGTERM", 200 * S, killed=False)
    assert gaps(catalog) == [("stopped", 200, None)]
    assert catalog.gaps()[0].detail == "SIGTERM"

    begun(catalog, 250)
    assert gaps(catalog) == [("stopped", 200, 250)]
    first, second = catalog.runs()
    assert (first.ended_ns, first.why, second.ended_ns) == (200 * S, "SIGTERM", None)


def test_a_killed_recorder_leaves_a_gap_until_the_next(catalog: Catalog) -> None:
    begun(catalog, 100).end(catalog, "the recorder was killed", 180 * S, killed=True)
    assert gaps(catalog) == [("crashed", 180, None)]

    begun(catalog, 250)
    assert gaps(catalog) == [("crashed", 180, 250)]
    assert catalog.runs()[0].why == "crashed"


def test_a_recorder_that_ended_alone_has_said_how(catalog: Catalog) -> None:
    """Its catalog's process was killed before it; it left its end beside the catalog."""
    ledger = begun(catalog, 100)
    ledger.still_there(catalog, 150 * S)
    ledger.begins(catalog, "interface_down", 140 * S, "", None)
    ends = {end.started_ns: end for end in (End(99 * S, S, "other"), End(100 * S, 200 * S, "INT"))}
    Ledger().begin(catalog, run(250), (), {}, ends)

    assert gaps(catalog) == [
        ("interface_down", 140, 200),
        ("unknown", 150, 200),
        ("stopped", 200, 250),
    ]
    assert (catalog.runs()[0].ended_ns, catalog.runs()[0].why) == (200 * S, "INT")
    assert [gap.detail for gap in catalog.gaps()][1:] == [
        "the catalog's process had died: what was dropped is not known",
        "INT",
    ]


def test_what_a_killed_run_sealed_is_a_sign_of_its_life(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    for last_s, number in ((150, ledger.run), (180, None)):
        name = f"t.{last_s}"
        catalog.put(Entry(name, last_s, 0, SEALED, 24, 0, last_ns=last_s * S, run=number))
    begun(catalog, 250)
    assert gaps(catalog) == [("crashed", 150, 250)]


def test_a_run_that_nobody_could_end_ends_at_its_last_sign_of_life(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    ledger.still_there(catalog, 130 * S)
    ledger.begins(catalog, "interface_down", 120 * S, "down", "t.100")

    begun(catalog, 250)
    assert gaps(catalog) == [("interface_down", 120, 130), ("crashed", 130, 250)]
    assert catalog.runs()[0].ended_ns == 130 * S


def test_its_last_packet_is_a_sign_of_life(catalog: Catalog) -> None:
    begun(catalog, 100)
    Ledger().begin(catalog, run(250), (), {1: 222 * S})

    assert gaps(catalog) == [("crashed", 222, 250)]


def test_another_recorder_on_the_ring_goes_on(catalog: Catalog) -> None:
    first = begun(catalog, 100)
    assert first.run is not None
    second = begun(catalog, 110, alive=(first.run,))
    first.still_there(catalog, 118 * S)
    assert gaps(catalog) == []

    second.end(catalog, "SIGINT", 120 * S, killed=False)
    assert gaps(catalog) == []  # the first records on
    first.end(catalog, "SIGINT", 130 * S, killed=False)
    assert gaps(catalog) == [("stopped", 130, None)]


def test_an_end_that_comes_after_the_next_start_changes_nothing(catalog: Catalog) -> None:
    slow = begun(catalog, 100)
    begun(catalog, 250)
    before = gaps(catalog)
    slow.end(catalog, "SIGTERM", 120 * S, killed=False)

    assert gaps(catalog) == before == [("crashed", 100, 250)]


def test_what_lasts_ends_with_the_run(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    ledger.begins(catalog, "disk_full", 110 * S, "", "t.100")
    ledger.begins(catalog, "disk_full", 115 * S, "", "t.100")
    ledger.begins(catalog, "interface_down", 120 * S, "down", None)
    ledger.ends(catalog, "disk_full", 130 * S)
    ledger.ends(catalog, "disk_full", 131 * S)
    ledger.end(catalog, "SIGTERM", 140 * S, killed=False)

    assert gaps(catalog) == [
        ("disk_full", 110, 130),
        ("interface_down", 120, 140),
        ("stopped", 140, None),
    ]


def test_drops_of_seconds_in_a_row_are_one_gap(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    for second in (110, 111, 112, 120):
        ledger.dropped(catalog, 5, second * S, "t.100")

    assert gaps(catalog) == [("dropped", 109, 112), ("dropped", 119, 120)]
    assert [(gap.packets, gap.savefile) for gap in catalog.gaps()] == [(15, "t.100"), (5, "t.100")]


def test_drops_are_said_of_each_savefile_and_each_minute(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    ledger.dropped(catalog, 1, 110 * S, "t.100")
    ledger.dropped(catalog, 2, 111 * S, "t.111")
    for second in range(112, 112 + 2 * LONGEST_NS // S):
        ledger.dropped(catalog, 1, second * S, "t.111")
    ledger.end(catalog, "SIGTERM", 300 * S, killed=False)

    drops = [gap for gap in catalog.gaps() if gap.kind == "dropped"]
    assert len(drops) == 4
    assert all((gap.to_ns or 0) - gap.from_ns <= LONGEST_NS for gap in drops)
    assert sum(gap.packets or 0 for gap in drops) == 1 + 2 + 120


def test_what_is_taken_back_can_be_written_again(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    ledger.dropped(catalog, 5, 110 * S, "t.100")
    state = ledger.state

    def fail() -> None:
        with catalog.transaction():
            ledger.begins(catalog, "disk_full", 110 * S, "", None)
            ledger.dropped(catalog, 2, 111 * S, "t.100")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    ledger.state = state
    assert gaps(catalog) == [("dropped", 109, 110)]

    ledger.begins(catalog, "disk_full", 110 * S, "", None)
    ledger.dropped(catalog, 2, 111 * S, "t.100")
    assert gaps(catalog) == [("dropped", 109, 111), ("disk_full", 110, None)]
    assert catalog.gaps()[0].packets == 7


def test_a_run_that_another_process_began_is_gone_on_with(catalog: Catalog) -> None:
    killed = begun(catalog, 100)
    killed.begins(catalog, "disk_full", 110 * S, "", None)
    killed.begins(catalog, "interface_down", 111 * S, "down", None)
    killed.ends(catalog, "disk_full", 112 * S)
    killed.noted(catalog, 3)
    (run_of_both,) = catalog.runs()
    assert catalog.notes_of(run_of_both.number) == 3

    ledger = Ledger()
    ledger.resume(catalog, run_of_both)
    assert ledger.run == killed.run
    ledger.ends(catalog, "interface_down", 120 * S)
    ledger.end(catalog, "SIGTERM", 130 * S, killed=False)
    ledger.noted(catalog, 9)
    assert gaps(catalog) == [
        ("disk_full", 110, 112),
        ("interface_down", 111, 120),
        ("stopped", 130, None),
    ]
    assert catalog.notes_of(run_of_both.number) == 0  # nobody goes on with it


def test_in_a_catalog_that_was_made_anew_nothing_goes_on(catalog: Catalog, tmp_path: Path) -> None:
    ledger = begun(catalog, 100)
    ledger.begins(catalog, "disk_full", 110 * S, "", None)
    ledger.dropped(catalog, 5, 110 * S, "t.100")
    with Catalog.create(str(tmp_path / "u.catalog")) as anew:
        ledger.begin(anew, run(100), (), {})
        for kind in ("stopped", "unknown"):
            anew.add_gap(Gap(kind=kind, from_ns=50 * S))
        ledger.ends(anew, "disk_full", 111 * S)
        ledger.dropped(anew, 5, 111 * S, "t.100")
        assert gaps(anew) == [("stopped", 50, None), ("unknown", 50, None), ("dropped", 110, 111)]


def test_a_gap_that_is_over_is_written_as_it_is(catalog: Catalog) -> None:
    ledger = begun(catalog, 100)
    note = {"kind": "clock_stepped", "from_ns": 5 * S, "to_ns": 9 * S, "detail": "back by 4 s"}
    ledger.gap(catalog, note, "t.100")

    assert catalog.gaps() == [
        Gap(1, "clock_stepped", 5 * S, 9 * S, None, "t.100", ledger.run, "back by 4 s")
    ]


@pytest.mark.parametrize("still", [False, True])
def test_a_gap_is_parted_around_what_was_recorded_without_a_catalog(
    catalog: Catalog, still: bool
) -> None:
    begun(catalog, 100).end(catalog, "SIGTERM", 200 * S, killed=False)

    def parted(gap: Gap) -> list[Gap]:
        after = Gap(kind="stopped", from_ns=240 * S)
        return [gap._replace(to_ns=220 * S), *([] if still else [after])]

    Ledger().begin(catalog, run(250), (), {}, parted=parted)
    after = [] if still else [("stopped", 240, 250)]
    assert gaps(catalog) == [("stopped", 200, 220), *after]
