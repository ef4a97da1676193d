"""Catalogs made anew: from nothing, beside what is sound, and from what is damaged."""

import fcntl
import json
import os
import sqlite3
from pathlib import Path

import pytest

from daemonlogger_py.errors import CatalogError, UsageError
from daemonlogger_py.readers.verify import run
from daemonlogger_py.readers.verify.rebuild import REBUILT
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import OPEN, RECOVERED, Entry, Gap, Pin, Run

from .making import PACKETS, header, make_ring, of_paths, of_ring, record


def entries(ring: Path, prefix: str = "p") -> list[Entry]:
    with Catalog.open(str(ring / f"{prefix}.catalog")) as catalog:
        assert list(catalog.check()) == []
        return list(catalog.entries())


def change(ring: Path) -> Catalog:
    return Catalog.open(str(ring / "p.catalog"), write=True)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A ring with a catalog, pins, a ledger, and counts that only a recorder knows."""
    folder = tmp_path / "ring"
    paths = make_ring(folder)
    assert run(of_ring(folder, rebuild=True)) == 0
    with change(folder) as catalog:
        run_number = catalog.begin_run(Run(started_ns=1, interface="eth0"))
        catalog.end_run(run_number, 9, "SIGTERM")
        catalog.add_gap(Gap(kind="stopped", from_ns=5))
        catalog.pin(1, 2, "incident", 3)
        catalog.pin(1, 2, "second", 3)
        catalog.unpin(1)
        catalog.set_pin_quota_bytes(1000)
        known = catalog.entry(paths[1].name)
        assert known is not None
        catalog.put(known._replace(dropped=7, lost=1, why="size", run=1, state=RECOVERED))
    return folder


def assert_ledger(ring: Path) -> None:
    with Catalog.open(str(ring / "p.catalog")) as catalog:
        assert [one.why for one in catalog.runs()] == ["SIGTERM"]
        assert catalog.gaps()[0].kind == "stopped"
        assert catalog.pins() == [Pin(2, 1, 2, "second", 3)]
        assert catalog.pin_quota_bytes() == 1000


def test_from_the_savefiles_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_ring(tmp_path, 12)
    assert run(of_ring(tmp_path, rebuild=True, jobs=3)) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/p.catalog: made anew: 12 savefiles, {12 * PACKETS} packets;"
        " there was none before\n"
    )
    found = entries(tmp_path)
    assert [one.name for one in found] == [path.name for path in paths]
    assert [one.position for one in found] == list(range(1, 13))
    assert all(one.sha256 and one.packets == PACKETS for one in found)
    left = {path.name for path in tmp_path.iterdir()} - {path.name for path in paths}
    assert left <= {"p.catalog", "p.catalog-pages", "p.catalog-wal", "p.catalog-shm"}


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ring(tmp_path)
    assert run(of_ring(tmp_path, rebuild=True, json=True)) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["path"], row["whole"]) == (f"{tmp_path}/p.catalog", True)


def test_in_place_the_ledger_and_counts_stay(ring: Path) -> None:
    inode = (ring / "p.catalog").stat().st_ino
    paths = sorted(path for path in ring.glob("p.*") if path.suffix[1:].isdigit())
    paths[0].unlink()
    paths[2].write_bytes(header() + record(1_700_000_021, 5, 60))
    before = entries(ring)
    assert run(of_ring(ring, rebuild=True)) == 1
    assert_ledger(ring)
    found = entries(ring)
    assert [one.name for one in found] == [path.name for path in paths[1:]]
    assert (found[0].dropped, found[0].lost, found[0].why, found[0].run) == (7, 1, "size", 1)
    assert (found[0].state, found[0].position) == (RECOVERED, 1)
    assert (found[1].packets, found[1].sha256 != before[2].sha256) == (1, True)
    assert (ring / "p.catalog").stat().st_ino == inode  # a recorder may have it open


def test_what_is_damaged_is_named(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(path for path in ring.glob("p.*") if path.suffix[1:].isdigit())
    data = paths[0].read_bytes()
    os.utime(paths[0])
    paths[0].write_bytes(data[:24] + bytes(76) + data[100:])
    paths[1].write_bytes(b"\n\r\r\n" + bytes(40))  # of another format, which nobody looks into
    with change(ring) as catalog:  # as if nothing was known of them before
        for path in paths[:2]:
            catalog.remove(path.name, 1)
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 1
    damaged, made = capsys.readouterr().out.splitlines()
    assert damaged == f"{paths[0].name} is damaged: zeros instead of a record at byte offset 24"
    assert f"made anew: {len(paths)} savefiles, " in made
    assert ", 1 of which is damaged; " in made
    assert [one.walked for one in entries(ring)] == [False, False, *[True] * (len(paths) - 2)]

    assert run(of_ring(ring, rebuild=True, json=True)) == 1
    row = json.loads(capsys.readouterr().out)
    assert (row["faults"], row["whole"]) == ([damaged], False)


def test_what_was_altered_is_named(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(path for path in ring.glob("p.*") if path.suffix[1:].isdigit())
    for path in paths[:2]:
        data = bytearray(path.read_bytes())
        data[60] ^= 1
        path.write_bytes(data)
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 1
    *altered, made = capsys.readouterr().out.splitlines()
    assert altered == [f"{path.name} is not what was sealed" for path in paths[:2]]
    assert f"{len(paths)} savefiles, " in made
    assert "2 of which are not what was sealed; the ledger is kept" in made
    assert_ledger(ring)
    # It is said once: the catalog has what is there now.
    assert run(of_ring(ring, rebuild=True, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []


def test_what_a_recorder_linked_anew_is_named(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.1700000000"
    with change(ring) as catalog:
        known = catalog.entry(path.name)
        assert known is not None
        catalog.put(known._replace(sha256=bytes(32)))
        catalog.seal(known)
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True, json=True)) == 1
    row = json.loads(capsys.readouterr().out)
    assert (row["whole"], row["faults"]) == (False, [f"{path.name} is not what was sealed"])


def test_what_was_altered_is_named_from_a_damaged_catalog(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.1700000000"
    path.write_bytes(header() + record(1_700_000_000, 5, 60))
    connection = sqlite3.connect(ring / "p.catalog")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = 'gap_from'")
    connection.commit()
    connection.close()
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{path.name} is not what was sealed"
    assert "1 of which is not what was sealed" in said[1]
    assert "p.catalog.damaged" in said[1]


def test_what_is_being_written_keeps_its_row(ring: Path) -> None:
    path = ring / "p.1700000100"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(header())
        file.flush()
        row = Entry(path.name, 1_700_000_100, 0, OPEN, 0, 0, opened_ns=5)
        with change(ring) as catalog:
            catalog.put(row)
        assert run(of_ring(ring, rebuild=True)) == 0
    assert entries(ring)[-1] == row


def test_damaged_rows_go_and_pins_stay(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect(ring / "p.catalog")
    connection.execute("UPDATE gap SET kind = 'dropped'")
    connection.execute("UPDATE pin SET to_ns = 77")
    connection.commit()
    connection.close()
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 0
    assert "2 damaged rows are removed, 1 pin kept" in capsys.readouterr().out
    with Catalog.open(str(ring / "p.catalog")) as catalog:
        assert list(catalog.check()) == []
        (gap,) = catalog.gaps()
        assert (gap.kind, gap.detail) == ("unknown", "the catalog was damaged and made anew")
        assert [(pin.number, pin.to_ns) for pin in catalog.pins()] == [(2, 77)]


@pytest.mark.parametrize("how", ["overwritten", "empty", "page", "header"])
def test_a_damaged_database_is_put_aside(
    ring: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.catalog"
    data = bytearray(path.read_bytes())
    if how == "overwritten":
        data = bytearray(b"no database" * 1000)
    elif how == "empty":
        data = bytearray()
    elif how == "page":
        data[4096:8192] = bytes(4096)  # one of the tables
    else:
        data[0] ^= 1
    path.write_bytes(data)
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 0
    assert "the damaged one is p.catalog.damaged now" in capsys.readouterr().out
    assert (ring / "p.catalog.damaged").read_bytes() == data
    assert len(entries(ring)) == 3
    assert run(of_ring(ring)) == 0
    if how == "page":
        with Catalog.open(str(path)) as catalog:
            assert [pin.number for pin in catalog.pins()] == [2]
            assert catalog.pin_quota_bytes() == 1000


def test_a_damaged_database_that_is_written_is_left_alone(ring: Path) -> None:
    path = ring / "p.catalog"
    path.write_bytes(b"no database")
    newest = ring / "p.1700000100"
    with newest.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(header())
        with pytest.raises(CatalogError, match="a recorder writes it"):
            run(of_ring(ring, rebuild=True))
    assert path.read_bytes() == b"no database"
    assert run(of_ring(ring, rebuild=True)) == 0


def test_what_a_killed_rebuild_left_goes(ring: Path) -> None:
    for end in (REBUILT, f"{REBUILT}-wal", f"{REBUILT}.new", ".new"):
        (ring / f"p.catalog{end}").write_bytes(b"half")
    assert run(of_ring(ring, rebuild=True)) == 0
    expected = {f"p.catalog{end}" for end in ("", "-pages", "-wal", "-shm")}
    assert {path.name for path in ring.glob("p.catalog*")} <= expected


def test_all_rings_of_a_directory(tmp_path: Path) -> None:
    make_ring(tmp_path, 2, "a")
    make_ring(tmp_path, 3, "b")
    (tmp_path / "x.pcap").write_bytes(header())
    assert run(of_paths(tmp_path, rebuild=True)) == 0
    assert (len(entries(tmp_path, "a")), len(entries(tmp_path, "b"))) == (2, 3)


def test_what_is_no_classic_pcap_is_in_it_as_well(tmp_path: Path) -> None:
    make_ring(tmp_path, 1)
    (tmp_path / "p.1700000001").write_bytes(b"\n\r\r\n" + bytes(50))
    assert run(of_ring(tmp_path, rebuild=True)) == 0
    foreign = entries(tmp_path)[1]
    assert (foreign.packets, foreign.ordered, foreign.first_ns) == (0, False, None)


def test_what_cannot_be_read_is_said(
    ring: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr("daemonlogger_py.readers.verify.rebuild.survey", refuse)
    assert run(of_ring(ring, rebuild=True)) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0] == f"dlctl verify: {ring}/p.1700000000: Input/output error"
    assert len(entries(ring)) == 3  # what was known of them stays


def test_only_rings_have_catalogs(tmp_path: Path) -> None:
    paths = make_ring(tmp_path / "ring")
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.pcap").write_bytes(header())
    with pytest.raises(UsageError, match="accepted: directories"):
        run(of_paths(paths[0], rebuild=True))
    with pytest.raises(UsageError, match="no savefiles PREFIX"):
        run(of_paths(other, rebuild=True))
    with pytest.raises(UsageError, match="No such file"):
        run(of_paths(tmp_path / "gone", rebuild=True))


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_gone_is_named_and_stays_a_gap(
    ring: Path, capsys: pytest.CaptureFixture[str], *, damaged: bool
) -> None:
    (ring / "p.1700000010").unlink()
    if damaged:
        path = ring / "p.catalog"
        with change(ring) as catalog:
            links = catalog.query("SELECT rootpage FROM sqlite_master WHERE name = 'link'")
        data = bytearray(path.read_bytes())
        at = (links[0][0] - 1) * 4096
        data[at : at + 4096] = bytes(4096)
        path.write_bytes(data)
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 1
    named, made = capsys.readouterr().out.splitlines()
    assert named == "p.1700000010 is gone, and was not pruned"
    assert "2 savefiles, " in made
    assert "; 1 savefile gone, which a gap says from now on; " in made
    assert ("p.catalog.damaged" in made) is damaged
    with Catalog.open(str(ring / "p.catalog")) as catalog:
        assert [one.name for one in catalog.entries()] == ["p.1700000000", "p.1700000020"]
        (gap,) = (gap for gap in catalog.gaps() if "p.1700000010 is gone" in gap.detail)
    assert (gap.kind, gap.packets, gap.from_ns) == ("unknown", PACKETS, 1_700_000_010 * 10**9)
    # It is written once.
    assert run(of_ring(ring, rebuild=True)) == 0
    with Catalog.open(str(ring / "p.catalog")) as catalog:
        assert sum("is gone" in gap.detail for gap in catalog.gaps()) == 1


def test_the_oldest_that_is_gone_was_pruned(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ring / "p.1700000000").unlink()
    capsys.readouterr()
    assert run(of_ring(ring, rebuild=True)) == 0
    (made,) = capsys.readouterr().out.splitlines()
    assert "2 savefiles, " in made
    with change(ring) as catalog:
        assert [gap.kind for gap in catalog.gaps()] == ["stopped"]


def test_what_is_gone_is_left_to_a_recorder_that_runs(ring: Path) -> None:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with change(ring) as catalog:
        catalog.begin_run(Run(started_ns=10, pid=os.getpid(), boot_id=boot_id))
    (ring / "p.1700000010").unlink()
    assert run(of_ring(ring, rebuild=True)) == 0
    with change(ring) as catalog:
        assert [gap.kind for gap in catalog.gaps()] == ["stopped"]
        assert catalog.entry("p.1700000010") is not None


def test_a_ring_that_is_not_there(ring: Path) -> None:
    config = of_ring(ring, rebuild=True)
    with pytest.raises(UsageError, match=r"--prefix nope: there is no such ring; accepted: p$"):
        run(config._replace(where=config.where._replace(prefix="nope")))
    assert not (ring / "nope.catalog").exists()
