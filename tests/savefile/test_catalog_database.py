"""The database of a catalog: opened, locked, read beside others, and after a kill."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile.catalog import Catalog, set_aside
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry, Gap


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "p.catalog")


@pytest.fixture
def catalog(path: str) -> Iterator[Catalog]:
    with Catalog.create(path) as made:
        yield made


def entry(number: int) -> Entry:
    return Entry(f"p.{number}", number, 0, SEALED, 100, 1, sha256=bytes(32))


def names(found: Iterator[Entry]) -> list[str]:
    return [one.name for one in found]


def test_a_transaction_is_all_or_nothing(catalog: Catalog, path: str) -> None:
    before = catalog.transactions()

    def fail() -> None:
        with catalog.transaction():
            catalog.seal(entry(1))
            catalog.add_gap(Gap())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (list(catalog.entries()), catalog.gaps()) == ([], [])
    with catalog.transaction():
        catalog.seal(entry(1))
        with Catalog.open(path) as other:
            assert list(other.entries()) == []
        catalog.add_gap(Gap())
    assert (len(list(catalog.entries())), len(catalog.gaps())) == (1, 1)
    assert catalog.transactions() == before + 1


def test_others_writing_is_seen(catalog: Catalog, path: str) -> None:
    with Catalog.open(path) as reader:
        before = reader.data_version()
        assert reader.data_version() == before
        catalog.put(entry(1))
        assert reader.data_version() != before
        assert names(reader.entries()) == ["p.1"]


def test_a_lock_is_not_waited_for_long(
    catalog: Catalog, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemonlogger_py.savefile.catalog_schema.WAIT_S", 0.05)
    with Catalog.open(path, write=True) as other, catalog.transaction():
        with pytest.raises(CatalogError, match=r"p\.catalog: is locked by another") as raised:
            other.put(entry(1))
        assert raised.value.locked
        assert list(other.entries()) == []


def test_a_reader_writes_nothing(catalog: Catalog, path: str) -> None:
    with Catalog.open(path) as reader, pytest.raises(CatalogError, match="readonly"):
        reader.put(entry(1))


def test_what_is_closed_says_so(catalog: Catalog) -> None:
    catalog.close()
    catalog.close()
    with pytest.raises(CatalogError, match="is closed"):
        catalog.put(entry(1))


def test_there_is_none_or_one_already(tmp_path: Path, path: str) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        Catalog.open(path)
    Catalog.create(path).close()
    with pytest.raises(CatalogError, match="File exists"):
        Catalog.create(path)
    with pytest.raises(CatalogError, match="No such file"):
        Catalog.create(str(tmp_path / "gone" / "p.catalog"))


@pytest.mark.parametrize("content", [b"", b"no database, but text " * 300, bytes(8192)])
@pytest.mark.parametrize("write", [False, True])
def test_what_is_no_catalog_is_refused(path: str, content: bytes, write: bool) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(CatalogError, match="damaged"):
        Catalog.open(path, write=write)
    assert Path(path).read_bytes() == content


def test_a_newer_one_is_refused(catalog: Catalog, path: str) -> None:
    catalog.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(CatalogError, match="version 2; accepted: 1"):
        Catalog.open(path, write=True)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside its writer"])
def test_reading_where_nothing_may_be_written(
    catalog: Catalog, path: str, tmp_path: Path, beside: bool
) -> None:
    catalog.put(entry(1))
    if not beside:
        catalog.close()
    for directory in (tmp_path, *tmp_path.parents):
        if directory == Path(tempfile.gettempdir()):
            break
        os.chmod(directory, directory.stat().st_mode | 0o055)  # pytest keeps them to itself
    script = (
        "import os, sys, sqlite3\n"
        "from daemonlogger_py.savefile.catalog import Catalog\n"
        "Catalog.open(sys.argv[1]).close()\n"  # imports all there is, while it may be read
        "if sys.argv[2] == 'False':\n"
        "    for end in ('-wal', '-shm'): os.unlink(sys.argv[1] + end)\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "else: os.chmod(os.path.dirname(sys.argv[1]), 0o555)\n"
        "with Catalog.open(sys.argv[1]) as one: print([e.name for e in one.entries()])\n"
    )
    os.chmod(path, 0o444)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, path, str(beside)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
    finally:
        os.chmod(tmp_path, 0o755)
    assert (done.stdout, done.stderr) == ("['p.1']\n", "")


def test_a_killed_writer_leaves_what_it_committed(path: str) -> None:
    script = (
        "import os, sys, signal\n"
        "from daemonlogger_py.savefile.catalog import Catalog\n"
        "from daemonlogger_py.savefile.catalog_rows import Entry, Gap\n"
        "catalog = Catalog.create(sys.argv[1])\n"
        "catalog.seal(Entry('p.1', 1, 0, 'sealed', 1, 1, sha256=bytes(32)))\n"
        "with catalog.transaction():\n"
        "    catalog.add_gap(Gap())\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, path], env=environment, check=False)
    with Catalog.open(path, write=True) as catalog:
        assert names(catalog.entries()) == ["p.1"]
        assert catalog.gaps() == []
        assert list(catalog.check()) == []
        assert catalog.seal(entry(2)).position == 2


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-pages.new"])
def test_links_are_not_followed(path: str, tmp_path: Path, end: str) -> None:
    """Who may write the directory of a ring may not choose what root writes."""
    Catalog.create(path).close()
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    Path(path + end).unlink(missing_ok=True)
    Path(path + end).symlink_to(other)
    try:
        with Catalog.open(path, write=True) as catalog:
            catalog.put(entry(1))
    except CatalogError as error:
        assert "is a symbolic link" in str(error)  # noqa: PT017 - the last one is replaced
    assert other.read_bytes() == b"precious"


def test_a_half_made_one_is_never_there(path: str) -> None:
    Path(path + ".new").write_bytes(b"of a killed process")
    with Catalog.create(path) as catalog:
        assert list(catalog.check()) == []
    assert not Path(path + ".new").exists()


def test_a_replaced_file_is_not_written(catalog: Catalog, path: str) -> None:
    catalog.put(entry(1))
    set_aside(path)
    with Catalog.create(path) as other:
        with pytest.raises(CatalogError, match="was replaced"):
            catalog.put(entry(2))
        assert list(other.entries()) == []


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_pipes_are_not_waited_for(path: str, end: str) -> None:
    Catalog.create(path).close()
    Path(path + end).unlink(missing_ok=True)
    os.mkfifo(path + end)
    for write in (True, False):
        with pytest.raises(CatalogError, match="is not a regular file"):
            Catalog.open(path, write=write)
