"""Every format by what is in it; damage after what could be decoded; no piece out of bounds."""

import bz2
import gzip
import io
import lzma
import os
import random
import sys
import zipfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.inputs import decompress
from daemonlogger_py.readers.inputs.decompress import format_of, members

from .reading import zstd_bomb

try:
    import zstandard
except ImportError:  # the module is optional, and so is what needs it
    zstandard = None

DATA = random.Random(4).randbytes(500_000) + bytes(2_000_000) + b"the end"


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "x.pcap") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zip": zipped,
}
if zstandard is not None:
    COMPRESS["zstd"] = zstandard.ZstdCompressor(write_checksum=True).compress
# Those whose streams may follow each other.
CONCATENATED = [kind for kind in COMPRESS if kind not in ("lzma", "zip")]

needs_zstandard = pytest.mark.skipif(zstandard is None, reason="zstandard is not installed")


def reader(data: bytes, size: int | None = None) -> Callable[[int], bytes]:
    file = io.BytesIO(data)
    return lambda most: file.read(min(most, size or most))


def decoded(kind: str, data: bytes, size: int | None = None) -> bytes:
    (pieces,) = [b"".join(member.pieces) for member in members(kind, reader(data, size))]
    return pieces


def until_damage(kind: str, data: bytes) -> tuple[bytes, str]:
    found = b""
    try:
        for member in members(kind, reader(data)):
            for piece in member.pieces:
                found += piece
    except SourceError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("kind", COMPRESS)
def test_format_is_seen_from_the_first_bytes(kind: str) -> None:
    assert format_of(COMPRESS[kind](DATA)[: decompress.LEAST_BYTES]) == kind


@pytest.mark.parametrize("head", [b"", b"\x1f", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"text"])
def test_other_bytes_are_no_compression(head: bytes) -> None:
    assert format_of(head + bytes(13)) is None


def test_lzma_is_not_seen_in_what_only_begins_alike() -> None:
    assert format_of(b"\x5d\0\0\1" + b"\x07" * 20) is None


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("size", [None, 1000])
def test_decoded_is_what_was_compressed(kind: str, size: int | None) -> None:
    assert decoded(kind, COMPRESS[kind](DATA), size) == DATA


@pytest.mark.parametrize("kind", COMPRESS)
def test_byte_by_byte(kind: str) -> None:
    assert decoded(kind, COMPRESS[kind](b"tiny"), 1) == b"tiny"
    assert decoded(kind, COMPRESS[kind](b""), 1) == b""


@pytest.mark.parametrize("kind", CONCATENATED)
@pytest.mark.parametrize("size", [None, 7])
def test_streams_in_a_row_are_one(kind: str, size: int | None) -> None:
    pack = COMPRESS[kind]
    assert decoded(kind, pack(b"one") + pack(b"") + pack(b"two"), size) == b"onetwo"


@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_padding_is_no_damage(kind: str) -> None:
    pack = COMPRESS[kind]
    data = pack(b"one") + bytes(512) + pack(b"two") + bytes(300_000)
    assert decoded(kind, data) == b"onetwo"


@pytest.mark.parametrize("kind", COMPRESS)
def test_cut_data_gives_what_is_there_and_says_so(kind: str) -> None:
    data = random.Random(5).randbytes(3_000_000)  # several of bzip2's blocks
    found, error = until_damage(kind, COMPRESS[kind](data)[:2_500_000])
    assert data.startswith(found)
    assert len(found) > 1_700_000
    assert error == f"the {kind} data is cut short"


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "zip"])
def test_every_cut_is_noticed(kind: str) -> None:
    packed = COMPRESS[kind](b"some text to be compressed")
    for size in range(1, len(packed)):
        found, error = until_damage(kind, packed[:size])
        assert b"some text to be compressed".startswith(found)
        # What lzma's oldest format has at its end is a marker that may be left out.
        assert error or (kind == "lzma" and found == b"some text to be compressed"), size


@pytest.mark.parametrize("kind", COMPRESS)
def test_damage_gives_what_is_before_it_and_says_so(kind: str) -> None:
    packed = bytearray(COMPRESS[kind](DATA))
    packed[250_000:250_100] = bytes(100)
    found, error = until_damage(kind, bytes(packed))
    if kind != "lzma":  # has no checksums
        assert error.startswith(f"the {kind} data is damaged: ")
        assert "\n" not in error
    assert found[:100_000] == DATA[: min(len(found), 100_000)]


@pytest.mark.parametrize("kind", CONCATENATED)
def test_what_follows_is_told(kind: str) -> None:
    found, error = until_damage(kind, COMPRESS[kind](b"data") + b"rubbish behind it")
    assert found == b"data"
    assert error.startswith(f"the {kind} data is ")


@given(st.sampled_from(sorted(COMPRESS)), st.binary(max_size=300), st.data())
def test_any_change_is_survived(kind: str, content: bytes, data: st.DataObject) -> None:
    packed = bytearray(COMPRESS[kind](content))
    at = data.draw(st.integers(4, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    found, error = until_damage(kind, bytes(packed))
    assert len(found) < 10_000_000
    assert "\n" not in error


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "zstd"])
def test_a_bomb_comes_in_pieces(kind: str) -> None:
    packed = COMPRESS[kind](bytes(8_000_000))
    member = next(iter(members(kind, reader(packed))))
    sizes = []
    for piece in member.pieces:
        sizes.append(len(piece))
        if len(sizes) == 5:
            break
    assert max(sizes) <= decompress.PIECE_BYTES


