"""Budgets of a fill are exact to the record, whatever the records, buffers and reasons."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop

from ..pcaps import make
from ..pcaps.parse import Record, parse
from .reading import MANY, drain, fill, records_of, source_on

ODD = "ether[0] & 1 = 1"
LARGEST = 262144
START_S = 1_700_000_000

sizes = st.one_of(
    st.integers(0, 3), st.integers(0, 2000), st.integers(60_000, 70_000), st.just(LARGEST)
)


@st.composite
def packets(draw: st.DrawFn) -> list[make.Packet]:
    """Up to 40 packets, few of them large, whose times go forth and sometimes back."""
    found = []
    now_ns = START_S * 10**9
    large = 2
    for size in draw(st.lists(sizes, max_size=40)):
        if size > 2000:
            if not large:
                continue
            large -= 1
        now_ns += draw(st.sampled_from([0, 1000, 999_000, 10**9, -2000]))
        first = draw(st.integers(0, 255))
        more = draw(st.sampled_from([0, 0, 1, 5000]))
        found.append(make.Packet(now_ns, bytes([first]) * size, size + more))
    return found


class Budgets:
    """The budgets of one fill, and what of `records` they let through."""

    def __init__(self, bytes_left: int, packets_left: int, until_ns: int) -> None:
        self.bytes_left = bytes_left
        self.packets_left = packets_left
        self.until_ns = until_ns

    def takes(self, records: list[Record], times_ns: list[int]) -> tuple[int, Stop]:
        """How many of the records a buffer without bounds would take, and why no more."""
        size = 0
        for count, (record, time_ns) in enumerate(zip(records, times_ns, strict=True), 1):
            if time_ns >= self.until_ns:
                return count - 1, Stop.TIME
            size += 16 + len(record.data)
            if size >= self.bytes_left:
                return count, Stop.SIZE
            if count >= self.packets_left:
                return count, Stop.PACKETS
        return len(records), Stop.END


@st.composite
def budgets(draw: st.DrawFn) -> Budgets:
    return Budgets(
        draw(st.sampled_from([MANY, MANY, 1, 16, 17, 3000]) | st.integers(1, 300_000)),
        draw(st.sampled_from([MANY, MANY, 1]) | st.integers(1, 20)),
        draw(
            st.just(NEVER_NS)
            | st.integers(START_S * 10**9, (START_S + 9) * 10**9)
            | st.sampled_from([START_S * 10**9 + 1000, (START_S + 1) * 10**9])
        ),
    )


def converted(records: list[Record], snaplen: int, nanosecond: bool) -> Iterator[Record]:
    for record in records:
        fraction = record.fraction * (1000 if nanosecond else 1)
        yield record._replace(
            fraction=fraction, data=record.data[:snaplen] if snaplen else record.data
        )


def is_odd(record: Record) -> bool:
    """What the filter ODD says, in Python; a packet too short to look at is refused."""
    return len(record.data) > 0 and record.data[0] & 1 == 1


@given(
    held=packets(),
    order=st.sampled_from("<>"),
    filtered=st.booleans(),
    own_snaplen=st.sampled_from([262144, 262144, 65535, 50]),
    snaplen=st.sampled_from([0, 0, 1, 100, 65535]),
    nanosecond=st.booleans(),
    fills=st.lists(st.tuples(budgets(), st.booleans()), max_size=12),
    capacity=st.sampled_from([4096, 65536, 65537, 100_000, 1 << 19]),
    lead=st.binary(max_size=64),
)
def test_fills(
    held: list[make.Packet],
    order: str,
    filtered: bool,
    own_snaplen: int,
    snaplen: int,
    nanosecond: bool,
    fills: list[tuple[Budgets, bool]],
    capacity: int,
    lead: bytes,
) -> None:
    data = make.classic(held, order=order, snaplen=own_snaplen)
    accepted = [r for r in parse(data).records if not filtered or is_odd(r)]
    expected = list(converted(accepted, min(snaplen or own_snaplen, own_snaplen), nanosecond))
    times_ns = [r.seconds * 10**9 + r.fraction * (1 if nanosecond else 1000) for r in expected]
    begun = 0
    text = ODD if filtered else ""
    with source_on(data, filter_text=text, snaplen=snaplen, nanosecond=nanosecond) as source:
        buffer = Buffer(capacity)
        for budget, clears in fills:
            if clears:
                buffer.clear(lead)
            begun += one_fill(source, buffer, budget, expected[begun:], times_ns[begun:])
        taken, reason = drain(source, capacity)

        assert reason is Stop.END
        assert records_of(source, taken) == expected[begun:]
        assert source.counters().received == len(expected)


def one_fill(
    source: FileSource,
    buffer: Buffer,
    budget: Budgets,
    expected: list[Record],
    times_ns: list[int],
) -> int:
    """Fill once and judge it; returns how many records that took."""
    before = bytes(buffer)
    packets_before, first_before = buffer.packets, buffer.first_ns
    reason = fill(
        source,
        buffer,
        bytes_left=budget.bytes_left,
        packets_left=budget.packets_left,
        until_ns=budget.until_ns,
    )
    count = buffer.packets - packets_before
    most, why = budget.takes(expected, times_ns)
    assert bytes(buffer)[: len(before)] == before
    assert records_of(source, bytes(buffer)[len(before) :]) == expected[:count]
    if reason is Stop.FULL:
        assert buffer.packets > 0
        # What reaches a budget is the last record; a buffer can only be full before that.
        assert count < most or (count == most and why in (Stop.END, Stop.TIME))
    else:
        assert (count, reason) == (most, why)
    assert source.next_ns == (times_ns[count] if reason is Stop.TIME else None)
    if count:
        assert buffer.last_ns == times_ns[count - 1]
        assert buffer.first_ns == (first_before if packets_before else times_ns[0])
        assert buffer.waiting_since_ns > 0
    return count


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("filter_text", ["", "greater 1"])
@pytest.mark.parametrize("kept", [0, 1, 5])
def test_record_at_the_time_budget_stays_behind(order: str, filter_text: str, kept: int) -> None:
    held = make.stamped([bytes([i]) * 50 for i in range(9)], step_ns=10**9)
    until_ns = held[kept].time_ns
    with source_on(make.classic(held, order=order), filter_text=filter_text) as source:
        buffer = Buffer(1 << 17)
        for _ in range(3):  # it is not forgotten by being asked for again
            assert fill(source, buffer, until_ns=until_ns) is Stop.TIME
            assert (buffer.packets, source.next_ns) == (kept, until_ns)
        assert fill(source, buffer, until_ns=until_ns + 1) is Stop.TIME
        assert (buffer.packets, source.next_ns) == (kept + 1, held[kept + 1].time_ns)
        assert source.counters().received == kept + 1
        assert fill(source, buffer) is Stop.END
        assert source.next_ns is None
        assert bytes(buffer) == make.classic(held)[24:]


@pytest.mark.parametrize("order", "<>")
def test_size_is_named_before_packets(order: str) -> None:
    held = make.stamped([b"x" * 84] * 3)
    with source_on(make.classic(held, order=order)) as source:
        buffer = Buffer(1 << 17)

        assert fill(source, buffer, bytes_left=200, packets_left=2) is Stop.SIZE
        assert fill(source, buffer, bytes_left=101, packets_left=1) is Stop.PACKETS


@pytest.mark.parametrize("order", "<>")
def test_refused_records_use_up_no_budget(order: str) -> None:
    held = make.stamped([bytes([i % 2]) * 500 for i in range(1000)], step_ns=1000)
    last_ns = held[-1].time_ns
    with source_on(make.classic(held, order=order), filter_text=ODD) as source:
        buffer = Buffer(1 << 20)

        assert fill(source, buffer, packets_left=100) is Stop.PACKETS
        assert fill(source, buffer, bytes_left=100 * 516) is Stop.SIZE
        assert buffer.packets == 200
        assert fill(source, buffer, until_ns=last_ns) is Stop.TIME
        assert buffer.packets == 499


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("capacity", [4096, 1 << 16, 1 << 19])
def test_record_longer_than_the_buffer_makes_it_grow(order: str, capacity: int) -> None:
    lead = b"l" * 24
    held = make.stamped(
        struct.pack("<I", number) * (1 << 18)
        for number in range(5)  # 1 MiB each
    )
    data = make.classic(held, order=order, linktype=make.DBUS, snaplen=1 << 27)
    with source_on(data) as source:
        taken = b""
        while True:
            buffer = Buffer(capacity)
            buffer.clear(lead)
            reason = fill(source, buffer)
            assert bytes(buffer)[:24] == lead
            taken += bytes(buffer)[24:]
            if reason is not Stop.FULL:
                break

        assert reason is Stop.END
        assert taken == make.classic(held)[24:]


@pytest.mark.parametrize("filter_text", ["", ODD])
def test_long_records_that_are_refused_need_no_room(filter_text: str) -> None:
    held = make.stamped([b"\0" * 200_000] * 3 + [b"\1" * 200_000])
    with source_on(make.classic(held), filter_text=filter_text) as source:
        buffer = Buffer(1 << 19)
        taken = b""
        while fill(source, buffer) is Stop.FULL:
            taken += bytes(buffer)
            buffer.clear()
        taken += bytes(buffer)

        assert taken == make.classic(held[-1:] if filter_text else held)[24:]
        assert buffer.capacity == 1 << 19
