"""The head of an HTTP/1.x message (RFC 9112): start line and fields, read by llhttp (httptools).

llhttp says what is a head; where it ends is found here, since httptools does not tell how much of
what it was given it has used. A head is thus given to it whole, up to its blank line. Heads beyond
doubt, nearly all, are read by http_plain.pyx.
"""

import re
from collections.abc import Callable
from mmap import mmap
from typing import Literal, NamedTuple

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from daemonlogger_py.protocols.http_plain import plain_head

Bytes = bytes | bytearray | mmap  # what can be searched, and viewed without a copy
Kind = Literal["request", "response"]
Fields = tuple[tuple[bytes, bytes], ...]

# Of one head. Servers stop at 8 KiB (Apache, nginx) to 64 KiB; whoever sends more is not one of
# them, and a stream without line ends must not be searched again and again.
HEAD_BYTES = 1 << 18

# Any blank line, with CRLF or LF alone: there is no other end of a head for llhttp.
_BLANK_LINE = re.compile(rb"\n\r?\n")
_RESPONSE_LINE = re.compile(rb"HTTP/1\.[0-9] {1,8}([0-9]{3})[ \r\n]")
_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}) ([^\r\n]{1,65536}) HTTP/1\.[0-9][ \t]*\r?\n"
)
_FIELD_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
_LINE_END = re.compile(rb"\r?\n")
_BLANKS_BEFORE_COLON = re.compile(rb"(?<=\n)([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]++:")


class HeadError(ValueError):
    """There is no head; the text says why. `cut`: more bytes behind those given might make one."""

    def __init__(self, problem: str, *, cut: bool = False) -> None:
        super().__init__(problem)
        self.cut = cut


class Head(NamedTuple):
    """A head that was read whole."""

    end: int  # offset behind its blank line
    status: int  # of a response, else 0
    method: bytes  # of a request, else b""
    target: bytes
    fields: Fields
    repaired: str  # why it was read without some of its lines; "" as it stood


class _Reading:
    """What httptools calls for one head."""

    __slots__ = ("complete", "fields", "on_header")

    on_header: Callable[[bytes, bytes], None]

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.on_header = self._add

    def _add(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the blank line was reached."""
        self.complete = True


def begins(data: Bytes, offset: int, kind: Kind) -> bool:
    """Whether a message of this kind seems to begin there: it has a start line of HTTP/1.x."""
    line = _REQUEST_LINE if kind == "request" else _RESPONSE_LINE
    return line.match(data, offset) is not None


def kind_at(data: Bytes, offset: int) -> Kind | None:
    """Which message seems to begin there."""
    if begins(data, offset, "response"):
        return "response"
    return "request" if begins(data, offset, "request") else None


def read_head(data: Bytes, start: int, end: int, kind: Kind) -> Head:
    """Read the head that begins at `start`, of the bytes before `end`.

    What llhttp does not accept as it stands is read once more without what it objects to: an
    unknown method, a target with blanks, a version or blanks in a status line that are not
    expected, lines that are not fields, a Content-Length that is no number or is repeated with the
    same value. `Head.repaired` then has the objection. Raises HeadError.
    """
    plain = plain_head(data, start, min(end, start + HEAD_BYTES), kind == "request")
    if plain is not None:
        return Head._make(plain)
    line = (_REQUEST_LINE if kind == "request" else _RESPONSE_LINE).match(data, start, end)
    if line is None:
        cut = end - start < HEAD_BYTES and data.find(b"\n", start, end) < 0
        raise HeadError(f"there is no start line of a {kind}", cut=cut)
    blank = _BLANK_LINE.search(data, start, min(end, start + HEAD_BYTES))
    if blank is None:
        if end - start >= HEAD_BYTES:
            raise HeadError(f"its head has more than {HEAD_BYTES} bytes")
        raise HeadError("its head is not complete", cut=True)
    head_end = blank.end()
    head = bytes(data[start:head_end])
    if b"\r" not in head:
        head = head.replace(b"\n", b"\r\n")  # LF alone llhttp accepts in most places only
    # llhttp objects to some of these names and takes the blanks for a part of others, so that a
    # Content-Length would neither count nor be checked.
    if b" :" in head or b"\t:" in head:
        head = _BLANKS_BEFORE_COLON.sub(rb"\1:", head)
    objection = ""
    try:
        fields = _fields(head, kind)
    except HttpParserError as error:
        objection = str(error)
        try:
            fields = _fields(_repaired(head, kind), kind)
        except HttpParserError as again:
            raise HeadError(f"its head is damaged: {again}") from None
    if kind == "response":
        return Head(head_end, int(line[1]), b"", b"", fields, objection)
    return Head(head_end, 0, line[1], line[2], fields, objection)


def _fields(head: bytes, kind: Kind) -> Fields:
    reading = _Reading()
    parser = (HttpRequestParser if kind == "request" else HttpResponseParser)(reading)
    # Real messages are read, not guarded against: what browsers accept is accepted. The framing
    # that leniency could confuse is not llhttp's here, see `http`.
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_chunked_length=True,
        lenient_transfer_encoding=True,
        lenient_optional_cr_before_lf=True,
    )
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        pass  # the head is complete; the response says what comes of it
    except HttpParserError:
        # httptools takes llhttp's pause behind a 101 for an error where no field says Upgrade.
        if not (reading.complete and head[9:12] == b"101"):
            raise
    if not reading.complete:
        raise HttpParserError("its fields do not end")
    return tuple(reading.fields)


def _repaired(head: bytes, kind: Kind) -> bytes:
    lines = _LINE_END.split(head)
    if kind == "request":
        kept = [b"POST / HTTP/1.1"]
    else:
        kept = [b"HTTP/1.1 " + lines[0].partition(b" ")[2].lstrip(b" ")]
    lengths: set[bytes] = set()
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            # Different ones stay, and llhttp objects to them once more: which one holds is open.
            lengths.update(length.strip() for length in value.split(b","))
        elif _FIELD_LINE.match(line):
            kept.append(line)
    kept += [b"Content-Length: " + length for length in sorted(lengths) if length.isdigit()]
    return b"\r\n".join((*kept, b"", b""))
