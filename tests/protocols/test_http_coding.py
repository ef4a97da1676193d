"""Content codings: what is undone, what is damaged, and how far any of it may grow."""

import gzip
import os
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.protocols import http_coding
from daemonlogger_py.protocols.http_coding import (
    CorruptError,
    LimitError,
    Limits,
    TruncatedError,
    codings,
    decode,
    known,
)

TEXT = b"a body of some length, " * 400
NOISE = os.urandom(70_000)


def deflated(data, window):
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


def undone(data, *applied, limits=None, pieces=None):
    given_pieces = [data] if pieces is None else pieces
    return b"".join(decode(given_pieces, applied, Limits() if limits is None else limits))


def partly(data, *applied, limits=None):
    """What came before the error, and the error."""
    out = []
    decoding = decode([data], applied, limits or Limits())
    with pytest.raises(http_coding.CodingError) as raised:
        out.extend(iter(lambda: next(decoding), None))
    return b"".join(out), raised.value


def told_behind(packed, rest, coding, data):
    """All is decoded, and `rest` behind it is told, wherever the slices of input end."""
    padded = rest + bytes(-(len(packed) + len(rest)) % http_coding._IN_BYTES)
    for behind in (rest, padded):
        out, error = partly(packed + behind, coding)
        assert out == data
        assert isinstance(error, CorruptError)
        assert str(error) == f"{len(behind)} bytes are behind the end of the compressed data"
    size = max(1, (len(packed) + len(rest)) // 100)
    both = packed + rest
    decoding = decode([both[i : i + size] for i in range(0, len(both), size)], [coding], Limits())
    with pytest.raises(CorruptError, match=f"^{len(rest)} bytes are behind"):
        b"".join(decoding)


def repr_of_few(data):
    return repr(data[:9]) + str(len(data))


@pytest.mark.parametrize("data", [TEXT, NOISE, b"x", bytes(300_000)], ids=len)
@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", zlib.compress),  # mislabelled, and known in the wild
        ("deflate", zlib.compress),
        ("deflate", lambda data: deflated(data, -15)),
        ("deflate", gzip.compress),
    ],
)
def test_deflate_in_all_its_frames(data, coding, pack):
    packed = pack(data)
    assert undone(packed, coding) == data
    assert undone(packed, coding, pieces=[packed[i : i + 1] for i in range(len(packed))]) == data


def test_memory_views_are_taken():
    packed = gzip.compress(TEXT)
    assert undone(b"", "gzip", pieces=[memoryview(packed)[:20], memoryview(packed)[20:]]) == TEXT


def test_several_members():
    packed = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"more")
    for pieces in ([packed], [packed[i : i + 7] for i in range(0, len(packed), 7)]):
        assert undone(b"", "gzip", pieces=pieces) == TEXT + b"more"


PADDINGS = [b"\0", b"\0" * 100, b"\0" * 50_000]
BEHIND = [b"x", b"\x1f", b"garbage", b"\0garbage", b"\0" * 50_000 + b"x", b"x" * 50_000]


@pytest.mark.parametrize("rest", PADDINGS, ids=len)
def test_padding_is_left_out(rest):
    for data in (TEXT, NOISE):
        assert undone(gzip.compress(data) + rest, "gzip") == data
        assert undone(zlib.compress(data) + rest, "deflate") == data
        assert undone(deflated(data, -15) + rest, "deflate") == data


@pytest.mark.parametrize("rest", BEHIND, ids=repr_of_few)
def test_what_is_behind_the_last_member_is_told(rest):
    for data in (TEXT, NOISE):
        told_behind(gzip.compress(data), rest, "gzip", data)
        told_behind(gzip.compress(data) * 2, rest, "gzip", data * 2)
        told_behind(deflated(data, -15), rest, "deflate", data)


def test_member_behind_padding_is_told():
    told_behind(gzip.compress(TEXT), b"\0" + gzip.compress(TEXT), "gzip", TEXT)


def test_several_codings_in_a_row():
    packed = zlib.compress(gzip.compress(gzip.compress(TEXT)))
    assert undone(packed, "gzip", "x-gzip", "deflate") == TEXT


