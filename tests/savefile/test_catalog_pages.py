"""Every flipped bit of a catalog's file, of its log and of its checksums is found."""

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_pages
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry

FLIPS = 60


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes beside these tests: there is nothing to be waited for."""
    monkeypatch.setattr("daemonlogger_py.savefile.catalog_check._BETWEEN_S", 0.0)


def fill(catalog: Catalog, first: int, count: int) -> None:
    for number in range(first, first + count):
        catalog.seal(Entry(f"p.{number}", number, 0, SEALED, 9, 9, sha256=bytes(32)))


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose writers closed it."""
    path = tmp_path_factory.mktemp("settled") / "p.catalog"
    with Catalog.create(str(path)) as catalog:
        fill(catalog, 0, 60)
        for number in range(20):
            catalog.remove(f"p.{number}", 1)
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose writer was killed: what it wrote last stands in the log."""
    folder = tmp_path_factory.mktemp("logged")
    with Catalog.create(str(folder / "made")) as catalog:
        fill(catalog, 0, 5)
        for end in ("", "-wal"):
            shutil.copy(f"{folder}/made{end}", f"{folder}/p.catalog{end}")
    return folder / "p.catalog"


def faults(path: Path) -> list[str]:
    Path(f"{path}-shm").unlink(missing_ok=True)
    try:
        with Catalog.open(str(path)) as catalog:
            return list(catalog.check())
    except CatalogError as error:
        return [str(error)]


def flipped(path: Path, file: Path, bits: list[int]) -> list[int]:
    """Those of the bits whose flip nobody finds."""
    before = file.read_bytes()
    missed = []
    for bit in bits:
        changed = bytearray(before)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        if not faults(path):
            missed.append(bit)
    file.write_bytes(before)
    return missed


def test_nothing_is_wrong_with_what_is_whole(settled: Path, logged: Path) -> None:
    assert (faults(settled), faults(logged)) == ([], [])


def test_every_bit_of_the_file_is_covered(settled: Path) -> None:
    dice = random.Random(1)
    size = 8 * settled.stat().st_size
    bits = [dice.randrange(800) for _ in range(FLIPS // 3)]  # of SQLite's own header
    bits += [dice.randrange(size) for _ in range(FLIPS)]
    assert flipped(settled, settled, bits) == []


def test_every_bit_of_the_checksums_is_covered(settled: Path) -> None:
    file = Path(f"{settled}-pages")
    dice = random.Random(2)
    bits = [dice.randrange(8 * file.stat().st_size) for _ in range(FLIPS // 3)]
    assert flipped(settled, file, bits) == []


def test_every_bit_of_the_log_is_covered(logged: Path) -> None:
    log = Path(f"{logged}-wal")
    dice = random.Random(3)
    bits = [dice.randrange(8 * 32) for _ in range(FLIPS // 3)]
    bits += [dice.randrange(8 * log.stat().st_size) for _ in range(FLIPS // 3)]
    assert flipped(logged, log, bits) == []


def test_what_an_earlier_log_left_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "p.catalog"
    with Catalog.create(str(path)) as catalog:
        fill(catalog, 0, 30)
        catalog.query("PRAGMA wal_checkpoint(RESTART)")
        fill(catalog, 30, 1)  # written over the beginning of the log
        assert list(catalog_pages.log_faults(str(path))) == []
        assert os.path.getsize(f"{path}-wal") > 100_000


def test_a_log_that_ends_within_a_frame_is_no_damage(logged: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p.catalog"
    shutil.copy(logged, copy)
    log = Path(f"{logged}-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(log + log[32:500])
    assert list(catalog_pages.log_faults(str(copy))) == []


def test_checksums_of_another_transaction_say_nothing(settled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p.catalog"
    for end in ("", "-pages"):
        shutil.copy(f"{settled}{end}", f"{copy}{end}")
    with Catalog.open(str(copy), write=True) as catalog:
        fill(catalog, 100, 40)
        # Taken over into the file, as SQLite does at any time.
        catalog.query("PRAGMA wal_checkpoint(TRUNCATE)")
        assert list(catalog.check()) == []


def test_what_others_changed_is_named(settled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p.catalog"
    for end in ("", "-pages"):
        shutil.copy(f"{settled}{end}", f"{copy}{end}")
    connection = sqlite3.connect(copy)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()
    assert any("page 1 at byte offset 0" in fault for fault in faults(copy))


def test_a_reader_keeps_no_closing_writer(tmp_path: Path) -> None:
    path = tmp_path / "p.catalog"
    writer = Catalog.create(str(path))
    fill(writer, 0, 3)
    with Catalog.open(str(path)) as reader, reader.snapshot():
        list(reader.entries())
        fill(writer, 3, 3)
        writer.close()
    assert faults(path) == []


@pytest.mark.parametrize("end", ["-pages", "-wal"])
@pytest.mark.parametrize("kind", ["pipe", "directory", "too large"])
def test_what_is_no_file_is_a_fault_and_not_waited_for(
    settled: Path, tmp_path: Path, end: str, kind: str
) -> None:
    for name in ("", "-pages"):
        shutil.copy(f"{settled}{name}", tmp_path / f"p.catalog{name}")
    path = tmp_path / f"p.catalog{end}"
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 5 << 30)
    catalog = str(tmp_path / "p.catalog")
    page_faults = catalog_pages.page_faults(catalog, 1)
    faults = page_faults if end == "-pages" else catalog_pages.log_faults(catalog)
    assert len(list(faults)) == 1
