"""What a compressed file holds beside its original: decided by packets, not by names."""

import bz2
import gzip
import lzma
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers.inputs.copies import is_copy

from ...pcaps.make import Packet, classic
from .reading import most_memory, zstd_bomb

LONG_AGO = 1_600_000_000
CAPTURE = classic([Packet((1_700_000_000 + at) * 10**9, os.urandom(200)) for at in range(40)])
LARGE = classic([Packet((1_700_000_000 + at) * 10**9, os.urandom(1000)) for at in range(100)])
OTHER = classic([Packet(1_700_000_000_000_000_001, b"x" * 200)])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def put(folder: Path, compressed: bytes, original: bytes) -> None:
    (folder / "t.1").write_bytes(original)
    (folder / "t.1.gz").write_bytes(compressed)
    os.utime(folder / "t.1", (LONG_AGO, LONG_AGO))
    os.utime(folder / "t.1.gz", (LONG_AGO + 9, LONG_AGO + 9))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    ("inside", "original", "expected"),
    [
        (CAPTURE, CAPTURE, True),
        (CAPTURE[:500], CAPTURE, True),
        (CAPTURE, CAPTURE[:500], False),
        (OTHER, CAPTURE, False),
        (CAPTURE, OTHER, False),
        (LARGE, LARGE, None),
        (LARGE, LARGE[:30_000], None),
        (LARGE, b"", False),
        (b"", CAPTURE, True),
    ],
)
def test_by_what_is_in_it(
    compress: Callable[[bytes], bytes],
    inside: bytes,
    original: bytes,
    expected: bool | None,
    tmp_path: Path,
    place: int,
) -> None:
    put(tmp_path, compress(inside), original)
    found = is_copy(place, "t.1.gz", "t.1")
    # Some formats give much at once: then more is known.
    assert found in ((None, inside == original) if expected is None else (expected,))


def test_a_bomb_is_no_copy_and_not_decompressed_at_once(tmp_path: Path, place: int) -> None:
    pytest.importorskip("zstandard")
    put(tmp_path, zstd_bomb(CAPTURE[:500], 1000), CAPTURE)
    with most_memory() as most:
        assert is_copy(place, "t.1.gz", "t.1") is False
        assert most() < 64 << 20


@pytest.mark.parametrize("length", [0, 5, 12, 200, 3000])
def test_what_is_cut_short(length: int, tmp_path: Path, place: int) -> None:
    put(tmp_path, gzip.compress(CAPTURE)[:length], CAPTURE)
    assert is_copy(place, "t.1.gz", "t.1") is True
    (tmp_path / "t.1").write_bytes(OTHER)
    assert is_copy(place, "t.1.gz", "t.1") is (length < 200)


@pytest.mark.parametrize("when_s", [LONG_AGO, None])
def test_times_tell_what_was_not_compared(when_s: int | None, tmp_path: Path, place: int) -> None:
    put(tmp_path, gzip.compress(LARGE), LARGE)
    assert is_copy(place, "t.1.gz", "t.1") is None
    os.utime(tmp_path / "t.1.gz", None if when_s is None else (when_s, when_s))
    assert is_copy(place, "t.1.gz", "t.1") is True


def test_an_archive_of_several_is_no_copy(tmp_path: Path, place: int) -> None:
    (tmp_path / "t.1").write_bytes(CAPTURE)
    for names, expected in ((["t.1"], True), (["t.1", "t.2"], False)):
        with zipfile.ZipFile(tmp_path / "t.1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, CAPTURE)
        assert is_copy(place, "t.1.zip", "t.1") is expected


def test_what_is_not_compressed(tmp_path: Path, place: int) -> None:
    put(tmp_path, OTHER, CAPTURE)
    assert is_copy(place, "t.1.gz", "t.1") is False
    put(tmp_path, b"text", CAPTURE)
    assert is_copy(place, "t.1.gz", "t.1") is True


def test_what_is_gone_or_no_file_is_no_copy(tmp_path: Path, place: int) -> None:
    put(tmp_path, gzip.compress(CAPTURE), CAPTURE)
    before = len(os.listdir("/proc/self/fd"))
    assert is_copy(place, "t.1.gz", "t.2") is False
    assert is_copy(place, "t.2.gz", "t.1") is False
    (tmp_path / "t.2").mkdir()
    assert is_copy(place, "t.1.gz", "t.2") is False
    assert len(os.listdir("/proc/self/fd")) == before