def test_nothing_is_nothing():
    for coding in ("gzip", "deflate"):
        assert undone(b"", coding, pieces=[]) == b""


def test_cut_data_gives_what_it_can():
    packed = gzip.compress(NOISE)
    data, error = partly(packed[:40_000], "gzip")
    assert isinstance(error, TruncatedError)
    assert 30_000 < len(data) < len(NOISE)
    assert NOISE.startswith(data)


def test_single_byte_is_cut():
    assert isinstance(partly(b"\x1f", "gzip")[1], TruncatedError)


def test_damage_gives_what_is_before_it():
    packed = bytearray(gzip.compress(NOISE))
    packed[-5] ^= 0xFF  # of the checksum
    data, error = partly(bytes(packed), "gzip")
    assert isinstance(error, CorruptError)
    assert NOISE.startswith(data)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_something_else(coding):
    data, error = partly(b"<html>not compressed</html>", coding)
    assert data == b""
    assert isinstance(error, CorruptError)


def test_ratio_is_limited():
    packed = gzip.compress(bytes(10_000_000))
    data, error = partly(packed, "gzip")
    assert isinstance(error, LimitError)
    assert len(data) == 1000 * len(packed)
    assert undone(packed, "gzip", limits=Limits(ratio=2000)) == bytes(10_000_000)


def test_ratio_does_not_matter_below_a_floor():
    packed = gzip.compress(bytes(1 << 20))
    assert len(packed) * 1000 > 1 << 20 or undone(packed, "gzip") == bytes(1 << 20)
    assert undone(packed, "gzip", limits=Limits(ratio=1)) == bytes(1 << 20)


def test_size_is_limited():
    data, error = partly(gzip.compress(NOISE), "gzip", limits=Limits(most_bytes=1000))
    assert data == NOISE[:1000]
    assert isinstance(error, LimitError)


def test_what_is_between_two_codings_is_limited_too():
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    data, error = partly(bomb, "gzip", "gzip")
    assert isinstance(error, LimitError)
    assert len(data) <= 1 << 20


def test_thousands_of_members_take_no_thousandfold_time():
    packed = gzip.compress(b"") * 50_000
    assert undone(packed, "gzip") == b""


def test_codings_of_fields():
    fields = (
        (b"Content-Encoding", b"GZIP, identity"),
        (b"content-encoding", b" x-gzip"),
        (b"Transfer-Encoding", b"deflate, chunked"),
        (b"Accept-Encoding", b"br"),
    )
    assert codings(fields) == ("gzip", "x-gzip", "deflate")
    assert codings(()) == ()


def test_known_codings(monkeypatch):
    assert known("gzip")
    assert not known("compress")
    monkeypatch.setattr(http_coding, "_module", lambda coding: None)
    assert not known("br")
    assert known("deflate")


def test_brotli_without_a_limit_is_not_taken(monkeypatch):
    class Old:
        class Decompressor:
            pass

    monkeypatch.setattr(http_coding, "import_module", lambda name: Old)
    assert http_coding._module.__wrapped__("br") is None


@pytest.fixture
def brotli():
    return pytest.importorskip("brotli", minversion=None)


@pytest.fixture
def zstandard():
    return pytest.importorskip("zstandard")


def test_brotli(brotli):
    for data in (TEXT, NOISE, b"x", bytes(900_000), bytes(900_000) + NOISE):
        packed = brotli.compress(data)
        assert undone(packed, "br") == data
        assert (
            undone(b"", "br", pieces=[packed[i : i + 3] for i in range(0, len(packed), 3)]) == data
        )
    assert undone(brotli.compress(gzip.compress(TEXT)), "gzip", "br") == TEXT


def test_brotli_damaged(brotli):
    packed = brotli.compress(NOISE)
    data, error = partly(packed[:40_000], "br")
    assert isinstance(error, TruncatedError)
    assert NOISE.startswith(data)
    assert isinstance(partly(b"\xff" * 50, "br")[1], CorruptError)


