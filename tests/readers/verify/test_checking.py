"""Verdicts on savefiles whole, damaged and foreign, and on what no longer is as it was sealed."""

import fcntl
import gzip
import json
import lzma
import os
import sqlite3
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import IndexConfig, Where
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.verify import checking, run
from daemonlogger_py.readers.verify.checking import verdicts
from daemonlogger_py.readers.verify.verdict import CatalogVerdict, Verdict
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Run

from .making import MAGICS, header, make_ring, of_paths, of_ring, record, records


def found_in(*paths: object) -> list[Verdict]:
    return [one for one in verdicts(of_paths(*paths)) if isinstance(one, Verdict)]


def only(path: Path) -> Verdict:
    (verdict,) = found_in(path)
    assert verdict.path == str(path)
    return verdict


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", MAGICS)
def test_whole(tmp_path: Path, order: str, resolution: str) -> None:
    path = tmp_path / "x"
    records = [record(10, 7, 60, order), record(10, 8, 0, order), record(11, 9, 1514, order)]
    content = header(MAGICS[resolution], order) + b"".join(records)
    path.write_bytes(content)
    unit_ns = 1 if resolution == "ns" else 1000

    verdict = only(path)

    assert verdict.whole
    assert verdict.packets == 3
    assert verdict.end_offset == verdict.size_bytes == len(content)
    assert verdict.first_ns == 10 * 10**9 + 7 * unit_ns
    assert verdict.last_ns == 11 * 10**9 + 9 * unit_ns


def test_without_packets(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(header())
    assert only(tmp_path / "x") == Verdict(str(tmp_path / "x"), size_bytes=24, end_offset=24)


def test_every_cut_is_found_at_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "x"
    content = header() + record(1, 0, 20) + record(2, 0, 30)
    ends = {24: 0, 24 + 36: 1, len(content): 2}
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        verdict = only(path)
        end, packets = max((end, n) for end, n in [(0, 0), *ends.items()] if end <= size)
        assert verdict.whole is (size in ends), size
        assert (verdict.packets, verdict.end_offset, verdict.size_bytes) == (packets, end, size)
        assert verdict.whole or f"at byte offset {end}" in str(verdict.damage)


def test_zeros_behind_the_last_record(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(header() + record(1, 0, 20) + bytes(4096))
    verdict = only(tmp_path / "x")
    assert verdict.packets == 1
    assert verdict.damage is not None
    assert verdict.damage.endswith("at byte offset 60")


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (b"\n\r\r\n" + bytes(100), "pcapng, and only classic pcap is verified"),
        (b"\x1f\x8b\x08" + bytes(100), "gzip, and only classic pcap is verified"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd, and only classic pcap is verified"),
        (b"BZh9" + bytes(100), "bzip2, and only classic pcap is verified"),
        (b"PK\3\4" + bytes(100), "zip, and only classic pcap is verified"),
        (b"\x04\x22\x4d\x18" + bytes(100), "lz4, and only classic pcap is verified"),
        (lzma.compress(b"x", lzma.FORMAT_ALONE), "lzma, and only classic pcap is verified"),
        (b"\xfd7zXZ\0" + bytes(100), "xz, and only classic pcap is verified"),
        (b"hello, world, this is text", "not a classic pcap at byte offset 0"),
        (b"", "file header cut short at byte offset 0"),
    ],
)
def test_foreign(tmp_path: Path, content: bytes, damage: str) -> None:
    (tmp_path / "x").write_bytes(content)
    verdict = only(tmp_path / "x")
    assert not verdict.whole
    assert damage in str(verdict.damage)
    assert (verdict.packets, verdict.first_ns, verdict.last_ns) == (0, None, None)
    assert verdict.size_bytes == len(content)


@pytest.mark.parametrize("size", [0, 10, 24, 30, 40, 60, 70])
def test_the_end_of_one_that_is_written_says_nothing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    path.write_bytes((header() + record(1, 0, 20) + record(2, 0, 20))[:size])
    torn = only(path)
    with path.open("rb") as recorder:
        fcntl.flock(recorder, fcntl.LOCK_EX)
        written = only(path)
    assert written.whole
    assert torn.whole is (size in (24, 60))
    assert written.note == (None if torn.whole else "being written")
    assert (written.packets, written.end_offset) == (torn.packets, torn.end_offset)
    assert only(path) == torn


def test_damage_within_one_that_is_written_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(header() + b"\xff" * 16 + record(1, 0, 20))
    with path.open("rb") as recorder:
        fcntl.flock(recorder, fcntl.LOCK_EX)
        assert only(path).damage is not None


def test_one_that_is_sealed_while_it_is_walked_is_walked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes((header() + record(1, 0, 20))[:-1])

    def sealed(_: int) -> bool:
        path.write_bytes(header() + record(1, 0, 20))
        return False

    monkeypatch.setattr(checking, "is_written", sealed)
    assert only(path).whole


def test_missing_pipe_and_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert only(tmp_path / "gone").damage == "No such file or directory"
    # And it did not wait for a writer.
    assert only(tmp_path / "pipe").damage == "not a regular file"
    assert only(Path("/dev/null")).damage == "not a regular file"


def test_directory_means_its_savefiles_oldest_first(tmp_path: Path) -> None:
    for name in ("a.9", "a.10", "a.10.002", "a.10.001", "a.10.1000", "b.1", "torn.5"):
        (tmp_path / name).write_bytes(b"" if name == "torn.5" else header())
    (tmp_path / "named.pcap").write_bytes(header(order=">"))
    (tmp_path / "other.pcapng").write_bytes(b"\n\r\r\n" + bytes(24))
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / ".a.11.part").write_bytes(header())
    (tmp_path / "a.12").mkdir()
    (tmp_path / "a.13").symlink_to("a.9")

    found = found_in(tmp_path)

    assert [os.path.basename(verdict.path) for verdict in found] == [
        "a.9", "a.10", "a.10.001", "a.10.002", "a.10.1000", "b.1", "named.pcap", "other.pcapng",
        "torn.5",
    ]  # fmt: skip
    damaged = [os.path.basename(verdict.path) for verdict in found if not verdict.whole]
    assert damaged == ["other.pcapng", "torn.5"]


