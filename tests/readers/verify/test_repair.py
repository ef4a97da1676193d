"""Repairs: whole records stay, of every file and at every moment."""

import bz2
import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import IndexConfig, VerifyConfig, Where
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.verify import repair as module
from daemonlogger_py.readers.verify import run
from daemonlogger_py.savefile.asides import kept_name
from daemonlogger_py.savefile.catalog import Catalog

from .making import header, make_ring, of_paths, of_ring, records


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Where leases do not work, a file that was just made may still be written.
    monkeypatch.setattr(module, "_SETTLED_NS", 0)
    make_ring(tmp_path)
    return tmp_path


def first(ring: Path) -> Path:
    return ring / "p.1700000000"


def tear(path: Path) -> bytes:
    """Cut a savefile in its last record; return what is whole of it."""
    made = records()
    path.write_bytes(header() + b"".join(made)[:-5])
    return header() + b"".join(made[:-1])


def hit(path: Path) -> bytes:
    """Overwrite the header of the eighth record; return what is whole of it."""
    made = records()
    damaged = [*made[:7], b"\xff" * 16 + made[7][16:], *made[8:]]
    path.write_bytes(header() + b"".join(damaged))
    return header() + b"".join([*made[:7], *made[8:]])


def repaired(config: VerifyConfig, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = run(config)
    return status, capsys.readouterr().out.splitlines()


def test_whole_savefiles_are_left_alone(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.read_bytes(), path.stat()) for path in ring.iterdir()}
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert all(line.endswith(", whole") for line in said)
    assert {path: (path.read_bytes(), path.stat()) for path in ring.iterdir()} == before


