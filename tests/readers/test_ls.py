"""``dlctl ls``: every savefile and every gap at its place, and what they come to."""

import json
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import LsConfig, Where
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers import ls
from daemonlogger_py.savefile.catalog_rows import Gap

from .made_ring import FIRST, NS, PREFIX, SIZE_BYTES, add_gap, make_ring, open_catalog


def listing(capsys, *rings: Path, **fields: object) -> list[str]:
    where = fields.pop("where", None) or Where(rings=tuple(map(str, rings)))
    assert ls.run(LsConfig(where, **fields)) == 0  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def names(lines: list[str]) -> list[str]:
    """The first cells of the table without its heading and its totals."""
    return [line.split()[0] for line in lines[1:-1]]


def test_savefiles_and_totals(tmp_path: Path, capsys) -> None:
    savefiles = make_ring(tmp_path)
    lines = listing(capsys, tmp_path)
    assert lines[0].split() == [
        "SAVEFILE", "STATE", "FROM", "TO", "PACKETS", "BYTES", "DROPS", "PINNED", "NOTE",
    ]  # fmt: skip
    assert names(lines)[:3] == savefiles
    assert lines[1].split() == [
        savefiles[0], "sealed", "2023-11-14T22:13:20Z", "2023-11-14T22:14:09Z", "50",
        str(SIZE_BYTES), "0", "-",
    ]  # fmt: skip
    assert lines[-1].startswith("3 savefiles, 11.2 KiB; 150 packets and 0 drops")


def test_what_was_not_walked_to_its_end(tmp_path: Path, capsys) -> None:
    first, second, _ = make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        known = catalog.entry(second)
        assert known is not None
        catalog.put(known._replace(packets=7, first_ns=None, last_ns=None, ordered=False))
    lines = listing(capsys, tmp_path)
    assert lines[2].split(maxsplit=8) == [
        second, "sealed", "-", "-", "7", str(SIZE_BYTES), "0", "-",
        "damaged or of another format: there may be other packets in it",
    ]  # fmt: skip
    assert "107 packets and 0 drops; 1 damaged or of another format" in lines[-1]
    assert lines[1].split()[-1] == "-"
    assert names(lines)[0] == first


def test_gaps_stand_before_what_was_recorded_after_them(tmp_path: Path, capsys) -> None:
    first, second, third = make_ring(tmp_path)
    add_gap(tmp_path, "stopped", -20, -10, detail="SIGTERM")
    add_gap(tmp_path, "dropped", 65, 70, packets=3, savefile=second)
    add_gap(tmp_path, "disk_full", 115, 118, detail="x")
    lines = listing(capsys, tmp_path)
    assert names(lines)[:6] == ["(stopped)", first, second, "(dropped)", "(disk_full)", third]
    assert names(listing(capsys, tmp_path, gaps=False)) == [first, second, third]


def test_a_time_that_two_gaps_share_is_counted_once() -> None:
    totals = ls.Totals()
    totals.add_gap(Gap(kind="crashed", from_ns=0, to_ns=100 * NS))
    totals.add_gap(Gap(kind="clock_stepped", from_ns=50 * NS, to_ns=60 * NS))
    totals.add_gap(Gap(kind="stopped", from_ns=90 * NS, to_ns=110 * NS))
    totals.add_gap(Gap(kind="dropped", from_ns=200 * NS, to_ns=300 * NS, packets=5))
    assert totals.missed_ns == 110 * NS
    assert totals.line().endswith("4 gaps, 1 min 50 s not recorded")
    totals.next_directory()
    totals.add_gap(Gap(kind="stopped", from_ns=0, to_ns=10 * NS))
    assert totals.missed_ns == 120 * NS


@pytest.mark.parametrize("kind", ["disk_stalled", "clock_stepped", "dropped", "lost", "unknown"])
def test_what_may_have_been_recorded_is_not_called_unrecorded(kind: str) -> None:
    totals = ls.Totals()
    totals.add_gap(Gap(kind=kind, from_ns=0, to_ns=3600 * NS))
    assert totals.line().endswith("; 1 gap")
    for begin, whole in enumerate(("stopped", "crashed", "disk_full", "interface_down", "newer")):
        totals.add_gap(Gap(kind=whole, from_ns=begin * 60 * NS, to_ns=(begin + 1) * 60 * NS))
    assert totals.line().endswith("6 gaps, 5 min not recorded")


def test_pins_and_drops(tmp_path: Path, capsys) -> None:
    first, second, _ = make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        catalog.pin((FIRST + 70) * NS, (FIRST + 80) * NS, "why", 0)
        known = catalog.entry(first)
        assert known is not None
        catalog.put(known._replace(dropped=2, lost=1))
    lines = listing(capsys, tmp_path)
    assert [line.split()[6:8] for line in lines[1:4]] == [["3", "-"], ["0", "1"], ["0", "-"]]
    assert "150 packets and 3 drops" in lines[-1]
    assert "3.73 KiB in 1 pinned" in lines[-1]
    assert second in lines[2]


