"""What must be true of the bytes of every connection that is read as HTTP.

The parser of heads, llhttp, is another project's and not instrumented; what is held here is what
is made of its answers, and that decoding a body is bounded. An exception other than those that
are documented is a finding.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from daemonlogger_py.protocols import http_coding
from daemonlogger_py.protocols.http import Exchange, Message, Side, body

from .trial import pick

TAIL_BYTES = 16
LIMITS = (
    http_coding.Limits(most_bytes=1 << 20, ratio=100, floor_bytes=1 << 12),
    http_coding.Limits(most_bytes=100, ratio=1000, floor_bytes=1),
    http_coding.Limits(most_bytes=1 << 16, ratio=1, floor_bytes=0),
)


@dataclass(frozen=True, slots=True)
class HttpTrial:
    """One or both sides of a connection, with gaps; read from the end of an input."""

    sides: tuple[Side, ...]
    limits: http_coding.Limits

    @classmethod
    def of(cls, data: bytes) -> "HttpTrial":
        """Take an input apart; whatever is too short has nothing but the tail."""
        tail = data[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
        content = data[:-TAIL_BYTES]
        flags = tail[0]
        middle = (tail[1] | tail[2] << 8) % (len(content) + 1)
        parts = [content[:middle], content[middle:]] if flags & 1 else [content]
        sides = [
            side_of(
                part,
                tail[4 + 6 * number : 10 + 6 * number],
                from_start=not flags & 2 << number,
                to_end=not flags & 8 << number,
            )
            for number, part in enumerate(parts)
        ]
        if flags & 32:
            sides.reverse()
        return cls(tuple(sides), pick(LIMITS, tail[3]))


def side_of(data: bytes, numbers: bytes, *, from_start: bool, to_end: bool) -> Side:
    """A side with up to two gaps, whose bytes are NULs."""
    gaps: list[tuple[int, int]] = []
    at = 0
    for place in (0, 3):
        begin = at + (numbers[place] | numbers[place + 1] << 8)
        count = min(numbers[place + 2], len(data) - begin)
        if count <= 0:
            continue
        gaps.append((begin, count))
        data = data[:begin] + bytes(count) + data[begin + count :]
        at = begin + count + 1
    return Side(data, tuple(gaps), from_start, to_end)


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`."""
    trial = HttpTrial.of(data)
    exchange = Exchange(trial.sides)
    positions = [0] * len(trial.sides)
    numbers = [0] * len(trial.sides)
    for index, message in exchange:
        side = trial.sides[index]
        check_place(side, message, positions[index])
        assert message.number == numbers[index] + 1
        numbers[index] = message.number
        positions[index] = message.end
        check_certainty(side, message)
        check_body(side, message, trial.limits)
    check_endings(trial.sides, exchange, positions)


def check_place(side: Side, message: Message, position: int) -> None:
    """Messages lie one behind the other."""
    assert position <= message.start < message.body_start <= message.end <= len(side.data), message
    assert message.kind == "response" or message.status == 0
    assert not lost(side.gaps, message.start, message.body_start), "a head with a gap in it"


def lost(gaps: Sequence[tuple[int, int]], begin: int, end: int) -> bool:
    """Whether bytes of [begin, end) are missing."""
    return any(offset < end and offset + count > begin for offset, count in gaps)


def check_certainty(side: Side, message: Message) -> None:
    """What lacks bytes, or has a doubtful place, is never called complete without a word."""
    if lost(side.gaps, message.body_start, message.end):
        assert not message.complete
        assert message.problems
    if not message.complete:
        assert message.problems, message
    if message.framing == "none":
        assert message.end == message.body_start


def check_body(side: Side, message: Message, limits: http_coding.Limits) -> None:
    """A body is no longer than what it is made of; decoded, no longer than the limits."""
    sent = sum(len(piece) for piece in body(side, message))
    assert sent <= message.end - message.body_start
    whole = sum(len(piece) for piece in body(side, message, to_gap=True))
    assert whole <= sent
    applied = http_coding.codings(message.fields)
    if not applied or len(applied) > http_coding.MOST_CODINGS:
        return
    if not all(map(http_coding.known, applied)):
        return
    total = 0
    with contextlib.suppress(http_coding.CodingError):
        for piece in http_coding.decode(body(side, message, to_gap=True), applied, limits):
            total += len(piece)
    most = max(limits.floor_bytes, limits.ratio * whole)
    assert total <= min(limits.most_bytes, most)


def check_endings(sides: Sequence[Side], exchange: Exchange, positions: Sequence[int]) -> None:
    """Where reading ended early, it says where: behind the last message, and in the stream."""
    for side, ending, position in zip(sides, exchange.endings, positions, strict=True):
        if ending is not None:
            assert 0 <= ending.offset <= len(side.data)
            assert ending.offset >= position or lost(side.gaps, 0, position)
            assert ending.problem
