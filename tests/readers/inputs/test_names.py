"""What the names of files say of whose savefiles they are."""

import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.names import (
    Captures,
    captures_in,
    catalogued,
    compressed_in,
    read_name,
    require_ring,
    ring_of,
)
from daemonlogger_py.savefile.names import Naming, SavefileName

from ...pcaps.make import Packet, classic

EMPTY = classic([])
ONE, OTHER = (classic([Packet(number * 10**9, b"packet")]) for number in (1, 2))


@pytest.mark.parametrize(
    ("name", "epoch", "serial"),
    [("t.100", 100, 0), ("t.100.002", 100, 2), ("a.7.100", 7, 100), ("t.pcap", 0, 0), ("", 0, 0)],
)
def test_any_name_can_be_read(name: str, epoch: int, serial: int) -> None:
    assert read_name(name) == SavefileName(epoch, serial, name)


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_captures_of_a_directory(tmp_path: Path, dir_fd: int) -> None:
    for name in ("t.1", "b.pcap", "a.pcap", "c.txt"):
        (tmp_path / name).write_bytes(b"" if name == "c.txt" else EMPTY)
    for name in ("t.1.gz", "t.2.gz"):
        (tmp_path / name).write_bytes(gzip.compress(EMPTY))
    # Of t.1, which is being compressed, there are two: only one is read.
    captures = captures_in(str(tmp_path), dir_fd)
    assert captures == Captures(["a.pcap", "b.pcap", "t.1", "t.2.gz"], [])


def test_a_compressed_savefile_of_another_time_is_a_capture(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "t.1").write_bytes(OTHER)
    (tmp_path / "t.1.gz").write_bytes(gzip.compress(ONE))
    assert captures_in(str(tmp_path), dir_fd) == Captures(["t.1", "t.1.gz"], [])


def test_what_only_begins_alike_is_named(tmp_path: Path, dir_fd: int) -> None:
    alike = ONE + os.urandom(1 << 16)
    (tmp_path / "t.1").write_bytes(alike + b"1")
    (tmp_path / "t.1.gz").write_bytes(gzip.compress(alike + b"2"))
    assert captures_in(str(tmp_path), dir_fd) == Captures(["t.1"], [])  # it is being written
    os.utime(tmp_path / "t.1.gz", (1, 1))
    assert captures_in(str(tmp_path), dir_fd) == Captures(["t.1"], ["t.1.gz"])


def test_groups_are_in_the_order_of_age() -> None:
    names = ["a.pcap", "t.10", "t.9", "t.5.001.gz", "t.10.002", "t.5.gz", "u.7", "t.10.gz", "z.gz"]
    found = Captures(names, []).by_prefix()
    assert {prefix: [one.name for one in group] for prefix, group in found.items()} == {
        None: ["a.pcap", "z.gz", "t.5.gz", "t.5.001.gz", "t.10.gz"],
        "t": ["t.9", "t.10", "t.10.002"],
        "u": ["u.7"],
    }
    assert found[None][3] == SavefileName(5, 1, "t.5.001.gz")


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((), 0),
        (("t.1", "t.2"), 0),
        (("t.1.gz", "t.2.001.zst", "t.3.zip"), 3),
        (("u.1.gz", "t.gz", "t.1.gz.gz", "t.1.Z", ".t.1.gz", "t.x.gz"), 0),
    ],
)
def test_how_many_of_a_ring_are_compressed(
    names: Sequence[str], count: int, tmp_path: Path, dir_fd: int
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert len(compressed_in(names, Naming("t"), dir_fd)) == count


def test_what_is_being_compressed_is_still_the_rings(tmp_path: Path, dir_fd: int) -> None:
    for name in ("t.1", "t.2"):
        (tmp_path / name).write_bytes(ONE)
    (tmp_path / "t.1.gz").write_bytes(gzip.compress(ONE)[:-20])
    (tmp_path / "t.2.gz").write_bytes(gzip.compress(OTHER))
    assert compressed_in(os.listdir(dir_fd), Naming("t"), dir_fd) == ["t.2.gz"]


def test_rings_of_which_all_is_compressed(tmp_path: Path, dir_fd: int) -> None:
    names = ["t.1.gz", "u.2.xz", "v.3", "w.pcap.gz", "t.4.gz"]
    assert catalogued(names, dir_fd) == set()
    for name in ("t.catalog", "v.catalog", "w.catalog", "x.catalog"):
        (tmp_path / name).touch()
    (tmp_path / "u.catalog").mkdir()
    assert catalogued(names, dir_fd) == {"t"}


@pytest.mark.parametrize("names", [["t.1"], ["t.1.002", "x"], ["t.catalog"]])
def test_a_ring_that_is_there(names: Sequence[str]) -> None:
    require_ring(Naming("t"), names, "/ring")


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        ([], "none, as no ring is there"),
        (["t.pcap", ".catalog"], "none, as no ring is there"),
        (["u.5", "b.catalog", "u.6", "t.index"], "b, u"),
        (["a\t.5"], r"'a\t'"),
    ],
)
def test_a_ring_that_is_not_there(names: Sequence[str], accepted: str) -> None:
    with pytest.raises(UsageError) as raised:
        require_ring(Naming("t"), names, "/ring")
    told = f"--ring /ring: --prefix t: there is no such ring; accepted: {accepted}"
    assert str(raised.value) == told


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        ([], None),
        (["t.1"], None),
        (["t.1", "t.2.gz"], "t"),
        (["u.1.gz", "t.2.gz"], "t"),
        (["t.1.gz", "other.pcap"], None),
        (["t.1.gz", "other.pcap.gz"], None),
    ],
)
def test_whose_the_compressed_ones_of_a_directory_are(
    names: Sequence[str], prefix: str | None
) -> None:
    assert ring_of(names) == prefix
