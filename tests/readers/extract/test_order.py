"""Chunks come out in one order, through memory and through spilled files, as pcap and pcapng."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.order import LAST_KEY, Merger

from ...pcaps.make import NANOSECONDS, Packet, file_header, record
from ...pcaps.parse import parse

LAST_NUMBER = (1 << 32) - 1


def chunk_of(packets: list[Packet], *, nanosecond: bool = False, reverse: bool = False) -> Chunk:
    buffer = Buffer(1 << 20)
    magic = NANOSECONDS if nanosecond else 0xA1B2C3D4
    buffer.clear(b"".join(record(one, magic=magic) for one in packets))
    chunk = Chunk(nanosecond=nanosecond)
    chunk.take(buffer, reverse=reverse)
    chunk.settle(reverse=reverse)
    return chunk


def merged(merger: Merger, key: int = LAST_KEY, number: int = LAST_NUMBER) -> bytes:
    out = Buffer(1 << 20)
    data = b""
    while True:
        whole = merger.whole(key, number, LAST_KEY)
        if whole is not None:
            data += bytes(memoryview(whole))
            continue
        if not merger.merge(out, key, number, LAST_KEY):
            return data
        data += bytes(memoryview(out))
        out.clear()


@pytest.fixture
def spill_fd() -> Iterator[int]:
    fd = os.memfd_create("spilled")
    yield fd
    os.close(fd)


savefiles = st.lists(
    st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=4), min_size=1, max_size=5
)


@given(savefiles=savefiles, reverse=st.booleans(), spills=st.sets(st.integers(0, 19)))
def test_the_order_is_that_of_a_stable_sort(
    savefiles: list[list[list[int]]], reverse: bool, spills: set[int]
) -> None:
    fd = os.memfd_create("spilled")
    merger = Merger(reverse=reverse)
    expected: list[tuple[int, bytes]] = []
    added = 0
    for number, chunks in enumerate(savefiles):
        for sequence, seconds in enumerate(chunks):
            packets = [
                Packet(second * 10**9, bytes([number, sequence, at]))
                for at, second in enumerate(seconds)
            ]
            expected += [(one.time_ns, one.data) for one in packets]
            chunk = chunk_of(packets, reverse=reverse)
            sign = -1 if reverse else 1
            place = len(savefiles) - 1 - number if reverse else number
            merger.add(chunk, place, sign * sequence, 0)
            added += 1
            if added in spills:
                merger.spill(fd)
                assert merger.held_bytes == 0
    data = merged(merger)
    os.close(fd)

    expected.sort(key=lambda one: one[0])
    found = [one.data for one in parse(file_header() + data).records]
    assert found == [data for _, data in (expected[::-1] if reverse else expected)]
    assert merger.runs == 0
    assert merger.held_bytes == 0


def test_nothing_beyond_the_bound() -> None:
    merger = Merger()
    merger.add(chunk_of([Packet(at * 10**9, bytes([at])) for at in range(5)]), 3, 1, 0)
    first = merged(merger, 2 * 10**9, 2)
    second = merged(merger, 2 * 10**9, 3)

    assert [one.data[0] for one in parse(file_header() + first).records] == [0, 1]
    assert [one.data[0] for one in parse(file_header() + second).records] == [2]


def test_no_more_than_asked_for() -> None:
    merger = Merger()
    merger.add(chunk_of([Packet(at, b"x") for at in range(5)]), 0, 1, 0)
    out = Buffer(4096)

    assert merger.merge(out, LAST_KEY, 0, 3) == 3
    assert merger.merge(out, LAST_KEY, 0, 3) == 2
    assert merger.merge(out, LAST_KEY, 0, 3) == 0


def test_a_chunk_that_nothing_interrupts_is_given_as_it_is() -> None:
    merger = Merger()
    large = chunk_of([Packet(at * 1000, bytes(100)) for at in range(1000)])
    merger.add(large, 0, 1, 0)
    merger.add(chunk_of([Packet(10**9, b"x")]), 1, 1, 0)

    assert merger.whole(LAST_KEY, LAST_NUMBER, 999) is None
    assert merger.whole(500_000, LAST_NUMBER, LAST_KEY) is None
    assert merger.whole(LAST_KEY, LAST_NUMBER, 1000) is large
    assert merger.whole(LAST_KEY, LAST_NUMBER, 1000) is None
    assert merger.runs == 1


def test_one_that_is_interrupted_is_not() -> None:
    merger = Merger()
    merger.add(chunk_of([Packet(at * 1000, bytes(100)) for at in range(1000)]), 0, 1, 0)
    merger.add(chunk_of([Packet(500_500, b"x")]), 1, 1, 0)

    assert merger.whole(LAST_KEY, LAST_NUMBER, LAST_KEY) is None


@pytest.mark.parametrize("nanosecond", [False, True])
def test_times_get_the_resolution_of_the_output(nanosecond: bool) -> None:
    packets = [Packet(10**9 + 5_000, b"a"), Packet(10**9 + 7_000, b"b")]
    merger = Merger(nanosecond=nanosecond)
    merger.add(chunk_of(packets[:1], nanosecond=not nanosecond), 0, 1, 0)
    merger.add(chunk_of(packets[1:], nanosecond=nanosecond), 1, 1, 0)
    magic = NANOSECONDS if nanosecond else 0xA1B2C3D4

    assert merged(merger) == b"".join(record(one, magic=magic) for one in packets)


def test_a_packet_longer_than_the_output_buffer() -> None:
    packets = [Packet(1000, b"first"), Packet(2000, bytes(9000))]
    merger = Merger()
    merger.add(chunk_of(packets), 0, 1, 0)
    out = Buffer(4096)

    assert merger.merge(out, LAST_KEY, 0, LAST_KEY) == 1
    out.clear()
    assert merger.merge(out, LAST_KEY, 0, LAST_KEY) == 1
    assert len(out) == 9016


def test_blocks_of_pcapng_hold_padding_and_both_lengths() -> None:
    merger = Merger(pcapng=True)
    merger.add(chunk_of([Packet(10**9 + 3000, b"abcde", 70)]), 0, 1, 2)
    data = merged(merger)

    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, 28, 4)]
    assert words == [6, 40, 2, 0, 1_000_003, 5, 70]
    assert data[28:36] == b"abcde\0\0\0"
    assert data[36:] == (40).to_bytes(4, "little")


def test_kinds_may_be_described_when_all_of_them_are_known(spill_fd: int) -> None:
    merger = Merger()
    for kind in (0, 1, 3):
        merger.add(chunk_of([Packet(10**9 + kind * 1000, b"abcd")]), kind, 1, kind)
    merger.spill(spill_fd)
    merger.add(chunk_of([Packet(10**9 + 9000, b"abcd")]), 9, 1, 2)
    merger.write_as(pcapng=True, nanosecond=False)
    for kind, interface in ((1, 0), (3, 7), (0, 5)):
        merger.describe(kind, interface)
    data = merged(merger)

    found = [int.from_bytes(data[at + 8 : at + 12], "little") for at in range(0, len(data), 36)]
    assert found == [5, 0, 7, 2]


def test_a_spilled_file_that_is_gone_is_an_error(spill_fd: int) -> None:
    merger = Merger()
    packets = [Packet(at * 1000, bytes(2000)) for at in range(400)]
    merger.add(chunk_of(packets), 0, 1, 0)
    assert merger.spill(spill_fd) > 800_000
    os.ftruncate(spill_fd, 300_000)

    with pytest.raises(StorageError, match="temporary file"):
        merged(merger)


def test_spilling_nothing_does_nothing(spill_fd: int) -> None:
    merger = Merger()

    assert merger.spill(spill_fd) == 0
    assert merger.runs == 0