def test_what_the_catalog_does_not_know(tmp_path: Path, capsys) -> None:
    _, _, third = make_ring(tmp_path, listed=2)
    lines = listing(capsys, tmp_path)
    assert lines[3].split()[:7] == [
        third, "unknown", "2023-11-14T22:15:20Z", "-", "-", str(SIZE_BYTES), "-",
    ]  # fmt: skip
    assert "100 packets and 0 drops in the 2 that the catalog knows" in lines[-1]


def test_without_a_catalog(tmp_path: Path, capsys) -> None:
    savefiles = make_ring(tmp_path)
    for path in tmp_path.glob("*.catalog*"):
        path.unlink()
    lines = listing(capsys, tmp_path)
    assert names(lines) == savefiles
    assert "0 packets and 0 drops in the 0 that the catalog knows" in lines[-1]


def test_a_damaged_catalog_is_said_and_nothing_else_is_lost(tmp_path: Path, capsys) -> None:
    savefiles = make_ring(tmp_path)
    (tmp_path / f"{PREFIX}.catalog").write_bytes(b"no database" * 100)
    assert ls.run(LsConfig(Where(rings=(str(tmp_path),)))) == 0
    told = capsys.readouterr()
    assert names(told.out.splitlines()) == savefiles
    assert told.err.startswith("dlctl ls: ")
    assert told.err.count("\n") == 1


def test_a_span(tmp_path: Path, capsys) -> None:
    _, second, _ = make_ring(tmp_path)
    where = Where(rings=(str(tmp_path),), from_ns=(FIRST + 60) * NS, to_ns=(FIRST + 110) * NS)
    assert names(listing(capsys, where=where, gaps=False)) == [second]


def test_several_directories_are_told_apart(tmp_path: Path, capsys) -> None:
    savefiles = make_ring(tmp_path / "a")
    make_ring(tmp_path / "b", savefiles=1)
    lines = listing(capsys, tmp_path / "a", tmp_path / "b", gaps=False)
    assert names(lines) == [
        *[str(tmp_path / "a" / name) for name in savefiles],
        str(tmp_path / "b" / savefiles[0]),
    ]
    assert lines[-1].startswith("4 savefiles")


def test_json(tmp_path: Path, capsys) -> None:
    savefiles = make_ring(tmp_path)
    add_gap(tmp_path, "stopped", 55, 58)
    found = [json.loads(line) for line in listing(capsys, tmp_path, json=True)]
    assert [one.get("name") or one["kind"] for one in found][:4] == [
        savefiles[0], "stopped", *savefiles[1:],
    ]  # fmt: skip
    assert {one["type"] for one in found} == {"savefile", "gap"}


def test_people_see_a_table_for_each_directory(tmp_path: Path, capsys, monkeypatch) -> None:
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    make_ring(tmp_path / "a")
    make_ring(tmp_path / "b", savefiles=1)
    lines = listing(capsys, tmp_path / "a", tmp_path / "b", gaps=False)
    assert lines[0] == f"{tmp_path / 'a'}:"
    assert lines[1].split()[-1] == "pin"
    assert lines[2] == "2023-11-14 UTC"
    assert lines[3].split() == [
        f"{PREFIX}.{FIRST}", "sealed", "22:13:20", "22:14:09", "50", "3.73K", "0",
    ]  # fmt: skip
    assert f"{tmp_path / 'b'}:" in lines


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--ring .*gone: No such file or directory"):
        ls.run(LsConfig(Where(rings=(str(tmp_path / "gone"),))))


def test_a_savefile_that_is_gone_is_a_gap(tmp_path: Path, capsys) -> None:
    made = make_ring(tmp_path)
    (tmp_path / made[1]).unlink()
    lines = listing(capsys, tmp_path)
    assert names(lines) == [made[0], "(unknown)", made[2]]
    assert lines[-1].endswith("; 1 gap")


def test_what_repairs_keep(tmp_path: Path, capsys) -> None:
    made = make_ring(tmp_path)
    (tmp_path / f"{made[1]}.damaged").write_bytes(bytes(SIZE_BYTES))
    with open_catalog(tmp_path) as catalog:
        catalog.pin((FIRST + 70) * NS, (FIRST + 80) * NS, "alert", 0)
    total = listing(capsys, tmp_path)[-1]
    assert "; 3.73 KiB that repairs keep beside them; 7.47 KiB in 1 pinned" in total
