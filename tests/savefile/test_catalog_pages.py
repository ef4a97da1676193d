"""Every flipped bit of a catalog's file, of its log and of its checksums is found."""

import os
import random
import shutil
import sqlite3
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_pages
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry
from daemonlogger_py.savefile.crc32 import crc32

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


def wal(big: bool, page_bytes: int, frames: list[tuple[bytes, bool]], tail: bytes) -> bytes:
    """A log whose header fits its checksum, as do those of its frames that say so."""

    def added(state: tuple[int, int], data: bytes) -> tuple[int, int]:
        first, second = state
        for even, odd in struct.iter_unpack(">II" if big else "<II", data[: len(data) // 8 * 8]):
            first = (first + even + second) & 0xFFFFFFFF
            second = (second + odd + first) & 0xFFFFFFFF
        return first, second

    log = struct.pack(">6I", 0x377F0682 + big, 3007000, page_bytes, 0, 1, 2)
    state = added((0, 0), log)
    log += struct.pack(">2I", *state)
    for content, fits in frames:
        page = (content or b"x").ljust(min(page_bytes, 65536), content[:1] or b"x")
        head = struct.pack(">2I", 1, 1)
        state = added(state, head + page) if fits else state
        log += head + struct.pack(">4I", 1, 2, *state) + page
    return log + tail


@pytest.mark.parametrize("page_bytes", [0, 1, 3, 4, 8, 256, 511, 513, 520, 1000, 65535, 65537])
def test_a_log_whose_pages_cannot_be_so_large_is_damaged(tmp_path: Path, page_bytes: int) -> None:
    (tmp_path / "p.catalog-wal").write_bytes(wal(False, page_bytes, [], b"\1" * 4000))
    assert list(catalog_pages.log_faults(str(tmp_path / "p.catalog"))) == [
        "the header of its write-ahead log is damaged"
    ]


@pytest.mark.parametrize("page_bytes", [512 << power for power in range(8)])
@pytest.mark.parametrize("big", [False, True])
def test_a_log_with_pages_of_any_size_is_read(tmp_path: Path, big: bool, page_bytes: int) -> None:
    path = str(tmp_path / "p.catalog")
    log = wal(big, page_bytes, [(b"a", True), (b"b", True), (b"c", True)], b"")
    Path(f"{path}-wal").write_bytes(log)
    assert list(catalog_pages.log_faults(path)) == []
    at = 32 + 24 + page_bytes
    Path(f"{path}-wal").write_bytes(log[: at + 30] + b"?" + log[at + 31 :])
    assert list(catalog_pages.log_faults(path)) == [
        f"its write-ahead log is damaged at byte offset {at}"
    ]


@given(
    st.one_of(
        st.binary(max_size=3000),
        st.builds(
            wal,
            st.booleans(),
            st.one_of(
                st.sampled_from([512, 1024, 4096, 65536]),
                st.integers(0, 5000),
                st.integers(0, (1 << 32) - 1),
            ),
            st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=3),
            st.binary(max_size=600),
        ),
    )
)
def test_whatever_is_in_a_log_it_has_at_most_one_fault(log: bytes) -> None:
    with TemporaryDirectory() as folder:
        Path(f"{folder}/p.catalog-wal").write_bytes(log)
        assert len(list(catalog_pages.log_faults(f"{folder}/p.catalog"))) <= 1


def sums(page_bytes: int, pages: int, rest: bytes) -> bytes:
    data = struct.pack("<8sIIQ", b"DLpages1", page_bytes, pages, 7) + rest
    return data + struct.pack("<I", crc32(data))


@given(
    st.one_of(
        st.binary(max_size=100),
        st.builds(
            sums,
            st.one_of(st.sampled_from([0, 512, 4096]), st.integers(0, (1 << 32) - 1)),
            st.one_of(st.integers(0, 8), st.integers(0, (1 << 32) - 1)),
            st.binary(max_size=50),
        ),
    )
)
def test_whatever_is_in_checksums_is_no_more_than_faults(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        Path(f"{folder}/p.catalog").write_bytes(b"x" * 1000)
        Path(f"{folder}/p.catalog-pages").write_bytes(data)
        assert len(list(catalog_pages.page_faults(f"{folder}/p.catalog", 7))) <= 100


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
