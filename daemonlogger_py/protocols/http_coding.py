"""Content and transfer codings of a body (RFC 9110, 8.4.1), undone within limits.

gzip, x-gzip, deflate with and without zlib's frame, in one member or several; br and zstd (RFC
7932, 8878) where the modules `brotli` (1.2 or later) and `zstandard` are installed. Several codings
in a row are undone from the last to the first. Input and output are pieces: memory does not grow
with the body, beyond what of br is kept for a second look.

NULs behind the end of the compressed data are padding. Anything else there is an error behind what
was decoded: who asked for the body did not get to see it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import chain
from typing import Any, NamedTuple

from daemonlogger_py.protocols.http_head import Fields
from daemonlogger_py.protocols.http_plain import field

# A body in more codings than that is not meant to be read.
MOST_CODINGS = 4

EXTENSIONS = {"gzip": "gz", "x-gzip": "gz", "deflate": "zz", "br": "br", "zstd": "zst"}
"""What encoded bytes are named by; also the codings that are known."""

_Piece = bytes | memoryview
_OUT_BYTES = 1 << 18  # of one piece
# Of input given at once. What is behind the end of a member is copied for each: short slices keep
# a body of thousands of empty members from being copied thousands of times.
_IN_BYTES = 1 << 14
# zstandard has no limit to what one call returns, but a block is at most 128 KiB (RFC 8878,
# 3.1.1.2.4) and at least 4 bytes: a call returns 16 MiB at most.
_ZSTD_IN_BYTES = 512
_ZSTD_WINDOW_BYTES = 1 << 23  # RFC 9659
_BROTLI_KEPT_BYTES = 1 << 22
_WINDOW_BITS = 15  # zlib's MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def _inflater() -> Any:
    """Python's zlib, or the module that is the same and takes half the time."""
    try:
        return import_module("zlib_ng.zlib_ng")
    except ImportError:
        return import_module("zlib")


_zlib = _inflater()


class Limits(NamedTuple):
    """What a body may become."""

    most_bytes: int = 256 << 20
    ratio: int = 1000  # times its encoded bytes; deflate cannot do more than 1032
    floor_bytes: int = 1 << 20  # up to which the ratio does not matter


class CodingError(ValueError):
    """The body is not decoded any further; the text says why."""


class TruncatedError(CodingError):
    """It ends too early: what was decoded is right."""


class CorruptError(CodingError):
    """It is not, or not only, what the coding's name says."""


class LimitError(CodingError):
    """It would become larger than the limits allow."""


def codings(fields: Fields) -> tuple[str, ...]:
    """Codings of a body in the order they were applied, in lower case; not the chunked one."""
    names = []
    for name in (b"content-encoding", b"transfer-encoding"):
        if value := field(fields, name):
            names += [coding.strip().lower() for coding in value.decode("latin-1").split(",")]
    return tuple(name for name in names if name not in ("", "identity", "chunked", "none"))


def known(coding: str) -> bool:
    """Whether `decode` can undo it: its module is there."""
    return coding in EXTENSIONS and (coding not in _MODULES or _module(coding) is not None)


def decode(pieces: Iterable[_Piece], applied: Sequence[str], limits: Limits) -> Iterator[bytes]:
    """Yield the body without its codings, which were applied in the given order; all are known.

    Raises CodingError, behind what could be decoded.
    """
    counted = _Counted(pieces)
    decoded: Iterator[_Piece] = iter(counted)
    for coding in reversed(applied):
        decoded = _within(_DECODERS[coding](decoded), counted, limits)
    for piece in decoded:
        yield bytes(piece)


class _Counted:
    """Pieces, and how many bytes of them were asked for."""

    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self._pieces = pieces
        self.taken = 0

    def __iter__(self) -> Iterator[_Piece]:
        for piece in self._pieces:
            self.taken += len(piece)
            yield piece


def _within(pieces: Iterable[bytes], encoded: _Counted, limits: Limits) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        most = min(limits.most_bytes, max(limits.floor_bytes, limits.ratio * encoded.taken))
        if total > most:
            yield piece[: len(piece) - (total - most)]
            raise LimitError(
                f"{encoded.taken} encoded bytes become more than {most}; accepted:"
                f" {limits.ratio} times as many, and {limits.most_bytes} bytes in all"
            )
        yield piece


def _slices(pieces: Iterable[_Piece], count: int) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) <= count:
            yield bytes(piece)
            continue
        for offset in range(0, len(piece), count):
            yield bytes(piece[offset : offset + count])


def _inflated(pieces: Iterable[_Piece], *, raw: bool) -> Iterator[bytes]:
    """Undo gzip or deflate; `raw`: there may be no frame around the deflated data."""
    decoder = None
    begun = False
    rest = b""
    slices = _slices(pieces, _IN_BYTES)
    for data in slices:
        data = rest + data if rest else data
        rest = b""
        while data:
            if decoder is None:
                if len(data) < 2:
                    rest = data
                    break
                if begun and not data.startswith(_GZIP_MAGIC):
                    _require_padding(chain((data,), slices))
                    return
                decoder = _zlib.decompressobj(_window(data, raw=raw and not begun))
                begun = True
            try:
                data = yield from _inflate(decoder, data)
            except _zlib.error as error:
                raise CorruptError(f"the compressed data is damaged: {error}") from None
            if decoder.eof:
                decoder = None
    if decoder is not None or (rest and not begun):
        raise TruncatedError("the compressed data ends too early")
    _require_padding((rest,))