@pytest.mark.parametrize("data", [TEXT, NOISE, bytes(900_000) + NOISE, bytes(900_000)], ids=len)
def test_brotli_with_something_behind_it(brotli, data):
    packed = brotli.compress(data)
    for rest in PADDINGS:
        assert undone(packed + rest, "br") == data
        to_slice = rest[: -len(packed) % http_coding._IN_BYTES]
        assert undone(packed + to_slice + rest, "br") == data
    for rest in (*BEHIND, packed):
        told_behind(packed, rest, "br", data)


def test_brotli_that_ends_with_a_slice_of_input(brotli, monkeypatch):
    packed = brotli.compress(NOISE)
    monkeypatch.setattr(http_coding, "_IN_BYTES", len(packed))
    told_behind(packed, b"x" * 80_000, "br", NOISE)
    assert undone(packed + bytes(80_000), "br") == NOISE


def test_brotli_damaged_far_behind(brotli, monkeypatch):
    monkeypatch.setattr(http_coding, "_BROTLI_KEPT_BYTES", 20_000)
    packed = brotli.compress(NOISE)
    data, error = partly(packed + b"behind", "br")
    assert NOISE.startswith(data)
    assert len(data) > len(NOISE) - http_coding._IN_BYTES
    assert "damaged, or something is behind its end" in str(error)


def test_brotli_is_limited_also_with_something_behind_it(brotli):
    packed = brotli.compress(bytes(20_000_000), quality=1)
    assert isinstance(partly(packed + b"behind", "br")[1], LimitError)
    loose = Limits(ratio=1 << 30)
    data, error = partly(packed + b"behind", "br", limits=loose)
    assert data == bytes(20_000_000)
    assert isinstance(error, CorruptError)


def test_brotli_is_limited(brotli):
    packed = brotli.compress(bytes(20_000_000), quality=1)
    data, error = partly(packed, "br")
    assert isinstance(error, LimitError)
    assert len(data) == max(1 << 20, 1000 * len(packed))


def test_zstd(zstandard):
    packer = zstandard.ZstdCompressor()
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    for data in (TEXT, NOISE, b"x"):
        packed = packer.compress(data) + skipped + packer.compress(b"second frame") + b"\0"
        assert undone(packed, "zstd") == data + b"second frame"
        pieces = [packed[i : i + 3] for i in range(0, len(packed), 3)]
        assert undone(b"", "zstd", pieces=pieces) == data + b"second frame"


@pytest.mark.parametrize("data", [TEXT, NOISE], ids=len)
def test_zstd_with_something_behind_it(zstandard, data):
    packed = zstandard.ZstdCompressor().compress(data)
    for rest in PADDINGS:
        assert undone(packed + rest, "zstd") == data
    for rest in (*BEHIND, b"\x28\xb5\x2f"):
        told_behind(packed, rest, "zstd", data)


def test_zstd_damaged(zstandard):
    packed = zstandard.ZstdCompressor().compress(NOISE)
    _, error = partly(packed[:-10], "zstd")
    assert isinstance(error, TruncatedError)
    assert isinstance(partly(b"\xff" * 50, "zstd")[1], CorruptError)


def test_zstd_is_limited(zstandard):
    data, error = partly(zstandard.ZstdCompressor().compress(bytes(100_000_000)), "zstd")
    assert isinstance(error, LimitError)
    assert len(data) <= 1000 * 10_000


@given(
    st.binary(max_size=2000),
    st.lists(st.sampled_from(["gzip", "deflate", "x-gzip"]), max_size=3),
    st.lists(st.integers(1, 300), max_size=20),
)
def test_any_body_comes_back(data, applied, sizes):
    packed = data
    for coding in applied:
        packed = gzip.compress(packed) if "gzip" in coding else zlib.compress(packed)
    pieces = []
    rest = packed
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert undone(b"", *applied, pieces=[*pieces, rest]) == data


@given(st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.binary(max_size=300))
def test_any_bytes_end(coding, data):
    if known(coding):
        with suppress(http_coding.CodingError):
            undone(data, coding)
