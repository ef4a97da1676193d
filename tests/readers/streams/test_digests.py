"""MD5 side by side: what hashlib gives, for streams of any lengths and however many."""

import hashlib
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.readers.streams.digests import md5_each

# Around the ends of blocks, and of what of a block the length leaves.
SIZES = [0, 1, 3, 55, 56, 57, 63, 64, 65, 111, 119, 120, 121, 127, 128, 129, 183, 184, 1000, 4096]


def hashed(streams):
    return [hashlib.md5(stream).hexdigest() for stream in streams]


@pytest.mark.parametrize("widest", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 40])
def test_any_number_of_streams(widest, count):
    streams = [
        bytes((at * 31 + turn) % 251 for at in range(SIZES[turn % len(SIZES)]))
        for turn in range(count)
    ]
    assert md5_each(streams, widest) == hashed(streams)


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 2))
def test_any_streams(streams, widest):
    assert md5_each(streams, widest) == hashed(streams)


def test_a_long_one_beside_short_ones():
    streams = [b"a", bytes(1 << 20) + b"x", b"", b"bc" * 5000]
    assert md5_each(streams) == hashed(streams)


def test_whatever_has_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"mapped" * 5000)
    with (tmp_path / "f").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        streams = [mapped, bytearray(b"x"), memoryview(b"abc")[1:]]
        assert md5_each(streams) == hashed(streams)
        mapped.close()  # nothing holds on to it


def test_what_has_none_is_refused():
    with pytest.raises(TypeError):
        md5_each([b"x", [1, 2]])
