"""Savefiles that are gone: which of them pruning does not explain, and who says so until when."""

import os
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.readers import holes as module
from daemonlogger_py.readers.archive import Archive
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, Gap, Run

from .made_ring import EVERY_S, FIRST, NS, PACKETS, make_ring, open_catalog


def told(ring: Path, **span: int) -> list[Gap]:
    asked = Where(rings=(str(ring),), **{key: (FIRST + at) * NS for key, at in span.items()})  # type: ignore[arg-type]
    with Archive(asked) as archive:
        assert archive.complaints == []
        return [gap for _, gap in archive.gaps()]


def remove(ring: Path, *names: str) -> None:
    for name in names:
        (ring / name).unlink()


def test_nothing_is_gone(tmp_path: Path) -> None:
    make_ring(tmp_path)
    assert told(tmp_path) == []


@pytest.mark.parametrize("asked_one_by_one", [0, 1000])
def test_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_one_by_one: int
) -> None:
    monkeypatch.setattr(module, "_ASKED_ONE_BY_ONE", asked_one_by_one)
    made = make_ring(tmp_path)
    remove(tmp_path, made[1])
    (gap,) = told(tmp_path)
    begin_ns = (FIRST + EVERY_S) * NS + 5000
    assert (gap.kind, gap.packets) == ("unknown", PACKETS)
    assert (gap.from_ns, gap.to_ns) == (begin_ns, begin_ns + (PACKETS - 1) * NS)
    assert gap.detail == f"{made[1]} is gone, and no recorder said that it pruned it"


def test_one_that_was_damaged_is_gone_as_well(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        known = catalog.entry(made[1])
        assert known is not None
        catalog.put(known._replace(first_ns=None, last_ns=None, ordered=False))
    remove(tmp_path, made[1])
    (gap,) = told(tmp_path, from_ns=70, to_ns=80)
    assert (gap.from_ns, gap.to_ns) == ((FIRST + EVERY_S) * NS, (FIRST + 2 * EVERY_S) * NS)
    assert (gap.kind, gap.packets) == ("unknown", None)
    assert told(tmp_path, from_ns=200) == []


def test_several_in_a_row_are_one(tmp_path: Path) -> None:
    made = make_ring(tmp_path, savefiles=6)
    remove(tmp_path, made[1], made[2], made[4], made[5])
    first, last = told(tmp_path)
    assert f"{made[1]} to {made[2]} are gone" in first.detail
    assert f"{made[4]} to {made[5]} are gone" in last.detail
    assert first.packets == 2 * PACKETS


def test_pruning_explains_the_oldest(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    remove(tmp_path, *made[:2])
    assert told(tmp_path) == []


def test_archived_ones_are_elsewhere(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    remove(tmp_path, made[1])
    with open_catalog(tmp_path) as catalog:
        known = catalog.entry(made[1])
        assert known is not None
        catalog.put(known._replace(state=ARCHIVED))
    assert told(tmp_path) == []


def test_compressed_ones_are_not_gone(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    (tmp_path / made[1]).rename(tmp_path / f"{made[1]}.gz")
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        assert archive.gaps() == []
        assert archive.unread == 1


def test_of_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_ring(tmp_path)
    remove(tmp_path, made[1])
    assert len(told(tmp_path, from_ns=70, to_ns=75)) == 1
    # Where nothing of the span is gone, nothing else is looked at.
    monkeypatch.setattr(module, "holes", None)
    assert told(tmp_path, from_ns=0, to_ns=50) == []
    assert told(tmp_path, from_ns=120) == []


def test_a_recorder_that_runs_says_it_itself(tmp_path: Path) -> None:
    made = make_ring(tmp_path)
    remove(tmp_path, made[1])
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with open_catalog(tmp_path) as catalog:
        catalog.begin_run(Run(started_ns=FIRST * NS, pid=os.getpid(), boot_id=boot_id))
    assert told(tmp_path) == []
