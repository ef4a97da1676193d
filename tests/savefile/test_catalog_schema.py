"""Tables as SQLite has them, and the database files that belong together."""

import fcntl
import sqlite3
import threading
from pathlib import Path

import pytest

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_schema
from daemonlogger_py.savefile.catalog_schema import TABLES, Table


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "p.catalog")
    catalog_schema.create(made)
    return made


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_fields_of_its_rows_and_a_checksum(path: str, table: Table) -> None:
    connection = sqlite3.connect(path)
    rows = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
    connection.close()
    assert [row[1] for row in rows] == [*table.fields, "checksum"]
    kinds = {row[1]: row[2] for row in rows}
    assert {name for name, kind in kinds.items() if kind == "TEXT"} == table.texts
    assert {name for name, kind in kinds.items() if kind == "BLOB"} == table.blobs & {*table.fields}


def test_a_catalog_is_a_database_with_a_log_and_a_number(path: str) -> None:
    connection = sqlite3.connect(path)
    asked = [connection.execute(f"PRAGMA {name}").fetchone()[0]
             for name in ("journal_mode", "application_id", "user_version")]  # fmt: skip
    connection.close()
    assert asked == ["wal", 0x444C7079, catalog_schema.VERSION]


def test_writers_overwrite_what_they_delete(path: str) -> None:
    connection = catalog_schema.connect(path, write=True)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    connection.close()


def test_discarding_removes_all_files_of_a_database(path: str) -> None:
    for end in ("-wal", "-shm", "-pages"):
        Path(path + end).touch()
    catalog_schema.discard(path)
    assert list(Path(path).parent.iterdir()) == []
    catalog_schema.discard(path)


def test_a_database_is_settled_when_its_log_is_empty(path: str) -> None:
    assert catalog_schema.is_settled(path)
    Path(path + "-wal").touch()
    assert catalog_schema.is_settled(path)
    Path(path + "-wal").write_bytes(b"x")
    assert not catalog_schema.is_settled(path)


@pytest.mark.parametrize("name", ["p?mode=memory", "50%", "a#b", "a b", "é"])
def test_a_path_is_a_path_whatever_is_in_it(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    catalog_schema.create(path)
    catalog_schema.connect(path, write=False).close()
    assert Path(path).stat().st_size > 0


def test_a_path_is_shown_so_that_no_terminal_obeys_it() -> None:
    assert catalog_schema.printable("a/b") == "a/b"
    assert "\x1b" not in catalog_schema.printable("a\x1b[2J")


def test_what_could_not_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(catalog_schema, "_connect", full)
    with pytest.raises(CatalogError, match=r"cannot be made: database or disk is full"):
        catalog_schema.create(str(tmp_path / "p.catalog"))
    assert list(tmp_path.iterdir()) == []


def test_many_that_make_one_at_the_same_moment_make_one(tmp_path: Path) -> None:
    path = tmp_path / "p.catalog"
    made: list[str] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        try:
            catalog_schema.create(str(path))
            made.append("")
        except CatalogError as error:
            made.append(str(error))
        connection = catalog_schema.connect(str(path), write=True)
        connection.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == ["", *[f"{path}: cannot be made: File exists"] * 7]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "p.catalog"
    for end in (".new", ".new-wal", ".new-shm"):
        Path(f"{path}{end}").write_bytes(b"half of one")
    catalog_schema.create(str(path))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_another_process_is_at_work_on_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_schema, "WAIT_S", 0.05)
    new = tmp_path / "p.catalog.new"
    with new.open("wb") as other:
        other.write(b"half of one")
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CatalogError, match=r"cannot be made: another process has begun"):
            catalog_schema.create(str(tmp_path / "p.catalog"))
    assert new.read_bytes() == b"half of one"


def test_no_file_that_a_link_points_to_is_touched(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"evidence")
    (tmp_path / "p.catalog.new").symlink_to(victim)
    catalog_schema.create(str(tmp_path / "p.catalog"))
    assert victim.read_bytes() == b"evidence"
