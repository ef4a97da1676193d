"""What the names of files say of whose savefiles they are."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.names import (
    captures_in,
    count_compressed,
    read_name,
    require_ring,
    ring_of,
    unnumbered_in,
)
from daemonlogger_py.savefile.names import Naming, SavefileName

from ...pcaps.make import classic

EMPTY = classic([])


@pytest.mark.parametrize(
    ("name", "epoch", "serial"),
    [("t.100", 100, 0), ("t.100.002", 100, 2), ("a.7.100", 7, 100), ("t.pcap", 0, 0), ("", 0, 0)],
)
def test_any_name_can_be_read(name: str, epoch: int, serial: int) -> None:
    assert read_name(name) == SavefileName(epoch, serial, name)


def test_captures_of_a_directory(tmp_path: Path) -> None:
    for name in ("t.1", "b.pcap", "a.pcap", "c.txt"):
        (tmp_path / name).write_bytes(b"" if name == "c.txt" else EMPTY)
    for name in ("t.1.gz", "t.2.gz"):
        (tmp_path / name).write_bytes(gzip.compress(EMPTY))
    # Of t.1, which is being compressed, there are two: only one is read.
    assert captures_in(str(tmp_path)) == ["a.pcap", "b.pcap", "t.1", "t.2.gz"]
    assert [name.name for name in unnumbered_in(str(tmp_path))] == ["a.pcap", "b.pcap", "t.2.gz"]


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((), 0),
        (("t.1", "t.2"), 0),
        (("t.1.gz", "t.2.001.zst", "t.3.zip"), 3),
        (("t.1.gz", "t.1"), 0),
        (("u.1.gz", "t.gz", "t.1.gz.gz", "t.1.Z", ".t.1.gz", "t.x.gz"), 0),
    ],
)
def test_how_many_of_a_ring_are_compressed(names: Sequence[str], count: int) -> None:
    assert count_compressed(names, Naming("t")) == count


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