def _require_padding(behind: Iterable[bytes]) -> None:
    """Raise CorruptError unless what is behind the end of the compressed data is all NUL."""
    count = others = 0
    for data in behind:
        count += len(data)
        others += len(data) - data.count(0)
    if others:
        raise CorruptError(f"{count} bytes are behind the end of the compressed data")


def _window(data: bytes, *, raw: bool) -> int:
    """Window bits, as zlib has them, for data that begins so: servers mix its formats up."""
    framed = data.startswith(_GZIP_MAGIC) or (
        data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0
    )
    return -_WINDOW_BITS if raw and not framed else _WINDOW_BITS + 32


def _inflate(decoder: Any, data: bytes) -> Generator[bytes, None, bytes]:
    """Yield what `data` decodes to; returns what is behind the end of the member."""
    while True:
        out = decoder.decompress(data, _OUT_BYTES)
        data = decoder.unconsumed_tail
        if out:
            yield out
        if decoder.eof:
            behind: bytes = decoder.unused_data
            return behind
        if not data and len(out) < _OUT_BYTES:
            return b""


def _unbrotli(pieces: Iterable[_Piece]) -> Iterator[bytes]:
    module = _module("br")
    decoder = module.Decompressor()
    given = False
    before: bytearray | None = bytearray()
    slices = _slices(pieces, _IN_BYTES)
    for data in slices:
        given = True
        if decoder.is_finished():
            _require_padding(chain((data,), slices))
            return
        passed = 0
        try:
            for out in _processed(decoder, data):
                passed += len(out)
                yield out
        except module.error as error:
            if before is None:
                raise CorruptError(
                    f"the compressed data is damaged, or something is behind its end: {error}"
                ) from None
            end = yield from _unbrotli_to_end(module, before, data, passed)
            if not end:
                raise CorruptError(f"the compressed data is damaged: {error}") from None
            _require_padding(chain((data[end:],), slices))
            return
        if before is not None:
            before += data
            if len(before) > _BROTLI_KEPT_BYTES:
                before = None
    if given and not decoder.is_finished():
        raise TruncatedError("the compressed data ends too early")


def _processed(decoder: Any, data: bytes) -> Iterator[bytes]:
    """Yield all that brotli makes of `data`, also what it would only give when asked again."""
    out = decoder.process(data, output_buffer_limit=_OUT_BYTES)
    while True:
        if out:
            yield out
        elif decoder.can_accept_more_data():
            return
        if decoder.is_finished():
            return
        out = decoder.process(b"", output_buffer_limit=_OUT_BYTES)


def _unbrotli_to_end(
    module: Any, before: bytearray, data: bytes, passed: int
) -> Generator[bytes, None, int]:
    """Yield what `data`, at which a decoder failed, decodes to behind `passed` bytes of that.

    The decoder fails also where bytes follow the end, and tells neither where that was nor what was
    before it. So all is decoded again, `data` byte by byte: returns where it ends; 0 is nowhere.
    """
    decoder = module.Decompressor()
    for old in _slices((memoryview(before),), _IN_BYTES):
        for _ in _processed(decoder, old):
            pass
    for offset in range(len(data)):
        try:
            for out in _processed(decoder, data[offset : offset + 1]):
                if new := out[passed:]:
                    yield new
                passed = max(0, passed - len(out))
        except module.error:
            return 0
        if decoder.is_finished():
            return offset + 1
    return 0


def _unzstd(pieces: Iterable[_Piece]) -> Iterator[bytes]:
    module = _module("zstd")
    context = module.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    decoder = None
    begun = False
    rest = b""
    slices = _slices(pieces, _ZSTD_IN_BYTES)
    for data in slices:
        data = rest + data if rest else data
        rest = b""
        while data:
            if decoder is None:
                if begun and len(data) < len(_ZSTD_MAGIC):
                    rest = data
                    break
                if begun and not _begins_frame(data):
                    _require_padding(chain((data,), slices))
                    return
                decoder = context.decompressobj()
                begun = True
            try:
                if out := decoder.decompress(data):
                    yield out
            except module.ZstdError as error:
                raise CorruptError(f"the compressed data is damaged: {error}") from None
            data = b""
            if decoder.eof:
                data = decoder.unused_data
                decoder = None
    if decoder is not None:
        raise TruncatedError("the compressed data ends too early")
    _require_padding((rest,))


def _begins_frame(data: bytes) -> bool:
    """Whether a frame, or one to be skipped (RFC 8878, 3.1.2), begins there."""
    return data.startswith(_ZSTD_MAGIC) or (data[0] >> 4 == 5 and data[1:4] == b"\x2a\x4d\x18")


_MODULES = {"br": "brotli", "zstd": "zstandard"}


@cache
def _module(coding: str) -> Any:
    """Return the module of a coding; None if it is not there, or too old to limit its output."""
    try:
        module: Any = import_module(_MODULES[coding])
    except ImportError:
        return None
    if coding == "br" and not hasattr(module.Decompressor, "can_accept_more_data"):
        return None
    return module


def _gunzip(pieces: Iterable[_Piece]) -> Iterator[bytes]:
    return _inflated(pieces, raw=False)


def _undeflate(pieces: Iterable[_Piece]) -> Iterator[bytes]:
    return _inflated(pieces, raw=True)


_DECODERS: dict[str, Callable[[Iterable[_Piece]], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
