"""HTTP conversations over TCP, as plans: which bytes each side says, and in which packets.

A plan holds a handshake, requests and responses, retransmissions (some cut anew), segments that
come late, acknowledgements and an end. It knows neither addresses nor sequence numbers; how it
becomes packets is left to streams_load.py. Pure and deterministic, but that a body's compressed
form is zlib's own.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.load import scramble

MSS = 1428
"""Payload bytes of a full segment: 1500 less the headers of IPv6 and of TCP with time stamps."""

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLIENT, SERVER = 0, 1
TOKEN = b"0000000000"
"""Stands in each request and response for the number of the flow, which makes its bytes unique."""

_WORDS = 2_000
_FORM = "application/x-www-form-urlencoded"
_CHUNK_BYTES = 8_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """What conversations are like."""

    ipv6_percent: int = 20
    retransmitted_permille: int = 10
    late_permille: int = 10
    wrapping_percent: int = 1  # of servers' streams: their sequence numbers begin near 2^32
    active: int = 64  # flows at a time
    padded: bool = False  # no TCP options, and Ethernet frames padded to 60 bytes
    difficult: bool = False  # what HTTP allows and tcpflow 1.6.1 gets wrong
    largest_bytes: int = 1 << 20  # of a body
    seed: int = 1


class Body(NamedTuple):
    """The body of one message, as it is once decoded."""

    side: int  # that sent it
    number: int  # of the message among all of its stream, from 1
    offset: int  # of the body in its stream, as it is sent
    size_bytes: int
    md5: str  # empty where the body tells the number of the flow: it is then not encoded
    content_type: str
    encoding: str


class Segment(NamedTuple):
    """One packet of a plan; offsets count from the first byte behind the SYN."""

    side: int
    offset: int
    length: int
    flags: int
    acknowledged: int  # offset in the other stream
    delay_us: int  # after the packet before


class Plan(NamedTuple):
    """A conversation: the bytes of both streams, the packets that carry them, the bodies."""

    streams: tuple[bytes, bytes]
    segments: tuple[Segment, ...]
    bodies: tuple[Body, ...]


class Dice:
    """Well-mixed numbers (splitmix64), the same on every machine for one seed."""

    def __init__(self, seed: int) -> None:
        self._salt = seed & 0xFFFF_FFFF
        self._next = 0

    def below(self, limit: int) -> int:
        """Return a whole number from 0, less than limit."""
        self._next += 1
        return int(scramble(np.array([self._next]), self._salt)[0]) % limit

    def happens(self, permille: int) -> bool:
        """Return True so often of a thousand times."""
        return self.below(1000) < permille

    def noise(self, count: int) -> bytes:
        """Return bytes that do not compress."""
        first, blocks = self._next + 1, count // 8 + 1
        self._next += blocks
        mixed = scramble(np.arange(first, first + blocks), self._salt)
        return mixed.astype("<u8").tobytes()[:count]

    def text(self, count: int) -> bytes:
        """Return words that compress as a page does."""
        words = _words()
        chosen = np.frombuffer(self.noise(2 * (count // 5 + 1)), "<u2")
        return b" ".join([words[value % _WORDS] for value in chosen.tolist()])[:count]


@functools.cache
def _words() -> list[bytes]:
    letters = Dice(0).noise(_WORDS * 10)
    return [
        bytes(97 + value % 26 for value in letters[at : at + 2 + letters[at] % 9])
        for at in range(0, len(letters), 10)
    ]


def _identity(body: bytes) -> bytes:
    return body


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def _gzip_members(body: bytes) -> bytes:
    half = len(body) // 2
    return gzip.compress(body[:half], mtime=0) + gzip.compress(body[half:], mtime=0)


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


class _Content(NamedTuple):
    content_type: str
    encoding: str
    encode: Callable[[bytes], bytes]
    text: bool


_CONTENTS = (
    _Content("text/html; charset=utf-8", "gzip", _gzip, True),
    _Content("application/octet-stream", "", _identity, False),
    _Content("text/html", "", _identity, True),
    _Content("application/zip", "", _identity, False),
)
_DIFFICULT = (
    *_CONTENTS,
    _Content("application/json", "deflate", zlib.compress, True),
    _Content("text/css", "deflate", _raw_deflate, True),
    _Content("text/plain", "gzip", _gzip_members, True),
)


class _Speech:
    """What both sides say, message by message."""

    def __init__(self, number: int, traffic: Traffic, dice: Dice) -> None:
        self.turns: list[tuple[int, bytes]] = []
        self.bodies: list[Body] = []
        self._messages = [0, 0]
        self._said_bytes = [0, 0]
        self._number, self._traffic, self._dice = number, traffic, dice
        for exchange in range(1 + (dice.below(3) == 0) + (dice.below(8) == 0)):
            self._exchange(exchange)

    def _exchange(self, exchange: int) -> None:
        difficult = self._traffic.difficult
        kind = self._number % 8 if difficult and exchange == 0 else 0
        method = {1: b"HEAD", 2: b"POST", 3: b"PUT"}.get(kind, b"POST" if exchange == 2 else b"GET")
        form = b""
        if method in (b"POST", b"PUT"):
            form = b"user=%s&text=" % TOKEN + self._dice.text(200)
        self._request(method, exchange, form)
        if kind == 4:
            self._say(SERVER, b"HTTP/1.1 103 Early Hints\r\nX-Flow: %s\r\n\r\n" % TOKEN)
        if kind == 5:
            self._say(SERVER, b"HTTP/1.1 304 Not Modified\r\nX-Flow: %s\r\n\r\n" % TOKEN)
            self._request(b"GET", exchange, b"")
        self._response(exchange, head=method == b"HEAD")
        if kind == 1:
            # What follows a HEAD's response shows whether its length was taken for a body's.
            self._request(b"GET", exchange, b"")
            self._response(exchange, head=False)

    def _request(self, method: bytes, exchange: int, form: bytes) -> None:
        lines = [
            b"%s /p%d/r%d?id=%s HTTP/1.1" % (method, self._number, exchange, TOKEN),
            b"Host: s%d.example.net" % (self._number % 60),
            b"User-Agent: bench/1",
            b"Accept-Encoding: gzip, deflate",
        ]
        if form:
            lines.append(b"Content-Type: " + _FORM.encode())
            lines.append(b"Content-Length: %d" % len(form))
        self._say(CLIENT, b"\r\n".join(lines) + b"\r\n\r\n" + form)
        if form:
            self._body(CLIENT, len(form), Body(0, 0, 0, len(form), "", _FORM, ""))

    def _response(self, exchange: int, *, head: bool) -> None:
        contents = _DIFFICULT if self._traffic.difficult else _CONTENTS
        content = contents[(self._number + exchange) % len(contents)]
        size = self._size_bytes()
        body = self._dice.text(size) if content.text else self._dice.noise(size)
        wire = content.encode(body)
        lines = [
            b"HTTP/1.1 200 OK",
            b"Server: bench/1",
            b"X-Flow: " + TOKEN,
            b"Content-Type: " + content.content_type.encode(),
        ]
        if content.encoding:
            lines.append(b"Content-Encoding: " + content.encoding.encode())
        if exchange == 1:
            lines.append(b"Transfer-Encoding: chunked")
            wire = _chunked(wire)
        else:
            lines.append(b"Content-Length: %d" % len(wire))
        self._say(SERVER, b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head else wire))
        if not head:
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            about = content.content_type, content.encoding
            self._body(SERVER, len(wire), Body(0, 0, 0, len(body), digest, *about))

    def _size_bytes(self) -> int:
        """Most bodies are small, most bytes are in large ones."""
        dice = self._dice
        least = 1024 << dice.below(7) if dice.happens(880) else 16_384 << dice.below(6)
        return min(self._traffic.largest_bytes, least + dice.below(least))

    def _say(self, side: int, message: bytes) -> None:
        self._messages[side] += 1
        self._said_bytes[side] += len(message)
        self.turns.append((side, message))

    def _body(self, side: int, wire_bytes: int, body: Body) -> None:
        """Note the body of the message said last, which it ends with."""
        offset = self._said_bytes[side] - wire_bytes
        self.bodies.append(body._replace(side=side, number=self._messages[side], offset=offset))


def _chunked(wire: bytes) -> bytes:
    parts = [wire[at : at + _CHUNK_BYTES] for at in range(0, len(wire), _CHUNK_BYTES)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class _Segments:
    """Turns cut into segments, as they pass the point where they are recorded."""

    def __init__(self, traffic: Traffic, dice: Dice) -> None:
        self.made: list[Segment] = []
        self._traffic, self._dice = traffic, dice
        self._said = [0, 0]

    def _add(self, side: int, offset: int, length: int, flags: int, acknowledged: int) -> None:
        delay_us = 20 + self._dice.below(880)
        self.made.append(Segment(side, offset, length, flags, acknowledged, delay_us))

    def handshake(self) -> None:
        self._add(CLIENT, -1, 0, SYN, 0)
        self._add(SERVER, -1, 0, SYN | ACK, 0)
        self._add(CLIENT, 0, 0, ACK, 0)

    def turn(self, side: int, length: int) -> None:
        """Let one side say so many bytes; the other acknowledges every second segment."""
        begin, end = self._said[side], self._said[side] + length
        heard = self._said[1 - side]
        missing = set(range(begin, end, MSS))
        for count, (offset, size) in enumerate(self._order(begin, end)):
            push = PSH if offset + size == end else 0
            self._add(side, offset, size, ACK | push, heard)
            missing.discard(offset)
            if count % 2:
                self._add(1 - side, heard, 0, ACK, min(missing, default=end))
        self._said[side] = end
        self._add(1 - side, heard, 0, ACK, end)

    def _order(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Offsets and sizes in the order in which they pass, with what is sent twice."""
        traffic, dice = self._traffic, self._dice
        order = [(at, min(MSS, end - at)) for at in range(begin, end, MSS)]
        for place in range(len(order) - 1):
            if dice.happens(traffic.late_permille):
                order.insert(min(len(order), place + 1 + dice.below(3)), order.pop(place))
        for place in range(len(order) - 1, -1, -1):
            if len(order) > 1 and dice.happens(traffic.retransmitted_permille):
                again = order[place]
                if dice.happens(200):  # cut anew
                    at = again[0] + dice.below(again[1])
                    again = at, min(MSS, end - at)
                order.insert(place + 2 + dice.below(5), again)
        return order

    def end(self, kind: int) -> None:
        """Close: by the client first, with the server's last segment, or by a reset."""
        client, server = self._said
        if kind == 1:
            last = max(place for place, one in enumerate(self.made) if one.side and one.length)
            if self.made[last].offset + self.made[last].length == server:
                self.made[last] = self.made[last]._replace(flags=FIN | PSH | ACK)
                self._add(CLIENT, client, 0, FIN | ACK, server + 1)
                self._add(SERVER, server + 1, 0, ACK, client + 1)
                return
        if kind == 2:
            self._add(CLIENT, client, 0, RST | ACK, server)
            return
        self._add(CLIENT, client, 0, FIN | ACK, server)
        self._add(SERVER, server, 0, FIN | ACK, client + 1)
        self._add(CLIENT, client + 1, 0, ACK, server + 1)


def plan(number: int, traffic: Traffic) -> Plan:
    """Make the plan of this number."""
    dice = Dice(traffic.seed * 100_003 + number)
    speech = _Speech(number, traffic, dice)
    segments = _Segments(traffic, dice)
    segments.handshake()
    for side, message in speech.turns:
        segments.turn(side, len(message))
    segments.end(number % 5)
    return Plan(
        (_said(speech.turns, CLIENT), _said(speech.turns, SERVER)),
        tuple(segments.made),
        tuple(speech.bodies),
    )


def _said(turns: Sequence[tuple[int, bytes]], by: int) -> bytes:
    return b"".join(message for side, message in turns if side == by)