def test_a_capture_in_a_directory_whose_magic_is_damaged_is_named(tmp_path: Path) -> None:
    whole = header() + b"".join(records())
    (tmp_path / "a.pcap").write_bytes(whole)
    (tmp_path / "b.pcap").write_bytes(bytes([whole[0] ^ 8]) + whole[1:])
    found = list(verdicts(of_paths(tmp_path)))
    assert [one.whole for one in found] == [True, False]
    assert isinstance(found[1], Verdict)
    assert found[1].damage == "not a classic pcap at byte offset 0"


def test_directory_without_savefiles_is_not_called_whole(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert only(tmp_path).damage == "no savefiles in this directory"


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.1").write_bytes(header())
    (tmp_path / "link").symlink_to("a.1")
    assert only(tmp_path / "link").whole


def test_leaves_no_descriptor_open_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.1").write_bytes(header() + record(1, 0, 20)[:-3])
    (tmp_path / "x.pcapng").write_bytes(b"\n\r\r\n")
    before = len(os.listdir("/proc/self/fd")), (tmp_path / "a.1").stat()
    found_in(tmp_path, tmp_path / "a.1", "gone")
    after = (tmp_path / "a.1").stat()
    assert len(os.listdir("/proc/self/fd")) == before[0]
    assert (after.st_size, after.st_mtime_ns) == (before[1].st_size, before[1].st_mtime_ns)


# With a catalog


@pytest.fixture
def ring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    make_ring(tmp_path)
    assert run(of_ring(tmp_path, rebuild=True)) == 0
    capsys.readouterr()
    return tmp_path


def savefiles(ring: Path) -> list[Path]:
    return sorted(path for path in ring.glob("p.*") if path.suffix[1:].isdigit())


def faults(ring: Path, **fields: object) -> dict[str, tuple[str, ...]]:
    """What is wrong with whom."""
    found = verdicts(of_ring(ring, **fields))
    return {os.path.basename(one.path): one.faults for one in found if one.faults}


def flip(path: Path, offset: int) -> None:
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_nothing_is_wrong(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(of_ring(ring)) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3  # a sound catalog needs no line
    assert all(line.endswith(", whole") for line in said)
    assert run(of_ring(ring, json=True)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["whole"] for row in rows] == [True] * 4
    assert rows[-1]["path"].endswith("p.catalog")


def test_an_altered_byte_in_a_packet(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(savefiles(ring)[1], 50)
    assert run(of_ring(ring)) == 1
    said = capsys.readouterr().out
    assert "altered: its SHA-256 is not the one it was sealed with" in said
    assert faults(ring, hashes=False) == {}


def test_another_size(ring: Path) -> None:
    path = savefiles(ring)[0]
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(record(1_700_000_005, 1, 4))
    expected = f"altered: {size + 20} bytes, and {size} when it was sealed"
    assert faults(ring) == {path.name: (expected,)}
    assert faults(ring, hashes=False) == {path.name: (expected,)}


def test_a_time_of_the_file_is_not_its_content(ring: Path) -> None:
    os.utime(savefiles(ring)[0], ns=(1, 1))
    assert faults(ring) == {}


@pytest.mark.parametrize("instead", ["nothing", "a directory"])
def test_a_savefile_that_is_gone(ring: Path, monkeypatch: pytest.MonkeyPatch, instead: str) -> None:
    monkeypatch.setattr("daemonlogger_py.readers.verify.checking._PRUNED_S", 0.0)
    gone = savefiles(ring)[1]
    gone.unlink()
    if instead == "a directory":
        gone.mkdir()
    assert faults(ring) == {"p.catalog": (f"{gone.name} is gone, and was not pruned",)}
    assert faults(ring, hashes=False) == faults(ring)
    # A recorder that runs, or was killed, has not said all of it yet.
    with Catalog.open(str(ring / "p.catalog"), write=True) as catalog:
        catalog.begin_run(Run())
    assert faults(ring) == {}


def test_a_savefile_that_was_compressed_is_not_gone(
    ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemonlogger_py.readers.verify.checking._PRUNED_S", 0.0)
    path = savefiles(ring)[1]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert "p.catalog" not in faults(ring)


def test_a_savefile_that_was_put_in_between(ring: Path) -> None:
    first = min(ring.glob("p.1*"))
    added = ring / f"p.{int(first.name[2:]) + 1}"
    added.write_bytes(first.read_bytes())
    noted = {one.path: one.note for one in verdicts(of_ring(ring)) if isinstance(one, Verdict)}
    assert noted.pop(str(added)) == "not in the catalog"
    assert set(noted.values()) == {None}
    found = verdicts(of_ring(ring, hashes=False))
    assert [one.note for one in found if one.path == str(added)] == ["not in the catalog"]


def test_a_pruned_savefile_is_not_missed(ring: Path) -> None:
    gone = savefiles(ring)[0]
    gone.unlink()
    with Catalog.open(str(ring / "p.catalog"), write=True) as catalog:
        catalog.remove(gone.name, 1)
    assert faults(ring) == {}


def test_what_is_pruned_while_the_ring_is_verified_is_no_fault(ring: Path) -> None:
    paths = savefiles(ring)
    config = of_ring(ring, jobs=1)
    found = verdicts(config)
    assert next(found).path == str(paths[0])
    paths[1].unlink()
    with Catalog.open(str(ring / "p.catalog"), write=True) as catalog:
        catalog.remove(paths[1].name, 1)
    assert [(os.path.basename(one.path), one.whole) for one in found] == [
        (paths[2].name, True),
        ("p.catalog", True),
    ]


def test_a_named_savefile_is_compared_and_nothing_else(ring: Path) -> None:
    first, second, third = savefiles(ring)
    flip(first, 50)
    third.unlink()
    found = list(verdicts(of_paths(first, second)))
    assert [one.whole for one in found] == [False, True]


def test_a_damaged_catalog_is_named(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ring / "p.catalog").write_bytes(b"no database" * 999)
    assert run(of_ring(ring)) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert said[-1].startswith(f"{ring}/p.catalog: is damaged")


def test_a_broken_chain_is_named(ring: Path) -> None:
    with Catalog.open(str(ring / "p.catalog"), write=True) as catalog:
        entry = catalog.entry(savefiles(ring)[1].name)
        assert entry is not None
        catalog.put(entry._replace(chain=bytes(32)))
    assert any("chain: link 2" in fault for fault in faults(ring)["p.catalog"])


def test_a_damaged_catalog_is_named_where_it_is(
    ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ring / "p.catalog").write_bytes(b"no database" * 999)
    monkeypatch.chdir(ring)
    found = list(verdicts(of_paths(savefiles(ring)[0].name)))
    (of_catalog,) = (one for one in found if isinstance(one, CatalogVerdict))
    assert of_catalog.path == "p.catalog"
    assert of_catalog.text().startswith("p.catalog: is damaged")


def test_a_damaged_catalog_where_a_terminal_must_not_see_the_path(tmp_path: Path) -> None:
    ring = tmp_path / "a\x1b[2Jb"
    make_ring(ring)
    (ring / "p.catalog").write_bytes(b"no database" * 999)
    *_, of_catalog = verdicts(of_ring(ring))
    assert of_catalog.path == f"{ring}/p.catalog"
    assert of_catalog.text().startswith(f"{str(ring / 'p.catalog')!r}: is damaged")


def test_without_hashes_the_catalog_is_checked(ring: Path) -> None:
    path = ring / "p.catalog"
    assert faults(ring, hashes=False) == {}
    connection = sqlite3.connect(path)
    connection.execute("UPDATE savefile SET packets = 1 WHERE epoch = 1700000010")
    connection.commit()
    connection.close()
    said = faults(ring, hashes=False)["p.catalog"]
    assert f"{path}: the row of savefile p.1700000010 does not fit its checksum" in said


def test_without_hashes_pages_and_version_are_checked(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.catalog"
    flip(path, path.stat().st_size - 9)
    said = "; ".join(faults(ring, hashes=False)["p.catalog"])
    assert "page " in said
    flip(path, path.stat().st_size - 9)
    flip(path, 63)  # user_version: https://www.sqlite.org/fileformat2.html section 1.3
    assert run(of_ring(ring, hashes=False)) == 1
    assert "p.catalog: is of version 5; accepted: 1" in capsys.readouterr().out


def test_a_damaged_index_is_named(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(IndexConfig(Where(rings=(str(ring),)), progress=False, smallest_bytes=0)) == 0
    assert faults(ring) == {}
    sidecar = min((ring / "p.index").iterdir())
    flip(sidecar, sidecar.stat().st_size // 2)
    ((name, (fault,)),) = faults(ring).items()
    assert name == savefiles(ring)[0].name
    assert fault.startswith(f"index {sidecar.name}: ")
    assert faults(ring, indexes=False) == {}
    elsewhere = ring / "elsewhere"
    (ring / "p.index").rename(elsewhere)
    assert faults(ring) == {}
    assert name in faults(ring, index_dir=str(elsewhere))


def test_a_span_leaves_savefiles_out(ring: Path) -> None:
    config = of_ring(ring)
    from_ns = 1_700_000_010 * 10**9
    found = list(verdicts(config._replace(where=config.where._replace(from_ns=from_ns))))
    names = [os.path.basename(one.path) for one in found if isinstance(one, Verdict)]
    assert names == [path.name for path in savefiles(ring)[1:]]
    assert isinstance(found[-1], CatalogVerdict)
