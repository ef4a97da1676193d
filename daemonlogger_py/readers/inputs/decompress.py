"""What is inside compressed data: recognised by its first bytes, decoded piece by piece.

No piece is larger than PIECE_BYTES (zstd: 16 MiB), whatever the data claims, where `read` gives no
more than it is asked for. Damage is told after all that could be decoded before it. Capture formats
are not known here.

Formats: RFC 1952 (gzip), RFC 8878 (zstd), the xz and lzma file formats of XZ Utils,
PKWARE's APPNOTE (zip), of which members are read as they come, without the directory at its end.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from daemonlogger_py.errors import SourceError

PIECE_BYTES = 1 << 20
READ_BYTES = 1 << 18
# zstd's decoder cannot be asked for less than all that its input holds, and 4 bytes may hold a
# whole block of 128 KiB: so much gives 16 MiB at most.
ZSTD_READ_BYTES = 512
ZSTD_WINDOW_BYTES = 128 << 20  # as zstd(1) has it without --long
XZ_MEMORY_BYTES = 1 << 30

LEAST_BYTES = 13
"""As many of the first bytes `format_of` wants to see."""

ACCEPTED = "gzip, bzip2, xz, lzma, zip, and zstd where Python's zstandard is installed"

_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zip": b"PK\3\4",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
}

Read = Callable[[int], bytes]
"""Some bytes, at most so many; none at the end."""


class Member(NamedTuple):
    """One file inside the data; `name` is None where the format does not name what it holds."""

    name: str | None
    pieces: Iterator[bytes]
    """Raise SourceError for damage, without the file's name."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def format_of(head: bytes) -> str | None:
    """Name the compression that the first bytes of a file show, or None."""
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name
    # Without a magic number of its own: the usual properties byte, a dictionary of a size that is
    # a multiple of 64 KiB, and a length that is unknown or below 2^40.
    if head[:3] == b"\x5d\0\0" and head[10:13] in (b"\0\0\0", b"\xff\xff\xff"):
        return "lzma"
    return None


def members(kind: str, read: Read) -> Iterator[Member]:
    """What the data that `read` gives, of a `kind` that `format_of` named, holds.

    The pieces of one member have to be left alone once the next member was asked for. Raises
    SourceError for a kind that is not decoded here.
    """
    if kind == "zip":
        return _Zip(read).members()
    return iter([Member(None, _single(kind, read))])


def _single(kind: str, read: Read) -> Iterator[bytes]:
    if kind == "zstd":
        return _zstd(read)
    if kind == "lz4":
        raise SourceError(f"lz4 is not decoded; accepted: {ACCEPTED}")
    return _streams(kind, read, _decoder_for(kind))


def _decoder_for(kind: str) -> Callable[[], _Decoder]:
    if kind == "gzip":
        return lambda: _Inflate(16 + zlib.MAX_WBITS)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=XZ_MEMORY_BYTES)


class _Inflate:
    """zlib's decoder, used as those of bz2 and lzma are."""

    def __init__(self, window_bits: int) -> None:
        self._decoder = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        # A full piece may leave more behind inside the decoder, also when all input is taken.
        self.needs_input = not self._decoder.unconsumed_tail and len(piece) < max_length
        return piece


def _streams(kind: str, read: Read, new_decoder: Callable[[], _Decoder]) -> Iterator[bytes]:
    """Streams one after the other, as the tools of these formats read them, are one."""
    data = read(READ_BYTES)
    magic = _MAGIC.get(kind)
    while True:
        decoder = new_decoder()
        yield from _stream(kind, read, decoder, data)
        data = decoder.unused_data.lstrip(b"\0")  # gzip and xz are padded with zeros
        while not data:
            block = read(READ_BYTES)
            if not block:
                return
            data = block.lstrip(b"\0")
        while magic and len(data) < len(magic) and (more := read(READ_BYTES)):
            data += more
        if magic is None or not data.startswith(magic):
            raise SourceError(f"the {kind} data is followed by something else, which is not read")