def test_a_torn_tail_is_cut(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = first(ring)
    whole = tear(path)
    os.utime(path, ns=(5, 7))
    inode = path.stat().st_ino
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert said[0].endswith(
        f", whole, repaired: 90 bytes of a torn record cut at byte offset {len(whole)}"
    )
    assert path.read_bytes() == whole
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (inode, 7)
    assert len(list(ring.iterdir())) == 3


def test_a_torn_tail_of_a_file_with_another_name_stays_there(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(ring)
    whole = tear(path)
    torn = path.read_bytes()
    os.link(path, ring / "evidence")
    assert repaired(of_ring(ring, repair=True), capsys)[0] == 0
    assert path.read_bytes() == whole
    assert (ring / "evidence").read_bytes() == torn


def test_damage_in_the_middle(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = first(ring)
    whole = hit(path)
    os.chmod(path, 0o640)
    os.utime(path, ns=(5, 7))
    damaged, status_before = path.read_bytes(), path.stat()
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert "repaired: 19 whole records kept, 83 damaged bytes left out" in said[0]
    assert said[0].endswith(f"the original is {kept_name(path.name)}")
    assert path.read_bytes() == whole
    after = path.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_uid) == (
        status_before.st_mode, 7, status_before.st_uid,
    )  # fmt: skip
    assert (ring / kept_name(path.name)).read_bytes() == damaged
    assert not (ring / f".{path.name}.repairing").exists()
    # What was put aside is no savefile of the directory.
    assert len(repaired(of_paths(ring), capsys)[1]) == 3
    hit(path)
    assert repaired(of_ring(ring, repair=True), capsys)[0] == 0
    assert (ring / kept_name(path.name, 1)).exists()


def test_a_length_that_swallows_the_rest_is_no_torn_tail(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(ring)
    made = records()
    data = bytearray(header() + b"".join(made))
    at = 24 + sum(map(len, made[:5]))
    data[at + 9] = 0x20  # 8 KiB, which the file has not
    path.write_bytes(data)
    assert repaired(of_ring(ring, repair=True), capsys)[0] == 0
    assert path.read_bytes() == header() + b"".join(made[:5] + made[6:])


def test_records_behind_a_byte_that_was_put_in_are_kept(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(ring)
    one = struct.pack("=IIII", 1_700_000_000, 0, 100, 100) + bytes(100)
    # In front of the captured length: a record that seems to end behind the file.
    at = 9 if sys.byteorder == "big" else 8
    damaged = header() + one * 300 + one[:at] + b"\0" + one[at:] + one * 99
    path.write_bytes(damaged)
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert "repaired: 399 whole records kept, 117 damaged bytes left out" in said[0]
    assert path.read_bytes() == header() + one * 399
    assert (ring / kept_name(path.name)).read_bytes() == damaged


def test_what_is_being_written_is_left_alone(
    ring: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = first(ring)
    tear(path)
    before = path.read_bytes()
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, said = repaired(of_ring(ring, repair=True), capsys)
        assert (status, said[0].endswith("left as it is: it is being written")) == (1, True)
    monkeypatch.setattr(module, "_SETTLED_NS", 10**15)  # where nobody can tell
    with path.open("ab"):  # without a lock
        assert repaired(of_ring(ring, repair=True), capsys)[0] == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"\xd4\xc3\xb2\xe1", bytes(24)])
def test_a_damaged_file_header_is_that_of_a_neighbour(
    ring: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.1700000010"
    before = path.read_bytes()
    path.write_bytes(damage + before[len(damage) :])
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert "20 whole records kept, 0 damaged bytes left out" in said[1]
    assert said[1].endswith("; its file header is that of p.1700000000")
    assert path.read_bytes() == before
    assert (ring / kept_name(path.name)).read_bytes()[: len(damage)] == damage


@pytest.mark.parametrize(("at", "bit"), [(4, 0), (5, 1), (6, 0), (7, 7)])
def test_a_version_that_nothing_reads_is_put_right(
    ring: Path, at: int, bit: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ring / "p.1700000010"
    before = path.read_bytes()
    damaged = bytearray(before)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    status, said = repaired(of_ring(ring), capsys)
    assert status == 1
    assert said[1].endswith(" at byte offset 4")
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert "20 whole records kept, 0 damaged bytes left out" in said[1]
    assert said[1].endswith("; its file header is its own with version 2.4")
    assert path.read_bytes() == before
    assert (ring / kept_name(path.name)).read_bytes() == damaged


def test_a_neighbour_whose_version_nothing_reads_lends_no_header(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ring.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:4] + b"\3" + whole[5:])
    path = ring / "p.1700000010"
    path.write_bytes(bytes(24) + path.read_bytes()[24:])
    status, said = repaired(of_paths(path, repair=True), capsys)
    assert status == 1
    assert said[0].endswith("left as it is: its file header is damaged")


def test_the_header_is_of_the_nearest_that_has_one_and_not_of_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_ring(tmp_path / "ring", 9)
    for path in paths[2:6]:
        path.write_bytes(bytes(24) + path.read_bytes()[24:])
    status, said = repaired(of_paths(paths[4], repair=True), capsys)
    assert status == 0
    assert said[0].endswith(f"; its file header is that of {paths[6].name}")

    paths = make_ring(tmp_path / "another", 9)
    for path in paths[1:8]:
        path.write_bytes(bytes(24) + path.read_bytes()[24:])
    status, said = repaired(of_paths(paths[4], repair=True), capsys)
    assert status == 1
    assert said[0].endswith("left as it is: its file header is damaged")


def test_a_header_without_neighbours_stays_damaged(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ring.iterdir():
        path.write_bytes(bytes(24) + path.read_bytes()[24:])
    status, said = repaired(of_paths(ring, repair=True), capsys)
    assert status == 1
    assert all(line.endswith("left as it is: its file header is damaged") for line in said)


@pytest.mark.parametrize("content", [b"", b"\n\r\r\n" + bytes(50), b"text" * 20])
def test_what_is_no_classic_pcap_is_left_alone(
    ring: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(ring)
    path.write_bytes(content)
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 1
    assert "not repaired" in said[0] or "left as it is" in said[0]
    assert path.read_bytes() == content


def test_what_is_compressed_is_not_called_damaged(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first(ring)
    path.write_bytes(bz2.compress(path.read_bytes()))
    before = path.read_bytes()
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 1
    assert said[0].endswith("not repaired: bzip2, and only classic pcap is repaired")
    assert path.read_bytes() == before


def test_a_link_is_left_alone(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = first(ring)
    hit(path)
    before = path.read_bytes()
    (ring / "link").symlink_to(path.name)
    status, said = repaired(of_paths(ring / "link", repair=True), capsys)
    assert (status, "symbolic link" in said[0]) == (1, True)
    assert path.read_bytes() == before


def test_missing_and_json(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tear(first(ring))
    config = of_paths(first(ring), ring / "gone", repair=True, json=True)
    status, said = repaired(config, capsys)
    done, gone = map(json.loads, said)
    assert (status, done["whole"], gone["whole"]) == (1, True, False)
    assert done["note"].startswith("repaired: 90 bytes")


def test_the_catalog_knows_of_it(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(of_ring(ring, rebuild=True)) == 0
    with Catalog.open(str(ring / "p.catalog"), write=True) as catalog:
        known = catalog.entry(first(ring).name)
        assert known is not None
        catalog.put(known._replace(dropped=7))
    hit(first(ring))
    assert repaired(of_ring(ring), capsys)[0] == 1
    assert repaired(of_ring(ring, repair=True), capsys)[0] == 0
    assert repaired(of_ring(ring), capsys)[0] == 0
    with Catalog.open(str(ring / "p.catalog")) as catalog:
        entry = catalog.entry(first(ring).name)
        assert entry is not None
        assert (entry.state, entry.packets, entry.dropped, entry.position) == (
            "recovered",
            19,
            7,
            4,
        )


def test_a_catalog_that_cannot_be_written_is_no_hindrance(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ring / "p.catalog").write_bytes(b"damaged")
    whole = hit(first(ring))
    assert run(of_ring(ring, repair=True)) == 0
    assert "it does not know of the repair" in capsys.readouterr().err
    assert first(ring).read_bytes() == whole


def test_the_index_of_what_it_was_goes(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(IndexConfig(Where(rings=(str(ring),)), progress=False, smallest_bytes=0)) == 0
    hit(first(ring))
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 0
    assert said[0].endswith("; its index is removed")
    assert all("its index" not in line for line in said[1:])
    assert not (ring / f"p.index/{first(ring).name}.npz").exists()
    assert run(of_ring(ring)) == 0


def test_what_a_killed_repair_left_is_removed(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = ring / ".p.1600000000.repairing"
    left.write_bytes(b"half of it")
    assert run(of_ring(ring, repair=True)) == 0
    assert capsys.readouterr().err == (
        f"dlctl verify: {left}: removed: a repair that was killed left it\n"
    )
    assert not left.exists()


def test_what_another_repair_makes_is_left_alone(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = first(ring)
    hit(damaged)
    before = damaged.read_bytes()
    new = ring / f".{damaged.name}.repairing"
    with new.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        status, said = repaired(of_ring(ring, repair=True), capsys)
    assert status == 1
    assert said[0].endswith("left as it is: another repair of it is at work")
    assert new.exists()
    assert damaged.read_bytes() == before


def test_without_room_nothing_is_lost(
    ring: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hit(first(ring))
    before = first(ring).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module, "_copy", full)
    status, said = repaired(of_ring(ring, repair=True), capsys)
    assert (status, said[0].endswith("not repaired: No space left on device")) == (1, True)
    assert first(ring).read_bytes() == before
    assert len(list(ring.iterdir())) == 3


CALLS = ["os.link", "os.rename", "os.fsync", "os.fchmod", "os.sendfile", "os.ftruncate"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_any_moment_no_whole_record_is_lost(
    ring: Path, call: str, after: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tear(first(ring)) if call == "os.ftruncate" else hit(first(ring))
    kill = "os.kill(os.getpid(), 9)"
    script = (
        "import os, sys\n"
        "from daemonlogger_py.readers.verify import run, repair\n"
        "from daemonlogger_py.config.archive import VerifyConfig, Where\n"
        "repair._SETTLED_NS = 0\n"
        f"real = {call}\n"
        "def killed(*given, **named):\n"
        f"    {'real(*given, **named)' if after else 'pass'}\n"
        f"    {kill}\n"
        f"{call} = killed\n"
        "run(VerifyConfig(Where(rings=(sys.argv[1],)), repair=True, progress=False))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(ring)], env=environment, check=False)
    assert done.returncode == -9
    made = records()
    everywhere = b"".join(path.read_bytes() for path in ring.iterdir())
    lost = [one for one in made if one in whole and one not in everywhere]
    assert lost == []
    assert repaired(of_ring(ring, repair=True), capsys)[0] == 0
    assert first(ring).read_bytes() == whole
    assert not (ring / f".{first(ring).name}.repairing").exists()