@needs_zstandard
def test_a_zstd_bomb_is_read_in_small_bites() -> None:
    asked: list[int] = []
    data = io.BytesIO(zstandard.compress(bytes(8_000_000)))

    def read(size: int) -> bytes:
        asked.append(size)
        return data.read(size)

    (member,) = members("zstd", read)
    assert sum(map(len, member.pieces)) == 8_000_000
    assert max(asked) == decompress.ZSTD_READ_BYTES


@needs_zstandard
def test_no_piece_of_zstd_is_larger_than_is_said() -> None:
    blocks = 3000
    (member,) = members("zstd", reader(zstd_bomb(b"", blocks)))
    sizes = [len(piece) for piece in member.pieces]
    assert sum(sizes) == blocks << 17
    assert max(sizes) <= 16 << 20


@needs_zstandard
def test_a_zstd_window_has_a_limit() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    packed = (
        zstandard.ZstdCompressor(compression_params=parameters)
        .compressobj()
        .compress(os.urandom(300_000))
    )
    _, error = until_damage("zstd", packed)
    assert "memory" in error


def test_without_the_zstd_module(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert until_damage("zstd", b"\x28\xb5\x2f\xfd" + bytes(20)) == (
        b"",
        "zstd is decoded only where Python's module zstandard is installed",
    )


def test_lz4_is_named_and_not_decoded() -> None:
    assert format_of(b"\x04\x22\x4d\x18" + bytes(9)) == "lz4"
    assert until_damage("lz4", b"")[1].startswith("lz4 is not decoded; accepted: gzip, bzip2, xz")


# Zip


def archive(*names: str, stream: bool = False, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Members that hold their own names; as a stream, with their sizes behind them."""
    file = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            return file.write(data)

    with zipfile.ZipFile(Pipe() if stream else file, "w", method) as made:
        for name in names:
            made.writestr(name, name.encode() * (1000 if not name.endswith("/") else 0))
    return file.getvalue()


def unzipped(data: bytes, size: int | None = None) -> Iterator[tuple[str | None, bytes]]:
    for member in members("zip", reader(data, size)):
        yield member.name, b"".join(member.pieces)


@pytest.mark.parametrize("size", [None, 1, 50])
@pytest.mark.parametrize(
    ("stream", "method"),
    [
        (False, zipfile.ZIP_STORED),
        (False, zipfile.ZIP_DEFLATED),
        (True, zipfile.ZIP_DEFLATED),
        (False, zipfile.ZIP_BZIP2),
        (True, zipfile.ZIP_BZIP2),
    ],
)
def test_zip_members_in_order(stream: bool, method: int, size: int | None) -> None:
    data = archive("a", "dir/", "dir/b", "ü", stream=stream, method=method)
    assert list(unzipped(data, size)) == [
        ("a", b"a" * 1000),
        ("dir/b", b"dir/b" * 1000),
        ("ü", "ü".encode() * 1000),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_zip_member_that_is_left_is_passed_over(stream: bool) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("big", random.Random(1).randbytes(3_000_000))
        made.writestr("small", b"content")
    found = [
        (member.name, len(next(member.pieces)))
        for member in members("zip", reader(file.getvalue()))
    ]
    assert [name for name, _ in found] == ["big", "small"]
    assert found[0][1] < 1_000_000
    assert found[1][1] == 7


def test_zip64_sizes_of_stored_members() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made, made.open("x", "w", force_zip64=True) as member:
        member.write(b"content")
    assert list(unzipped(file.getvalue())) == [("x", b"content")]


def test_an_empty_zip_has_no_members() -> None:
    assert list(members("zip", reader(archive()))) == []


def test_zip_without_its_directory_is_read() -> None:
    data = archive("a", "b")
    assert [name for name, _ in unzipped(data[: data.index(b"PK\1\2")])] == ["a", "b"]


def test_zip_checksums_are_compared() -> None:
    data = bytearray(archive("a", method=zipfile.ZIP_STORED))
    data[40] ^= 1
    assert until_damage("zip", bytes(data)) == (
        bytes(data[31:1031]),
        "the zip data is damaged: the checksum of a member is another one",
    )


@pytest.mark.parametrize(("at", "value", "what"), [(6, 1, "encrypted"), (8, 99, "method 99")])
def test_zip_members_that_are_not_decoded(at: int, value: int, what: str) -> None:
    data = bytearray(archive("a"))
    data[at] = value
    assert what in until_damage("zip", bytes(data))[1]


def test_zip_rubbish_between_members() -> None:
    data = archive("a", method=zipfile.ZIP_STORED)
    assert until_damage("zip", data[: data.index(b"PK\1\2")] + b"rubbish")[1] == (
        "the zip data is damaged: no member where one should begin"
    )
