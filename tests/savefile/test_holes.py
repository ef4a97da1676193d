"""Savefiles that are gone: what pruning does not explain, and how it is told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog_rows import SEALED, Entry, Gap
from daemonlogger_py.savefile.holes import Hole, Holes, is_compressed, is_file, is_there


@pytest.fixture
def holes(tmp_path: Path) -> Iterator[Holes]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield Holes(fd)
    os.close(fd)


def entry(epoch: int, packets: int = 2) -> Entry:
    made = Entry(f"t.{epoch}", epoch, 0, SEALED, 24, 0, packets=packets)
    return made._replace(first_ns=epoch, last_ns=epoch + 5) if packets else made


def test_pruning_explains_the_oldest(holes: Holes) -> None:
    holes.gone(entry(10))
    holes.gone(entry(20))
    holes.there()
    assert holes.found() == []


def test_those_in_a_row_are_one(holes: Holes) -> None:
    holes.there()
    holes.gone(entry(20))
    holes.gone(entry(30, packets=0))  # took nothing away, and parts nothing
    holes.gone(entry(40))
    holes.there()
    holes.gone(entry(60))
    assert holes.found() == [Hole(("t.20", "t.40"), 4, 20, 45), Hole(("t.60",), 2, 60, 65)]


def test_of_one_that_was_not_walked_only_its_name_and_its_age_are_known(holes: Holes) -> None:
    holes.there()
    holes.gone(entry(20, packets=0)._replace(ordered=False, modified_ns=35 * 10**9))
    (hole,) = holes.found()
    assert hole == Hole(("t.20",), None, 20 * 10**9, 35 * 10**9)
    assert hole.gap().packets is None
    holes.gone(entry(40))
    (hole,) = holes.found()
    assert (hole.names, hole.packets) == (("t.20", "t.40"), None)


def test_compressed_ones_are_there(holes: Holes, tmp_path: Path) -> None:
    (tmp_path / "t.10.gz").touch()
    (tmp_path / "t.30.xz").touch()
    for epoch in (10, 20, 30, 40):
        holes.gone(entry(epoch))
    assert [hole.names for hole in holes.found()] == [("t.20",), ("t.40",)]


@pytest.mark.parametrize("end", [".gz", ".bz2", ".xz", ".lzma", ".zst", ".zip"])
def test_what_compressing_leaves(tmp_path: Path, end: str) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert not is_compressed(fd, "t.10")
    (tmp_path / f"t.10{end}").touch()
    assert is_compressed(fd, "t.10")
    assert is_there(fd, "t.10")
    (tmp_path / f"t.10{end}").rename(tmp_path / "t.10")
    assert is_there(fd, "t.10")
    assert not is_there(fd, "t.1")
    os.close(fd)


def test_only_what_is_known_not_to_be_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    fd = os.open(tmp_path, os.O_RDONLY)
    names = ("file", "directory", "link", "none", "a\0b", "file/below", "n" * 300)
    assert [is_file(fd, name) for name in names] == [True, *[False] * 4, True, True]
    os.close(fd)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("t.1",), "t.1 is gone, and no recorder said that it pruned it"),
        (("t.1", "t.2", "t.3"), "t.1 to t.3 are gone, and no recorder said that it pruned them"),
    ],
)
def test_the_gap(names: tuple[str, ...], text: str) -> None:
    gap = Hole(names, 7, 10, 20).gap(run=3)
    assert gap == Gap(from_ns=10, to_ns=20, packets=7, run=3, detail=text)
    assert gap.kind == "unknown"
