"""The chunked coding: where a body ends, and what is in it, with and without gaps."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.protocols import http_chunked
from daemonlogger_py.protocols.http_chunked import decoded, find_end, find_last_end


def coded(pieces, trailer=b""):
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


def content(data, start=0, end=None, gaps=()):
    return b"".join(decoded(data, start, len(data) if end is None else end, gaps))


def test_end_is_behind_the_trailer():
    data = b"..." + coded([b"abc", b"\r\n\r\n"], b"A: b\r\nC: d\r\n")
    extent = find_end(data + b"rest\r\n\r\n", 3, ())
    assert extent == (len(data), "", False, 0)
    assert content(data, 3) == b"abc\r\n\r\n"


def test_extensions_and_padded_sizes():
    data = b'3;a=b\r\nabc\r\n2  \r\nde\r\n000;x="y"\r\n\r\n'
    assert find_end(data, 0, ()).end == len(data)
    assert content(data) == b"abcde"


def test_large_chunk():
    piece = bytes(range(256)) * 8000
    data = coded([piece, piece])
    assert find_end(data, 0, ()) == (len(data), "", False, 0)
    assert content(data) == piece * 2


@pytest.mark.parametrize("size", [b"", b"-1", b"0x3", b"g", b"f" * 17, b"3;\0"])
def test_no_chunk_size(size):
    extent = find_end(size + b"\r\nabc\r\n0\r\n\r\n", 0, ())
    assert extent.damaged
    assert extent.problem


def test_no_end():
    extent = find_end(b"3\r\nabc\r\n5\r\nab", 0, ())
    assert extent.problem == "its chunks do not end"
    assert not extent.damaged
    assert content(b"3\r\nabc\r\n5\r\nab") == b"abcab"


def test_damage_is_in_the_slice_that_is_told():
    extent = find_end(b"head" + b"5\r\na\r\n\r\n" + b"\r\nzz\r\n\r\n" + b"rest", 4, ())
    assert extent.damaged
    assert (extent.intact, extent.end) == (12, 20)


def test_data_before_damage_is_kept():
    assert content(b"3\r\nabc\r\nzz\r\n") == b"abc"


def test_gap_within_a_chunk_is_nuls_whatever_is_there():
    data = coded([b"abcdef"]).replace(b"cd", b"\r\n")
    gaps = ((data.index(b"b") + 1, 2),)
    assert find_end(data, 0, gaps).end == len(data)
    assert content(data, gaps=gaps) == b"ab\0\0ef"


@pytest.mark.parametrize("first", range(3, 9))
def test_gap_over_framing_is_damage(first):
    data = coded([b"abc", b"def"])  # 3 CR LF abc CR LF 3 CR LF def
    extent = find_end(data, 0, ((first, 9 - first),))
    assert extent.damaged
    assert content(data, gaps=((first, 9 - first),)).startswith(b"abc"[: first - 3])


def test_gap_that_begins_before_the_body():
    data = b"head" + coded([b"abc"])
    assert find_end(data, 4, ((2, 4),)).damaged


def test_end_that_lies_across_two_windows(monkeypatch):
    monkeypatch.setattr(http_chunked, "_WINDOW_BYTES", 64)
    for count in range(150):
        data = coded([b"x" * count])
        assert find_end(data + b"rest" * 50, 0, ()) == (len(data), "", False, 0)


def test_mapped_file(monkeypatch, tmp_path):
    monkeypatch.setattr(http_chunked, "_WINDOW_BYTES", 1 << 16)
    piece = bytes(range(256)) * 300
    (tmp_path / "file").write_bytes(coded([piece] * 20) + b"rest")
    with (
        open(tmp_path / "file", "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data,
    ):
        end = find_end(data, 0, ()).end
        assert end == len(data) - 4
        assert content(data, 0, end) == piece * 20


def test_last_body():
    data = b"head" + coded([b"abc", b"\r\n\r\n0\r\n\r\n"], b"A: b\r\n")
    assert find_last_end(data, 4) == len(data)


@pytest.mark.parametrize(
    "data",
    [
        coded([b"abc"]) + b"HTTP/1.1 200 OK\r\n\r\n",
        coded([b"abc"]) + coded([b"abc"]),
        coded([b"abc"]) + b"\r\n",
        coded([b"abc"]) + b"\r\n\r\n",
        coded([b"abc"]) + b"x",
        coded([b"abc"])[:-1],
        b"5\r\n\r\n\r\n",
        b"",
        b"zz\r\n\r\n",
    ],
)
def test_not_the_last_body(data):
    assert find_last_end(data, 0) is None


@given(st.lists(st.binary(max_size=60), max_size=8), st.binary(max_size=30))
def test_both_ways_to_find_an_end_agree(pieces, rest):
    data = coded(pieces)
    assert find_last_end(data, 0) == len(data)
    last = find_last_end(data + rest, 0)
    assert last is None or (last, "", False, 0) == find_end(data + rest, 0, ())


@given(st.lists(st.binary(max_size=60), max_size=8), st.binary(max_size=20))
def test_any_pieces_come_back(pieces, rest):
    data = coded(pieces)
    assert find_end(data + rest, 0, ()) == (len(data), "", False, 0)
    assert content(data + rest, 0, len(data)) == b"".join(pieces)


@given(
    st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8),
    st.integers(0, 400),
    st.integers(1, 200),
)
def test_no_gap_hides_framing(pieces, offset, count):
    data = coded(pieces)
    offset %= len(data)
    count = min(count, len(data) - offset)
    whole = bytearray(data)
    whole[offset : offset + count] = bytes(count)
    extent = find_end(data, 0, ((offset, count),))
    if not extent.problem:  # then nothing but data was lost, and all else is in its place
        assert extent.end == len(data)
        assert len(content(data, gaps=((offset, count),))) == sum(map(len, pieces))
