"""Chunks take what lies in a span of time, and sort it without changing the order of equals."""

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.order import LAST_KEY

from ...pcaps.make import Packet, file_header, record
from ...pcaps.parse import parse


def packets(*seconds: int) -> list[Packet]:
    return [Packet(second * 10**9, bytes([number])) for number, second in enumerate(seconds)]


def filled(given: list[Packet]) -> Buffer:
    buffer = Buffer(65536)
    buffer.clear(b"".join(record(one) for one in given))
    return buffer


def numbers(chunk: Chunk) -> list[int]:
    return [one.data[0] for one in parse(file_header() + bytes(memoryview(chunk))).records]


def test_an_empty_one_has_no_times() -> None:
    chunk = Chunk()
    chunk.settle()

    assert (len(chunk), chunk.packets, chunk.first_ns, chunk.last_ns) == (0, 0, LAST_KEY, 0)


def test_takes_what_is_within_the_span() -> None:
    chunk = Chunk()

    assert chunk.take(filled(packets(1, 2, 3, 4)), from_ns=2 * 10**9, to_ns=4 * 10**9) == 2
    assert numbers(chunk) == [1, 2]
    assert (chunk.first_ns, chunk.last_ns) == (2 * 10**9, 3 * 10**9)


def test_sorts_by_time_and_leaves_equals_as_they_came() -> None:
    chunk = Chunk()
    chunk.take(filled(packets(5, 3, 5, 1, 3)))
    chunk.settle()

    assert numbers(chunk) == [3, 1, 4, 0, 2]


def test_newest_first_is_exactly_the_other_way_around() -> None:
    chunk = Chunk()
    chunk.take(filled(packets(5, 3, 5, 1, 3)), reverse=True)
    chunk.settle(reverse=True)

    assert numbers(chunk) == [2, 0, 4, 1, 3]


def test_what_is_in_order_stays_as_it_is() -> None:
    chunk = Chunk()
    chunk.take(filled(packets(1, 1, 2, 9)))
    chunk.settle()

    assert numbers(chunk) == [0, 1, 2, 3]


def test_nanoseconds_are_not_taken_for_microseconds() -> None:
    chunk = Chunk(nanosecond=True)
    chunk.take(filled([Packet(10**9 + 7_000, b"x")]))

    assert chunk.first_ns == 10**9 + 7


def test_a_record_that_is_not_whole_is_left() -> None:
    buffer = Buffer(65536)
    buffer.clear(record(Packet(0, b"abc"))[:-1])
    chunk = Chunk()

    assert chunk.take(buffer) == 0


def test_does_not_change_while_it_is_read() -> None:
    chunk = Chunk()
    with memoryview(chunk), pytest.raises(BufferError):
        chunk.settle()
    with memoryview(chunk), pytest.raises(BufferError):
        chunk.take(filled(packets(1)))
