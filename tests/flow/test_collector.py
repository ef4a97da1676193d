"""Streams become events: which ones, in what pieces, and what a stream that is not wanted costs."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.events import (
    Data,
    Datagram,
    Gap,
    Noted,
    StreamClosed,
    StreamEvent,
    StreamInfo,
    StreamOpened,
    What,
    Why,
)

from .segments import ACK, ETHERNET, FIN, SYN, UDP, Record, Side, ipv4, ipv6, records, timed, udp

CLIENT = Side()
SERVER = CLIENT.peer()
BEGIN_NS = 10**18
STEP_NS = 1_000_000


class Feed:
    """An engine and its collector."""

    def __init__(self, *, datagrams: bool = False, **options: Any) -> None:
        self.collector = Collector(**options)
        self.engine = Engine(self.collector, datagrams=datagrams)

    def __call__(self, *frames: bytes) -> list[StreamEvent]:
        """What these frames, from BEGIN_NS on, tell."""
        return self.records(timed(frames, BEGIN_NS, STEP_NS))

    def records(self, items: Iterable[Record]) -> list[StreamEvent]:
        self.engine.feed(records(items, nanosecond=True), ETHERNET, nanosecond=True)
        return self.collector.take()

    def finish(self) -> list[StreamEvent]:
        self.engine.finish()
        return self.collector.take()


def data_of(events: Iterable[StreamEvent]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Data)]


def test_a_connection() -> None:
    feed = Feed()

    events = feed(
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.sends(0, b"ques"),
        CLIENT.sends(4, b"tion"),
        SERVER.sends(0, b"answer", FIN | ACK),
        CLIENT.fin(8),
    )

    client = StreamInfo(0, 0, 6, "10.0.0.1", 40000, "10.0.0.2", 80, True, False, True, (), BEGIN_NS)
    server = StreamInfo(
        1, 0, 6, "10.0.0.2", 80, "10.0.0.1", 40000, False, False, True, (), BEGIN_NS + STEP_NS
    )
    assert events == [
        StreamOpened(client),
        StreamOpened(server),
        Data(server, 0, b"answer", BEGIN_NS + 4 * STEP_NS),
        StreamClosed(server, Why.FIN, 6, 2, BEGIN_NS + 4 * STEP_NS),
        Data(client, 0, b"question", BEGIN_NS + 2 * STEP_NS),
        StreamClosed(client, Why.FIN, 8, 4, BEGIN_NS + 5 * STEP_NS),
    ]
    assert {type(value) for value in (*client, *server)} == {int, str, bool, tuple}
    assert feed.finish() == []


def test_a_stream_has_one_info() -> None:
    feed = Feed(prompt=True)

    first = feed(CLIENT.syn(), CLIENT.sends(0, b"a"))
    second = [*feed(CLIENT.sends(1, b"b")), *feed.finish()]

    assert len({id(event.stream) for event in (*first, *second)}) == 1


@pytest.mark.parametrize(
    ("side", "addresses", "vlans"),
    [
        (Side(), ("10.0.0.1", "10.0.0.2"), ()),
        (
            Side(address="2001:db8::1", peer_address="2001:db8::1:0:0:2", vlans=(10, 42)),
            ("2001:db8::1", "2001:db8::1:0:0:2"),
            (10, 42),
        ),
        (
            Side(address="::ffff:1.2.3.4", peer_address="2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa"),
            ("::ffff:1.2.3.4", "2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa"),
            (),
        ),
        (
            Side(address="255.255.255.255", vlans=(0x6FFF,)),
            ("255.255.255.255", "10.0.0.2"),
            (0xFFF,),
        ),
    ],
)
def test_addresses_and_vlans(
    side: Side, addresses: tuple[str, str], vlans: tuple[int, ...]
) -> None:
    (event,) = Feed()(side.syn())

    assert (event.stream.source, event.stream.destination) == addresses
    assert event.stream.vlans == vlans


def test_without_a_syn_the_server_is_guessed() -> None:
    feed = Feed()
    opened = feed(SERVER.sends(0, b"late"), CLIENT.sends(0, b"later"))[:2]

    assert [
        (event.stream.to_server, event.stream.guessed, event.stream.syn) for event in opened
    ] == [(False, True, False), (True, True, False)]


@given(
    sizes=st.lists(st.integers(1, 1460), min_size=1, max_size=40),
    event_bytes=st.sampled_from([1, 7, 600, 1460, 65536]),
)
def test_contiguous_bytes_are_one_event_up_to_its_size(sizes: list[int], event_bytes: int) -> None:
    text = bytes(index % 251 for index in range(sum(sizes)))
    at = 0
    frames = [CLIENT.syn()]
    for size in sizes:
        frames.append(CLIENT.sends(at, text[at : at + size]))
        at += size
    feed = Feed(event_bytes=event_bytes)

    events = [*feed(*frames), *feed.finish()]

    datas = [event for event in events if isinstance(event, Data)]
    assert b"".join(event.data for event in datas) == text
    assert [event.offset for event in datas] == list(range(0, len(text), event_bytes))
    assert {len(event.data) for event in datas[:-1]} <= {event_bytes}
    # Each has the time of the packet that its first byte came with.
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    for event in datas:
        packet = next(index for index, end in enumerate(ends) if event.offset < end)
        assert event.time_ns == BEGIN_NS + (packet + 1) * STEP_NS


def test_what_is_no_whole_event_waits_for_more() -> None:
    feed = Feed()

    assert data_of(feed(CLIENT.syn(), CLIENT.sends(0, b"one "))) == []
    assert data_of(feed(CLIENT.sends(4, b"two "))) == []
    assert data_of(feed.finish()) == [b"one two "]


def test_prompt_tells_at_the_end_of_each_feed() -> None:
    feed = Feed(prompt=True)

    events = feed(
        CLIENT.syn(), SERVER.syn(), CLIENT.sends(0, b"one "), CLIENT.sends(4, b"two"),
        SERVER.sends(0, b"three"),
    )  # fmt: skip

    assert data_of(events) == [b"one two", b"three"]
    assert data_of(feed(CLIENT.sends(7, b"four"))) == [b"four"]


def test_gap_stands_between_the_bytes_around_it() -> None:
    events = Feed()(
        CLIENT.syn(), CLIENT.sends(0, b"before"), CLIENT.sends(10, b"behind"), CLIENT.rst(16)
    )

    assert [type(event) for event in events] == [StreamOpened, Data, Gap, Data, StreamClosed]
    info = events[0].stream
    at = BEGIN_NS + 3 * STEP_NS
    assert events[2:] == [
        Gap(info, 6, 4, at),
        Data(info, 10, b"behind", at),
        StreamClosed(info, Why.RST, 16, 4, at),
    ]


def test_held_bytes_have_the_time_when_they_could_be_read() -> None:
    events = Feed(event_bytes=6)(
        CLIENT.syn(), CLIENT.sends(6, b"second"), CLIENT.sends(0, b"first ")
    )

    assert [event.time_ns for event in events if isinstance(event, Data)] == [
        BEGIN_NS + 2 * STEP_NS
    ] * 2


def test_only_wanted_streams_are_told() -> None:
    asked = []

    def wanted(stream: StreamInfo) -> bool:
        asked.append(stream)
        return stream.to_server

    feed = Feed(wanted=wanted, notes=True)
    events = feed(
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        SERVER.sends(3, b"not in order"),
        SERVER.sends(3, b"NOT IN ORDER"),
        CLIENT.sends(0, b"x"),
        CLIENT.sends(1, b"y"),
        SERVER.sends(0, b"abc"),
    )
    held = feed.collector.ordering().peak_bytes
    events += feed.finish()

    assert [stream.source_port for stream in asked] == [40000, 80]
    assert {event.stream for event in events} == {asked[0]}
    assert data_of(events) == [b"xy"]
    assert held == 0


def test_what_wanted_raises_is_what_feed_raises() -> None:
    def wanted(stream: StreamInfo) -> bool:
        raise LookupError(f"port {stream.source_port}")

    feed = Feed(wanted=wanted)

    with pytest.raises(LookupError, match="port 40000"):
        feed(CLIENT.syn(), CLIENT.sends(0, b"x"))
    assert feed(CLIENT.sends(1, b"y")) == []
    assert feed.finish() == []


@pytest.mark.parametrize(
    ("max_bytes", "expected"), [(0, []), (3, [b"abc"]), (6, [b"abcdef"]), (7, [b"abcdefg"])]
)
def test_so_many_bytes_of_each_stream(max_bytes: int, expected: list[bytes]) -> None:
    feed = Feed(max_bytes=max_bytes, prompt=True)

    events = feed(
        CLIENT.syn(), CLIENT.sends(6, b"ghi"), CLIENT.sends(0, b"abcdef"), CLIENT.sends(20, b"z"),
        CLIENT.rst(21),
    )  # fmt: skip

    assert data_of(events) == expected
    assert [event.end for event in events if isinstance(event, StreamClosed)] == [21]
    assert not any(isinstance(event, Gap) for event in events)


def test_streams_that_turn_out_not_to_be_wanted() -> None:
    feed = Feed()
    (opened, *_) = feed(
        CLIENT.syn(), SERVER.syn(), CLIENT.sends(0, b"x"), CLIENT.sends(5, b"held"),
        SERVER.sends(0, b"y"),
    )  # fmt: skip

    feed.collector.ignore_streams({opened.stream.number, 99})

    assert feed.collector.ordering().held_bytes == 0
    events = [*feed(CLIENT.sends(1, b"more"), SERVER.sends(1, b"z")), *feed.finish()]
    assert data_of(events) == [b"yz"]
    assert {event.stream.number for event in events if isinstance(event, StreamClosed)} == {0, 1}
    feed.collector.ignore_streams({0, 1})


def test_what_waits_for_a_whole_event_is_bounded() -> None:
    feed = Feed(memory_bytes=3000)
    sides = [Side(port=port) for port in range(1, 11)]

    events = feed(*(frame for side in sides for frame in (side.syn(), side.sends(0, bytes(500)))))

    ports = [event.stream.source_port for event in events if isinstance(event, Data)]
    assert ports == list(range(1, 6))
    assert len(data_of(feed.finish())) == 5


def test_notes() -> None:
    feed = Feed(notes=True, event_bytes=1)
    events = feed(
        CLIENT.syn(),
        CLIENT.sends(0, b"a"),
        CLIENT.sends(0, b"a"),
        CLIENT.sends(2, b"c"),
        CLIENT.sends(1, b"b"),
        CLIENT.sends(3, window=0),
    )

    noted = [
        (event.what, event.offset, event.count, (event.time_ns - BEGIN_NS) // STEP_NS)
        for event in events
        if isinstance(event, Noted)
    ]
    assert noted[1:] == [
        (What.GAP, 1, 1, 3),
        (What.FILLED, 1, 1, 4),
        (What.ZERO_WINDOW, 3, 0, 5),
    ]
    # One byte again, just before the next: as a peer asks whether the connection lives.
    assert noted[0] == (What.KEEPALIVE, 0, 1, 2)


def test_no_notes_unless_asked_for() -> None:
    feed = Feed()
    events = feed(CLIENT.syn(), CLIENT.sends(0, b"aa"), CLIENT.sends(0, b"aa"))

    assert not any(isinstance(event, Noted) for event in [*events, *feed.finish()])


@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_datagrams(make: Callable[..., bytes]) -> None:
    addresses = ("10.0.0.1", "10.0.0.2") if make is ipv4 else ("2001:db8::1", "2001:db8::2")
    frame = CLIENT.frame(make(udp(5000, 53, b"query"), *addresses, UDP))
    feed = Feed(datagrams=True)

    events = feed.records([(BEGIN_NS, frame), (BEGIN_NS + 1, frame[:-2], len(frame))])
    events += feed.finish()

    opened, first, second, closed = events
    assert isinstance(opened, StreamOpened)
    assert (opened.stream.protocol, opened.stream.destination_port) == (UDP, 53)
    assert first == Datagram(opened.stream, b"query", 5, BEGIN_NS)
    assert second == Datagram(opened.stream, b"que", 5, BEGIN_NS + 1)
    assert isinstance(closed, StreamClosed)


def test_datagrams_of_unwanted_streams() -> None:
    frame = CLIENT.frame(ipv4(udp(5000, 53, b"query"), "10.0.0.1", "10.0.0.2", UDP))
    feed = Feed(datagrams=True, wanted=lambda stream: stream.protocol != UDP)

    assert feed(frame, frame) == []


def test_events_are_taken_once() -> None:
    feed = Feed()

    assert len(feed(CLIENT.syn())) == 1
    assert feed.collector.take() == []


def test_many_streams_that_begin_and_end_between_two_takes() -> None:
    sides = [Side(port=port) for port in range(1, 2001)]
    feed = Feed()

    events = feed(
        *(frame for side in sides for frame in (side.syn(), side.sends(0, b"x"), side.fin(1)))
    )

    assert [event.stream.source_port for event in events if isinstance(event, StreamClosed)] == [
        side.port for side in sides
    ]
    assert data_of(events) == [b"x"] * 2000


def test_collector_goes_with_events_not_taken() -> None:
    # Under a memory checker this shows what an abandoned collector leaves behind.
    collector = Collector(lambda stream: True)
    engine = Engine(collector)
    frames = [CLIENT.syn(), CLIENT.sends(0, b"x"), CLIENT.fin(1), SERVER.sends(0, b"y")]
    engine.feed(records(timed(frames)), ETHERNET)

    del engine, collector


@pytest.mark.parametrize("event_bytes", [0, -1, (1 << 30) + 1])
def test_event_has_a_size(event_bytes: int) -> None:
    with pytest.raises(ValueError, match="event_bytes"):
        Collector(event_bytes=event_bytes)
