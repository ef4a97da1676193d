"""Bytes come out in order whatever order they came in, and holes are told, not filled.

Tested through `Collector`, its subclass that Python sees, and the engine that tells it.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.events import Data, Gap, Noted, StreamClosed, StreamEvent, What, Why
from daemonlogger_py.flow.ordered import Ordering

from .segments import ETHERNET, Side, cut, records, timed

CLIENT = Side()
TEXT = bytes(index * 7 % 256 for index in range(600))


def follow(frames: Iterable[bytes], **options: Any) -> tuple[list[StreamEvent], Ordering]:
    """Everything that is told of these frames, and what it took."""
    collector = Collector(**options)
    engine = Engine(collector)
    engine.feed(records(timed(frames)), ETHERNET)
    engine.finish()
    return collector.take(), collector.ordering()


def told(events: Iterable[StreamEvent]) -> list[tuple[int, bytes | int]]:
    """(offset, the bytes or how many are missing), adjacent bytes joined."""
    found: list[tuple[int, bytes | int]] = []
    for event in events:
        if isinstance(event, Gap):
            found.append((event.offset, event.count))
        elif isinstance(event, Data):
            offset, before = found[-1] if found else (0, 0)
            if isinstance(before, bytes) and offset + len(before) == event.offset:
                found[-1] = (offset, before + event.data)
            else:
                found.append((event.offset, event.data))
    return found


def noted(events: Iterable[StreamEvent], what: What) -> list[tuple[int, int]]:
    return [
        (event.offset, event.count)
        for event in events
        if isinstance(event, Noted) and event.what is what
    ]


def piece(begin: int, end: int, side: Side = CLIENT) -> bytes:
    return side.sends(begin, TEXT[begin:end])


SPANS = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 100)).map(
    lambda span: (span[0], min(len(TEXT), span[0] + span[1]))
)


def holes(spans: Iterable[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """(offset, count) of what no span covers."""
    missing = [
        not any(begin <= offset < behind for begin, behind in spans) for offset in range(end)
    ]
    found: list[tuple[int, int]] = []
    for offset in range(end):
        if missing[offset]:
            if found and sum(found[-1]) == offset:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((offset, 1))
    return found


@given(spans=st.lists(SPANS, max_size=40), policy=st.sampled_from(["first", "last"]))
def test_bytes_are_told_in_order_and_holes_exactly(
    spans: list[tuple[int, int]], policy: str
) -> None:
    frames = [CLIENT.syn(), *(piece(*span) for span in spans), CLIENT.fin(len(TEXT))]

    events, ordering = follow(frames, policy=policy, notes=True)

    rebuilt = b"".join(
        what if isinstance(what, bytes) else TEXT[offset : offset + what]
        for offset, what in told(events)
    )
    gaps = [(event.offset, event.count) for event in events if isinstance(event, Gap)]
    assert rebuilt == TEXT
    assert gaps == holes(spans, len(TEXT))
    assert noted(events, What.DIFFERS) == noted(events, What.LATE) == []
    assert ordering._replace(peak_bytes=0) == Ordering(
        0, 0, len(gaps), sum(count for _, count in gaps), 0, 0, 0
    )


@given(
    spans=st.lists(SPANS, max_size=40),
    stream_bytes=st.integers(0, 1500),
    memory_bytes=st.integers(0, 1500),
)
def test_with_limits_every_byte_is_told_missing_or_late(
    spans: list[tuple[int, int]], stream_bytes: int, memory_bytes: int
) -> None:
    frames = [CLIENT.syn(), *(piece(*span) for span in spans), CLIENT.fin(len(TEXT))]

    events, ordering = follow(
        frames, stream_bytes=stream_bytes, memory_bytes=memory_bytes, notes=True
    )

    at = 0
    missing = set()
    for offset, what in told(events):
        assert offset == at
        if isinstance(what, bytes):
            assert what == TEXT[offset : offset + len(what)]
            at += len(what)
        else:
            missing.update(range(offset, offset + what))
            at += what
    assert at == len(TEXT)
    late = {
        offset
        for begin, count in noted(events, What.LATE)
        for offset in range(begin, begin + count)
    }
    assert late <= missing
    lost = {
        offset for begin, count in holes(spans, len(TEXT)) for offset in range(begin, begin + count)
    }
    assert missing == lost | late
    assert ordering.late_bytes == len(late)
    # Each hole that is given up for a limit leaves at most the piece that broke it.
    assert ordering.peak_bytes <= min(stream_bytes, memory_bytes) + 100 + 64


def test_in_order_nothing_is_held() -> None:
    events, ordering = follow([CLIENT.syn(), piece(0, 100), piece(100, 250), piece(250, 600)])

    assert told(events) == [(0, TEXT)]
    assert ordering == Ordering(0, 0, 0, 0, 0, 0, 0)


def test_what_is_held_is_given_free() -> None:
    collector = Collector()
    engine = Engine(collector)

    engine.feed(records(timed([CLIENT.syn(), piece(300, 600), piece(100, 200)])), ETHERNET)
    held = collector.ordering().held_bytes
    engine.feed(records(timed([piece(0, 100), piece(200, 300)])), ETHERNET)

    assert 400 < held < 400 + 2 * 64
    assert collector.ordering() == Ordering(0, held, 0, 0, 0, 0, 0)
    engine.finish()
    assert told(collector.take()) == [(0, TEXT)]


def test_stream_that_holds_too_much_goes_on_behind_its_first_hole() -> None:
    frames = [CLIENT.syn(), piece(100, 200), piece(300, 400), piece(500, 600), piece(0, 100)]

    events, ordering = follow(frames, stream_bytes=400, notes=True)

    assert told(events) == [
        (0, 100),
        (100, TEXT[100:200]),
        (200, 100),
        (300, TEXT[300:400]),
        (400, 100),
        (500, TEXT[500:600]),
    ]
    assert noted(events, What.LATE) == [(0, 100)]
    assert ordering._replace(peak_bytes=0) == Ordering(0, 0, 3, 300, 1, 100, 0)


def test_stream_that_waits_for_longest_goes_on_when_all_hold_too_much() -> None:
    sides = [Side(port=40000 + index) for index in range(4)]
    frames = [side.syn() for side in sides]
    frames += [piece(100, 200, sides[0]), piece(300, 400, sides[0])]
    frames += [piece(100, 300, side) for side in sides[1:]]

    collector = Collector(memory_bytes=700)
    engine = Engine(collector)
    engine.feed(records(timed(frames)), ETHERNET)
    gaps = [event for event in collector.take() if isinstance(event, Gap)]

    # The first one has gone on, and waits again, but then it was the last in the row.
    assert [(gap.stream.source_port, gap.offset, gap.count) for gap in gaps] == [
        (40000, 0, 100),
        (40001, 0, 100),
    ]
    assert collector.ordering().given_up == 2
    assert 300 < collector.ordering().held_bytes <= 700


def test_hole_before_an_early_fin_is_told() -> None:
    events, _ = follow([CLIENT.syn(), piece(0, 10), CLIENT.fin(30)])

    assert told(events) == [(0, TEXT[:10]), (10, 20)]
    assert isinstance(events[-1], StreamClosed)
    assert (events[-1].why, events[-1].end) == (Why.END, 30)


def test_bytes_that_were_not_captured_are_a_hole() -> None:
    collector = Collector()
    engine = Engine(collector)
    frames = timed([CLIENT.syn(), piece(0, 100), piece(100, 300), piece(300, 500)])

    engine.feed(records(cut(record, 54 + 150) for record in frames), ETHERNET)
    engine.finish()

    assert told(collector.take()) == [
        (0, TEXT[:250]),
        (250, 50),
        (300, TEXT[300:450]),
        (450, 50),
    ]


def test_bytes_that_were_not_captured_are_not_waited_for() -> None:
    collector = Collector(prompt=True)
    engine = Engine(collector)
    frames = timed([CLIENT.syn(), *(piece(at, at + 100) for at in (0, 100, 300, 400, 200, 500))])

    found = []
    for frame in frames:
        engine.feed(records([cut(frame, 54 + 70)]), ETHERNET)
        found.append(told(collector.take()))

    # [200, 300) comes late, and is waited for: then all that is there follows.
    assert found == [
        [],
        [(0, TEXT[:70])],
        [(70, 30), (100, TEXT[100:170])],
        [],
        [],
        [
            (170, 30),
            (200, TEXT[200:270]),
            (270, 30),
            (300, TEXT[300:370]),
            (370, 30),
            (400, TEXT[400:470]),
        ],
        [(470, 30), (500, TEXT[500:570])],
    ]
    assert collector.ordering().given_up == 0


def test_bytes_that_were_not_captured_may_come_with_a_shorter_segment() -> None:
    collector = Collector()
    engine = Engine(collector)
    frames = timed([CLIENT.syn(), piece(0, 100), piece(60, 110)])

    engine.feed(records(cut(frame, 54 + 70) for frame in frames), ETHERNET)
    engine.finish()

    assert told(collector.take()) == [(0, TEXT[:110])]


def test_stream_without_a_byte_is_told_no_hole() -> None:
    events, ordering = follow([CLIENT.syn(), CLIENT.sends(0), CLIENT.fin(0)])

    assert told(events) == []
    assert ordering.holes == 0


def test_without_a_syn_what_belongs_before_the_first_byte_is_late() -> None:
    events, ordering = follow([piece(100, 200), piece(0, 100), piece(200, 300)], notes=True)

    assert told(events) == [(0, TEXT[100:300])]
    assert noted(events, What.LATE) == [(-100, 100)]
    assert ordering.late_bytes == 100


def test_without_a_syn_what_comes_before_any_byte_is_told_begins_the_stream() -> None:
    # Of the first packet nothing was captured: offset 0 is known, but no byte was told yet.
    collector = Collector()
    engine = Engine(collector)
    first, *others = timed([piece(100, 200), piece(0, 100), piece(200, 300)])

    engine.feed(records([cut(first, 54), *others]), ETHERNET)
    engine.finish()

    assert told(collector.take()) == [(-100, TEXT[:100]), (0, 100), (100, TEXT[200:300])]


def test_syn_behind_its_bytes() -> None:
    events, _ = follow([piece(0, 100), CLIENT.syn(), piece(100, 600), CLIENT.fin(600)])

    assert told(events) == [(0, TEXT)]


@pytest.mark.parametrize(
    ("policy", "stays"),
    [("last", b"aXXaaYa"), ("first", b"aaaaaaa")],
)
def test_other_bytes_for_those_held(policy: str, stays: bytes) -> None:
    frames = [
        CLIENT.syn(),
        CLIENT.sends(5, b"aaaaaaa"),
        CLIENT.sends(5, b"aXXaaYa"),
        CLIENT.sends(0, b"start"),
    ]

    events, ordering = follow(frames, policy=policy, notes=True)

    assert told(events) == [(0, b"start" + stays)]
    assert noted(events, What.DIFFERS) == [(6, 2), (10, 1)]
    assert ordering.differing_bytes == 3


@pytest.mark.parametrize("policy", ["last", "first"])
def test_other_bytes_over_several_pieces(policy: str) -> None:
    # [5, 8) and [10, 12) are held as two pieces, [8, 10) is new, and so is nobody's.
    frames = [
        CLIENT.syn(),
        CLIENT.sends(5, b"aaa"),
        CLIENT.sends(10, b"bb"),
        CLIENT.sends(4, b"01234567"),
        CLIENT.sends(0, b"head"),
    ]

    events, ordering = follow(frames, policy=policy, notes=True)

    expected = b"head01234567" if policy == "last" else b"head0aaa45bb"
    assert told(events) == [(0, expected)]
    assert noted(events, What.DIFFERS) == [(5, 3), (10, 2)]
    assert ordering.differing_bytes == 5


def test_other_bytes_for_those_delivered_are_not_compared() -> None:
    events, ordering = follow(
        [CLIENT.syn(), piece(0, 10), CLIENT.sends(0, b"otherwise!")], notes=True
    )

    assert told(events) == [(0, TEXT[:10])]
    assert noted(events, What.RETRANSMISSION) == [(0, 10)]
    assert ordering.differing_bytes == 0


def test_streams_are_apart() -> None:
    server = CLIENT.peer()
    events, _ = follow(
        [
            CLIENT.syn(),
            server.syn(),
            piece(100, 200),
            piece(100, 150, server),
            piece(0, 100),
            server.rst(150),
            CLIENT.rst(200),
        ]
    )

    of_client = [event for event in events if event.stream.source_port == CLIENT.port]
    of_server = [event for event in events if event.stream.source_port == server.port]
    assert told(of_client) == [(0, TEXT[:200])]
    assert told(of_server) == [(0, 100), (100, TEXT[100:150])]


def test_sequence_numbers_wrap() -> None:
    side = Side(isn=2**32 - 300)

    events, _ = follow(
        [side.syn(), *(piece(at, at + 50, side) for at in range(0, 600, 50)[::-1]), side.fin(600)]
    )

    assert told(events) == [(0, TEXT)]


def test_sink_goes_with_streams_open() -> None:
    # Under a memory checker this shows what an abandoned sink leaves behind.
    collector = Collector()
    engine = Engine(collector)
    engine.feed(records(timed([CLIENT.syn(), piece(100, 200), piece(300, 400)])), ETHERNET)

    assert collector.ordering().held_bytes > 200
    del engine, collector


def test_policy_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="policy 'middle': first or last"):
        Collector(policy="middle")
