"""Messages of HTTP/1.x (RFC 9112) out of the bytes of a connection.

`Exchange` reads both directions side by side, as whether a response has a body depends on its
request: responses are matched to requests in order, interim ones (1xx) to none. A message says
where it is in its stream and how its body is framed; `body` gives the body's bytes, transfer coding
undone, content coding not (that is `http_coding`). llhttp reads heads and chunks (`http_head`,
`http_chunked`); the framing in between follows RFC 9112, 6.3, here.

A stream may have gaps. A body that touches one is marked. If a gap takes away only data of a body
whose end is known, the messages behind it are as sure as any; if it takes away more, reading goes
on behind it at what looks like the start of a message, and all that follows is marked. So it is
behind bytes that are no HTTP, which the next message tells of. Where nothing looks like a message,
reading ends: nothing is ever silently wrong.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Literal, NamedTuple

from daemonlogger_py.protocols import http_chunked
from daemonlogger_py.protocols.gaps import Gap, behind_gap, index_at, lost_in, next_gap
from daemonlogger_py.protocols.http_head import (
    Bytes,
    Fields,
    Head,
    HeadError,
    Kind,
    kind_at,
    read_head,
)
from daemonlogger_py.protocols.http_plain import field
from daemonlogger_py.protocols.http_plain import framing as announced

Framing = Literal["none", "length", "chunked", "close", "tunnel"]

# What is tried behind a gap, or what is no HTTP, before giving up: data that holds many start lines
# is no stream of messages, but perhaps the text of some.
_CANDIDATES = 16
_PIECE_BYTES = 1 << 20
_START = b"HTTP/1."  # of a response
_LINE_ENDS = re.compile(rb"[\r\n]*")
_START_BEHIND_GAP = {
    "response": re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2}[ \r\n]"),
    "request": re.compile(
        rb"(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND)"
        rb" [^ \r\n]{1,8192} HTTP/1\.[01]\r?\n"
    ),
}
_NEXT_RESPONSE = re.compile(rb"[\r\n]*" + _START_BEHIND_GAP["response"].pattern)
_BEHIND_GAP = "what is before it was lost: its place and number are guessed"
_BEHIND_DAMAGE = "what is before it is not HTTP: its place and number are guessed"
_BEHIND_GUESS = "whether a message before it has a body was guessed, and so is its place"
_WITHOUT_BODY = frozenset((204, 304))


class Side(NamedTuple):
    """What one side of a connection sent."""

    data: Bytes
    gaps: Sequence[Gap] = ()  # ascending and apart, each with at least one byte
    from_start: bool = True  # the first byte is the first of the connection
    to_end: bool = True  # the last byte is the last before an orderly end (FIN)


class Unread(NamedTuple):
    """Where bytes begin that are not read as HTTP, and why."""

    offset: int
    problem: str


class Message(NamedTuple):
    """A request or a response. Offsets are those of its stream."""

    kind: Kind
    number: int  # in its stream, from 1; interim responses count
    start: int
    body_start: int  # behind the head
    end: int  # behind the last byte, or behind those that are known to be its
    method: bytes  # a response: of its request, going by their order; b"" if that is not there
    target: bytes  # likewise
    status: int  # of a response, else 0
    fields: Fields  # (name, value) as sent
    framing: Framing
    complete: bool  # all bytes of it are there
    problems: tuple[str, ...]  # what keeps it from being complete or sure, for people to read
    unread: Unread | None = None  # what is right before it


class Exchange:
    """The messages of a connection, from one or both of its sides.

    Iterating yields (index of the side, message), requests before the responses to them, each once.
    Sides that do not begin as HTTP/1.x yield nothing.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        kinds = [kind_at(side.data, 0) for side in sides]
        lost = [False] * len(sides)
        for index, side in enumerate(sides):
            other = kinds[1 - index] if len(sides) == 2 else None
            if kinds[index] is None and other is not None and _start_is_lost(side):
                kinds[index] = "request" if other == "response" else "response"
                lost[index] = True
        self._readers = [
            None if kind is None else _Reader(side, kind, start_is_lost=missing)
            for side, kind, missing in zip(sides, kinds, lost, strict=True)
        ]

    @property
    def endings(self) -> list[Unread | None]:
        """For each side, once all was yielded: what is behind its last message."""
        return [None if reader is None else reader.ending for reader in self._readers]

    def __iter__(self) -> Iterator[tuple[int, Message]]:
        by_kind = {reader.kind: reader for reader in self._readers if reader is not None}
        if len(by_kind) == 2:
            yield from self._paired(by_kind["request"], by_kind["response"])
            return
        for index, reader in enumerate(self._readers):
            while reader is not None and (message := reader.read(None)) is not None:
                yield index, message
                if message.framing == "tunnel":
                    break

    def _paired(self, requests: "_Reader", responses: "_Reader") -> Iterator[tuple[int, Message]]:
        asking = self._readers.index(requests)
        asked: list[Message] = []

        def next_request() -> Message | None:
            request = requests.read(None)
            if request is not None:
                asked.append(request)
            responses.certain = responses.certain and requests.certain
            return request

        while (response := responses.read(next_request)) is not None:
            for request in asked:
                yield asking, request
            asked.clear()
            yield 1 - asking, response
            if response.framing == "tunnel":
                return
        while (rest := requests.read(None)) is not None:
            yield asking, rest


