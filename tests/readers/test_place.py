"""One listing for all that is in a directory, and what comes to it meanwhile."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers.place import Place, key_of

from .made_ring import HEADER


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def names(place: Place, prefix: str | None) -> list[str]:
    return [one.name for one in place.take(prefix)]


def make(folder: Path, *made: str) -> None:
    for name in made:
        (folder / name).write_bytes(gzip.compress(HEADER) if name.endswith(".gz") else HEADER)


def test_one_listing_serves_each_group_once(tmp_path: Path, dir_fd: int) -> None:
    make(tmp_path, "a.1", "b.1", "x.pcap")
    place = Place(str(tmp_path), dir_fd)
    assert place.prefixes == {"a", "b"}
    assert names(place, "a") == ["a.1"]
    make(tmp_path, "b.2", "y.pcap")
    assert names(place, "b") == ["b.1"]
    assert names(place, None) == ["x.pcap"]
    assert names(place, None) == ["x.pcap", "y.pcap"]
    assert names(place, "b") == ["b.1", "b.2"]


def test_what_changed_before_the_first_is_asked_for_is_seen(tmp_path: Path, dir_fd: int) -> None:
    make(tmp_path, "a.1")
    place = Place(str(tmp_path), dir_fd)
    assert not place.has_others
    make(tmp_path, "a.2", "a.0.gz")
    assert names(place, "a") == ["a.1", "a.2"]
    assert place.has_others
    assert names(place, None) == ["a.0.gz"]


def test_what_is_gone_may_be_compressed(tmp_path: Path, dir_fd: int) -> None:
    make(tmp_path, "a.1", "a.2", "a.3.gz")
    place = Place(str(tmp_path), dir_fd)
    assert names(place, "a") == ["a.1", "a.2"]
    for name in ("a.1", "a.2"):
        (tmp_path / name).unlink()
        place.gone(name)
    make(tmp_path, "a.2.gz")
    place.gone("a.2")
    assert names(place, None) == ["a.2.gz", "a.3.gz"]


def test_what_is_in_a_group(tmp_path: Path, dir_fd: int) -> None:
    make(tmp_path, "a.1", "x.pcap")
    (tmp_path / "text").touch()
    place = Place(str(tmp_path), dir_fd)
    found = [(prefix, name) for prefix in ("a", None) for name in ("a.1", "x.pcap", "text")
             if place.holds(prefix, name)]  # fmt: skip
    assert found == [("a", "a.1"), (None, "x.pcap")]


def test_a_directory_is_the_same_by_any_path(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "way").symlink_to(".")
    fd = os.open(tmp_path / "way", os.O_RDONLY)
    assert key_of(fd) == key_of(dir_fd)
    os.close(fd)
