"""The first inputs of the HTTP fuzzer: connections with every framing and coding there is."""

import gzip
import zlib
from collections.abc import Iterator
from importlib import import_module

from .http_target import TAIL_BYTES
from .seeds import SHARED

LONGEST_BYTES = 6000
TEXT = b"A body of some words, and of some words again, again and again. " * 4


def response(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a length."""
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes, *fields: bytes, size: int = 50, trailer: bytes = b"") -> bytes:
    """A response in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x;x=1\r\n%s\r\n" % (len(part), part) for part in parts)
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Transfer-Encoding: chunked"])
    return head + b"\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


def raw_deflate(body: bytes) -> bytes:
    """Without zlib's frame."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


def codings() -> Iterator[tuple[bytes, bytes]]:
    """Encoded bodies by what they are called."""
    packed = gzip.compress(TEXT, mtime=0)
    yield b"gzip", packed
    yield b"x-gzip", packed + packed
    yield b"GZIP", packed[:-3]
    yield b"gzip", packed + b"behind"
    yield b"deflate", zlib.compress(TEXT)
    yield b"deflate", raw_deflate(TEXT)
    yield b"deflate, gzip", gzip.compress(zlib.compress(TEXT), mtime=0)
    yield b"gzip", gzip.compress(bytes(300_000), mtime=0)
    yield b"unknown", TEXT
    for name, module, function in (("br", "brotli", "compress"), ("zstd", "zstandard", "compress")):
        try:
            yield name.encode(), getattr(import_module(module), function)(TEXT)
        except ImportError:
            continue


def connections() -> Iterator[tuple[str, bytes, bytes]]:
    """(name, what the client says, what the server says)."""
    get, head = (method + b" /x HTTP/1.1\r\nHost: h\r\n\r\n" for method in (b"GET", b"HEAD"))
    post = b"POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nform"
    yield "plain", get, response(TEXT)
    yield "pipelined", get * 3 + post, response(b"1") + response(b"") + response(b"3") * 2
    yield "head", head + get, response(b"")[:-2] + b"X: y\r\n\r\n" + response(TEXT)
    yield "head-length", head + get, response(TEXT)[: -len(TEXT)] + response(TEXT)
    yield "interim", get, b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + response(TEXT)
    yield "not-modified", get * 2, b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n" + response(b"x")
    yield "until-close", get, b"HTTP/1.0 200 OK\r\n\r\n" + TEXT
    yield "chunked", get * 2, chunked(TEXT, trailer=b"T: u\r\n") + response(b"x")
    yield "bad-chunks", get * 2, chunked(TEXT).replace(b"\r\n32;", b"\r\nzz;") + response(b"x")
    yield "switching", get, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n" + bytes(40)
    yield "connect", b"CONNECT a:1 HTTP/1.1\r\n\r\n" + bytes(9), response(b"")
    yield (
        "expect",
        post[:-8] + b"\r\nExpect: 100-continue\r\n\r\n" + get,
        response(b"", status=b"417 No"),
    )
    yield "short", get, response(TEXT)[:-20]
    yield "bare-line-ends", get.replace(b"\r\n", b"\n"), response(TEXT).replace(b"\r\n", b"\n")
    yield "no-http", b"SSH-2.0-x\r\n", b"\0\1\2"
    yield "both-lengths", get, chunked(TEXT, b"Content-Length: 3")
    yield "chunked-post", post.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"), b""
    for number, (name, encoded) in enumerate(codings()):
        yield f"coding-{number}", get, response(encoded, b"Content-Encoding: " + name)
        yield f"chunked-coding-{number}", get, chunked(encoded, b"Content-Encoding: " + name)


def tail(flags: int, middle: int, *gaps: tuple[int, int, int], limits: int = 0) -> bytes:
    """Numbers of http_target.py; gaps are (side, offset, bytes)."""
    numbers = bytearray(TAIL_BYTES)
    numbers[:4] = bytes([flags, middle & 255, middle >> 8, limits])
    for side, offset, count in gaps:
        numbers[4 + 6 * side : 7 + 6 * side] = bytes([offset & 255, offset >> 8, count])
    return bytes(numbers)


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name: whole, with a gap in each side, one side alone."""
    for name, client, server in connections():
        both, middle = client + server, len(client)
        yield f"{name}-whole", both + tail(1, middle)
        yield f"{name}-reversed", both + tail(1 | 32, middle, limits=1)
        for offset in (0, 20, len(server) // 2):
            gaps = (1, offset, 9), (0, offset // 4, 3)
            yield f"{name}-gap-{offset}", both + tail(1 | 6, middle, *gaps, limits=2)
        yield f"{name}-server", server + tail(2 | 8, 0)
        yield f"{name}-client", client + tail(0, 0, (0, 5, 1))
    yield "empty", b""
    if SHARED.is_dir():
        for path in sorted(SHARED.glob("*http*")):
            content = path.read_bytes()
            at = content.find(b"HTTP/1.")
            if at >= 0:
                yield f"shared-{path.name}", content[at : at + LONGEST_BYTES] + tail(0, 0)


DICTIONARY = {
    "response": b"HTTP/1.1 200 OK\r\n",
    "old_response": b"HTTP/1.0 200 OK\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "not_modified": b"HTTP/1.1 304 X\r\n",
    "switching": b"HTTP/1.1 101 X\r\n",
    "get": b"GET / HTTP/1.1\r\n",
    "head": b"HEAD / HTTP/1.1\r\n",
    "post": b"POST / HTTP/1.1\r\n",
    "connect": b"CONNECT a:1 HTTP/1.1\r\n",
    "length": b"Content-Length: 5\r\n",
    "huge_length": b"Content-Length: 18446744073709551615\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "gzip": b"Content-Encoding: gzip\r\n",
    "deflate": b"Content-Encoding: deflate\r\n",
    "br": b"Content-Encoding: br\r\n",
    "zstd": b"Content-Encoding: zstd\r\n",
    "upgrade": b"Upgrade: x\r\n",
    "expect": b"Expect: 100-continue\r\n",
    "last_chunk": b"0\r\n\r\n",
    "chunk": b"5\r\nabcde\r\n",
    "huge_chunk": b"ffffffffffffffff\r\n",
    "head_end": b"\r\n\r\n",
    "gzip_member": gzip.compress(b"x", mtime=0),
}