def body(
    side: Side, message: Message, *, to_gap: bool = False
) -> Generator[bytes | memoryview, None, None]:
    """Yield the body in pieces of up to 1 MiB, chunked coding undone, content coding not.

    In the place of lost bytes is what `side.data` has there, NULs within chunks; with `to_gap` the
    body ends before the first of them. A memoryview keeps a mapped file from being closed.
    """
    begin, end = message.body_start, message.end
    if message.framing in ("none", "tunnel"):
        return
    gaps = side.gaps[index_at(side.gaps, begin) :]
    if to_gap and gaps:
        end = max(begin, min(end, gaps[0][0]))
        gaps = ()
    if message.framing == "chunked":
        yield from http_chunked.decoded(side.data, begin, end, gaps)
        return
    with memoryview(side.data) as view:
        for offset in range(begin, end, _PIECE_BYTES):
            yield view[offset : min(end, offset + _PIECE_BYTES)]


class _Reader:
    """Reads the messages of one side, one after the other."""

    __slots__ = (
        "_position", "_problem", "_side", "_switching", "_try_last", "_unread", "certain", "ending",
        "kind", "number",
    )  # fmt: skip

    def __init__(self, side: Side, kind: Kind, *, start_is_lost: bool) -> None:
        self.kind = kind
        self.number = 0
        self.certain = side.from_start  # no message before the position was missed
        self.ending: Unread | None = None
        self._side = side
        self._position = 0
        self._problem = ""  # of all messages from here on
        self._try_last = True  # once: each time, it looks at all that is left
        self._switching = False  # a request asked for another protocol than HTTP
        self._unread: Unread | None = None  # what is right before the position
        if start_is_lost:
            self._resume_behind_gap(0)

    def read(self, next_request: Callable[[], Message | None] | None) -> Message | None:
        """Return the next message, or None if there is no more; `ending` may then say why.

        `next_request` gives the request to a response.
        """
        data, gaps = self._side.data, self._side.gaps
        while self.ending is None:
            limit = next_gap(gaps, self._position, len(data))
            if self._position < limit and data[self._position] in b"\r\n":
                self._skip_line_ends(limit)
            if self._position >= len(data):
                return None
            if self._position >= limit:
                self._resume_behind_gap(self._position)
                continue
            try:
                head = read_head(data, self._position, limit, self.kind)
            except HeadError as error:
                if error.cut and limit < len(data):
                    self._resume_behind_gap(limit)
                elif self._switching:
                    return None
                else:
                    self._pass_over(f"is not read as HTTP: {error}")
                continue
            return self._message(head, next_request)
        return None

    def _skip_line_ends(self, limit: int) -> None:
        if (match := _LINE_ENDS.match(self._side.data, self._position, limit)) is not None:
            self._position = match.end()

    def _message(self, head: Head, next_request: Callable[[], Message | None] | None) -> Message:
        self.number += 1
        problems = [self._problem] if self._problem else []
        if head.repaired:
            problems.append(f"its head was repaired: {head.repaired}")
        framing: Framing
        framing, length = announced(head.fields)
        method, target = head.method, head.target
        request = None
        if self.kind == "request":
            framing = self._request_framing(head, framing, length, problems)
        else:
            if next_request is not None and (head.status >= 200 or head.status == 101):
                request = next_request()
            framing = self._response_framing(head, request, framing, length, problems)
            if request is not None:
                method, target = request.method, request.target
        start, unread = self._position, self._unread
        self._unread = None
        end, complete = self._end(head.end, framing, length, problems)
        return Message(
            self.kind, self.number, start, head.end, end, method, target, head.status, head.fields,
            framing, complete, tuple(problems), unread,
        )  # fmt: skip

    def _request_framing(
        self, head: Head, framing: Framing, length: int, problems: list[str]
    ) -> Framing:
        self._switching = head.method == b"CONNECT" or bool(field(head.fields, b"upgrade"))
        if head.method == b"CONNECT" or framing == "close":
            return "none"  # RFC 9112, 6.3: a request without a length has no body
        if field(head.fields, b"expect") and self._body_is_missing(head.end, framing, length):
            problems.append("its body was not sent: another request is in its place")
            return "none"
        return framing

    def _body_is_missing(self, start: int, framing: Framing, length: int) -> bool:
        """Whether another request is where a body was announced, and none behind that."""
        data, is_request = self._side.data, _START_BEHIND_GAP["request"].match
        if is_request(data, start) is None:
            return False
        end = start + length
        return (
            framing != "length"
            or end > len(data)
            or (end < len(data) and is_request(data, end) is None)
        )

    def _response_framing(
        self,
        head: Head,
        request: Message | None,
        framing: Framing,
        length: int,
        problems: list[str],
    ) -> Framing:
        if head.status == 101:
            return "tunnel"
        if head.status < 200 or head.status in _WITHOUT_BODY:
            return "none"
        method = b"" if request is None else request.method
        known = request is not None and self.certain
        if method == b"CONNECT" and head.status < 300 and (known or framing == "close"):
            return "tunnel"
        if known:
            return "none" if method == b"HEAD" else framing
        # Which request this answers is not known for sure. A response in the place of the body
        # tells that there is none, and so does the end if the request seems to be a HEAD.
        if method == b"HEAD" and head.end >= len(self._side.data):
            return "none"
        if (framing != "length" or length) and _NEXT_RESPONSE.match(self._side.data, head.end):
            problems.append("its request is not known: another response is in place of its body")
            self._problem = _BEHIND_GUESS
            return "none"
        if (framing != "length" or length) and not self._is_visible(head.end):
            problems.append("its request is not known, nor for sure that it has a body")
            self._problem = self._problem or _BEHIND_GUESS
            return framing
        if framing == "close":
            problems.append("its request is not known")
        return framing

    def _is_visible(self, start: int) -> bool:
        """Whether it can be told if a response begins there: no bytes are lost there."""
        data = self._side.data
        limit = next_gap(self._side.gaps, start, len(data))
        match = _LINE_ENDS.match(data, start, limit)
        behind = start if match is None else match.end()
        seen = data[behind : min(limit, behind + len(_START))]
        return limit >= len(data) or (seen != b"" and not _START.startswith(seen))

    def _end(
        self, start: int, framing: Framing, length: int, problems: list[str]
    ) -> tuple[int, bool]:
        """Where a message ends whose body begins at `start`, and whether all of it is there."""
        side, size = self._side, len(self._side.data)
        self._position = start
        if framing in ("none", "tunnel"):
            return start, True
        if framing == "chunked":
            return self._end_of_chunks(start, problems)
        end = size if framing == "close" else start + length
        complete = True
        if end > size:
            problems.append(f"{end - size} of its {length} bytes are not there")
            complete = False
        elif framing == "close" and not side.to_end:
            problems.append("the end of the connection was not seen")
            complete = False
        self._position = min(end, size)
        lost = _note_lost(side.gaps, start, self._position, problems)
        return self._position, complete and not lost

    def _end_of_chunks(self, start: int, problems: list[str]) -> tuple[int, bool]:
        gaps = self._side.gaps
        if self._try_last and index_at(gaps, start) == len(gaps):
            end = http_chunked.find_last_end(self._side.data, start)
            if end is not None:
                self._position = end
                return end, True
            self._try_last = False
        extent = http_chunked.find_end(self._side.data, start, gaps[index_at(gaps, start) :])
        self._position = extent.end
        lost = _note_lost(gaps, start, extent.end, problems)
        if extent.problem:
            problems.append(extent.problem)
        if extent.damaged and lost:
            # It broke at the last gap: what is behind it is no longer known to be this body.
            self._position = max(start, gaps[bisect_left(gaps, (extent.end, 0)) - 1][0])
        elif extent.damaged:
            # The slice ends behind a blank line, which may be that of the next head.
            self._guess(_BEHIND_DAMAGE)
            begin = self._next_start(extent.intact, extent.end)
            self._position = extent.end if begin is None else begin
        return self._position, not lost and not extent.problem

    def _resume_behind_gap(self, position: int) -> None:
        """Go on at what seems to be the first message behind the gap at `position`, or end."""
        self._guess(_BEHIND_GAP)
        begin = self._next_start(behind_gap(self._side.gaps, position), len(self._side.data))
        if begin is None:
            problem = "is behind lost bytes, and no message seems to begin there"
            self.ending = Unread(self._position, problem)
        else:
            self._position = begin

    def _pass_over(self, problem: str) -> None:
        """Go on at what seems to be the next message behind what is none, or end."""
        self._guess(_BEHIND_DAMAGE)
        begin = self._next_start(self._position + 1, len(self._side.data))
        unread = Unread(self._position, problem)
        if begin is None:
            self.ending = unread
        else:
            self._unread = unread
            self._position = begin

    def _guess(self, problem: str) -> None:
        """All that is read from here on has a problem."""
        self.certain = False
        self._problem = problem

    def _next_start(self, position: int, end: int) -> int | None:
        """Where the first message seems to begin in [position, end)."""
        data, gaps = self._side.data, self._side.gaps
        for _ in range(_CANDIDATES):
            match = _START_BEHIND_GAP[self.kind].search(data, position, end)
            if match is None:
                return None
            begin = match.start()
            try:
                read_head(data, begin, next_gap(gaps, begin, len(data)), self.kind)
            except HeadError:
                position = begin + 1
                continue
            return begin
        return None


def _start_is_lost(side: Side) -> bool:
    return not side.from_start or bool(side.gaps and side.gaps[0][0] == 0)


def _note_lost(gaps: Sequence[Gap], begin: int, end: int, problems: list[str]) -> bool:
    """Whether bytes of [begin, end) are lost, which is then added to the problems."""
    lost, first = lost_in(gaps, begin, end)
    if lost:
        problems.append(f"{lost} bytes are lost, the first at {first - begin} of its body")
    return lost > 0