def _stream(kind: str, read: Read, decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    while not decoder.eof:
        if decoder.needs_input and not data:
            data = read(READ_BYTES)
            if not data:
                raise SourceError(f"the {kind} data is cut short")
        piece, data = _decoded(kind, decoder, data), b""
        if piece:
            yield piece


def _decoded(kind: str, decoder: _Decoder, data: bytes) -> bytes:
    try:
        return decoder.decompress(data, PIECE_BYTES)
    except Exception as error:  # each library has its own: zlib.error, LZMAError, OSError, ...
        if isinstance(error, MemoryError):
            raise
        raise SourceError(f"the {kind} data is damaged: {error}") from None


def _zstd(read: Read) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise SourceError(
            "zstd is decoded only where Python's module zstandard is installed"
        ) from None
    context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    data = read(ZSTD_READ_BYTES)
    while data:
        decoder = context.decompressobj()
        while not decoder.eof:
            if not data:
                raise SourceError("the zstd data is cut short")
            try:
                piece = decoder.decompress(data)
            except zstandard.ZstdError as error:
                raise SourceError(f"the zstd data is damaged: {error}") from None
            if piece:
                yield piece
            data = b"" if decoder.eof else read(ZSTD_READ_BYTES)
        data = decoder.unused_data or read(ZSTD_READ_BYTES)


_LOCAL_HEADER = struct.Struct("<4s5HIIIHH")
_ENCRYPTED, _SIZES_BEHIND, _NAME_IS_UTF8 = 1, 8, 0x800
_STORED, _DEFLATED, _BZIPPED = 0, 8, 12
_IN_EXTRA = 0xFFFFFFFF  # a size that stands in the zip64 extra field, kind 1
_DESCRIPTOR = b"PK\7\x08"
_BEHIND_MEMBERS = (b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\6\x08")


class _Zip:
    """The members of a zip archive, in the order in which they stand in it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ahead = b""
        self._broken = False

    def members(self) -> Iterator[Member]:
        while not self._broken:
            signature = self._peek(4)
            if not signature or signature in _BEHIND_MEMBERS:
                return
            if signature != _MAGIC["zip"]:
                raise SourceError("the zip data is damaged: no member where one should begin")
            header = _LOCAL_HEADER.unpack(self._take(_LOCAL_HEADER.size))
            flags, method, crc, packed_bytes = header[2], header[3], header[6], header[7]
            raw_name = self._take(header[9])
            packed_bytes = _packed_bytes(packed_bytes, self._take(header[10]))
            name = raw_name.decode("utf-8" if flags & _NAME_IS_UTF8 else "cp437", "replace")
            pieces = self._member(flags, method, crc, packed_bytes)
            if not name.endswith("/"):
                yield Member(name, pieces)
            for _ in pieces:  # what the caller left of it
                pass

    def _member(self, flags: int, method: int, crc: int, packed_bytes: int) -> Iterator[bytes]:
        self._broken = True
        if flags & _ENCRYPTED:
            raise SourceError("encrypted zip members are not decoded")
        if method == _DEFLATED:
            pieces = self._inflated(_Inflate(-zlib.MAX_WBITS))
        elif method == _BZIPPED:
            pieces = self._inflated(_decoder_for("bzip2")())
        elif method == _STORED and not flags & _SIZES_BEHIND:
            pieces = self._stored(packed_bytes)
        else:
            raise SourceError(f"zip method {method} is not decoded; accepted: deflate, bzip2, none")
        found = 0
        for piece in pieces:
            found = zlib.crc32(piece, found)
            yield piece
        if flags & _SIZES_BEHIND:
            crc = self._descriptor()
        self._broken = False
        if found != crc:
            raise SourceError("the zip data is damaged: the checksum of a member is another one")

    def _stored(self, packed_bytes: int) -> Iterator[bytes]:
        while packed_bytes:
            piece = self._take(min(packed_bytes, READ_BYTES))
            packed_bytes -= len(piece)
            yield piece

    def _inflated(self, decoder: _Decoder) -> Iterator[bytes]:
        data, self._ahead = self._ahead, b""
        yield from _stream("zip", self._read, decoder, data)
        self._ahead = decoder.unused_data

    def _descriptor(self) -> int:
        """Take the sizes behind a member, of 4 or 8 bytes each, and return its checksum."""
        start = 4 if self._peek(4) == _DESCRIPTOR else 0
        for size_bytes in (4, 8):
            length = start + 4 + 2 * size_bytes
            if self._peek(length + 2)[length:] in (b"PK", b""):
                break
        return int.from_bytes(self._take(length)[start : start + 4], "little")

    def _peek(self, size: int) -> bytes:
        while len(self._ahead) < size and (more := self._read(READ_BYTES)):
            self._ahead += more
        return self._ahead[:size]

    def _take(self, size: int) -> bytes:
        data = self._peek(size)
        if len(data) < size:
            self._broken = True
            raise SourceError("the zip data is cut short")
        self._ahead = self._ahead[size:]
        return data


def _packed_bytes(size: int, extra: bytes) -> int:
    """The size in the header, or the one in the zip64 field that it points to."""
    at = 0
    while size == _IN_EXTRA and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1 and length >= 16 and at + 20 <= len(extra):
            return int(struct.unpack_from("<Q", extra, at + 12)[0])
        at += 4 + length
    return size
