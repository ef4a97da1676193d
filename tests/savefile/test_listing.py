"""Directories natively: the same names as the grammar has them, the same facts as os.stat."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.savefile.listing import NAME_MAX, list_savefiles, parse, sizes_and_times
from daemonlogger_py.savefile.names import Naming

NAMES = ["p.1", "p.12.003", "p.00012", "p.18446744073709551616", "p.9223372036854775807.1"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def as_said(start: str, name: str) -> tuple[int, int] | None:
    """The grammar, one word after the other."""
    words = name.removeprefix(start).split(".") if name.startswith(start) else []
    if len(name) > NAME_MAX or len(words) not in (1, 2):
        return None
    if not all(word and all(letter in "0123456789" for letter in word) for word in words):
        return None
    epoch, serial = (*words, "0")[:2]
    return int(epoch), int(serial)


@given(st.text("p.019a\udcff²\n", max_size=12) | st.from_regex(r"p\.[0-9]{1,40}(\.[0-9]{1,30})?"))
def test_names_are_read_as_the_grammar_says(name: str) -> None:
    assert parse("p.", name) == as_said("p.", name)


@pytest.mark.parametrize("digits", [17, 18, 19, 20, 253])
def test_numbers_of_any_length(digits: int) -> None:
    name = "p." + "9" * digits
    assert parse("p.", name) == (int("9" * digits), 0)
    assert parse("p.", name + "9" * (NAME_MAX - len(name) + 1)) is None


def test_regular_files_of_the_prefix_alone(tmp_path: Path, place: int) -> None:
    for name in (*NAMES, "q.1", "p.x", "p.1.2.3", "p.", "x" * 100):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "p.100").mkdir()
    (tmp_path / "p.101").symlink_to("p.1")
    os.mkfifo(tmp_path / "p.102")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{place}/p.103")
        found = list_savefiles(place, "p.", tuple)
    expected = [(as_said("p.", name), name) for name in NAMES]
    assert sorted(((epoch, serial), name) for epoch, serial, name in found) == sorted(expected)
    assert sorted(list_savefiles(place, "p.", tuple)) == sorted(found)  # from the beginning again


def test_names_that_are_no_text(tmp_path: Path, place: int) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.7"
    with open(raw, "wb"):
        pass
    (found,) = Naming("\udcff\udcfe").listed(place)
    assert found == (7, 0, "\udcff\udcfe.7")
    assert sizes_and_times(place, [found.name], followed=False)[0] is not None


def test_oldest_first(tmp_path: Path, place: int) -> None:
    for name in ("p.10", "p.9", "p.10.002", "p.10.1"):
        (tmp_path / name).write_bytes(b"")
    assert [one.name for one in Naming("p").listed(place)] == ["p.9", "p.10", "p.10.1", "p.10.002"]


def test_what_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with open(file, "rb") as opened, pytest.raises(NotADirectoryError):
        list_savefiles(opened.fileno(), "p.", tuple)
    with pytest.raises(OSError, match="Bad file descriptor"):
        list_savefiles(-1, "p.", tuple)


def test_sizes_and_times_are_the_kernels(tmp_path: Path, place: int) -> None:
    (tmp_path / "p.1").write_bytes(b"12345")
    os.utime(tmp_path / "p.1", ns=(1, 1_700_000_000_123_456_789))
    os.utime(tmp_path, ns=(1, 2))
    (tmp_path / "p.2").symlink_to("p.1")
    there = (5, 1_700_000_000_123_456_789)
    link = os.lstat(tmp_path / "p.2")
    assert sizes_and_times(place, ["p.1", "p.2", "p.3"], followed=False) == [
        there,
        (link.st_size, link.st_mtime_ns),
        None,
    ]
    assert sizes_and_times(place, ["p.2"], followed=True) == [there]
    assert sizes_and_times(place, [], followed=True) == []


def test_times_before_1970(tmp_path: Path, place: int) -> None:
    (tmp_path / "p.1").write_bytes(b"")
    os.utime(tmp_path / "p.1", ns=(1, -1_500_000_000))
    assert sizes_and_times(place, ["p.1"], followed=False) == [(0, -1_500_000_000)]


def test_what_the_kernel_refuses_is_an_error_of_that_name(place: int) -> None:
    with pytest.raises(OSError, match="too long") as raised:
        sizes_and_times(place, ["p" * (NAME_MAX + 1)], followed=False)
    assert raised.value.filename == "p" * (NAME_MAX + 1)
