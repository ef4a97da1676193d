"""However a stream's bytes arrive, they come out as they were sent, and what is lost is told."""

from collections.abc import Iterable, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from daemonlogger_py.flow.collector import Collector
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.events import (
    Data,
    Gap,
    StreamClosed,
    StreamEvent,
    StreamInfo,
    StreamOpened,
    Why,
)

from .exchanges import Segment, arrivals, covered, missing, sequence_numbers, sides, split
from .segments import ACK, ETHERNET, FIN, RAW, SYN, Side, records, timed

contents = st.binary(max_size=400)
nonempty = st.binary(min_size=1, max_size=400)
savefiles = st.lists(st.integers(0, 100), max_size=4)


def frame(side: Side, one: Segment, acknowledgment: int | None = None) -> bytes:
    flags = FIN if one.fin else 0
    if acknowledgment is None:
        return side.sends(one.offset, one.data, flags)
    return side.sends(one.offset, one.data, flags | ACK, acknowledgment=acknowledgment)


def told(feeds: Iterable[Sequence[bytes]], **limits: int) -> list[StreamEvent]:
    """What a collector gives of frames that are fed in several runs."""
    collector = Collector(**limits)
    engine = Engine(collector)
    events = []
    for number, frames in enumerate(feeds):
        # Each run is a savefile of its own, and those may differ in linktype and resolution.
        if number % 2:
            nanosecond, linktype = True, RAW
            frames = [whole[14:] for whole in frames]
        else:
            nanosecond, linktype = False, ETHERNET
        engine.feed(records(timed(frames), nanosecond=nanosecond), linktype, nanosecond=nanosecond)
        events += collector.take()
    engine.finish()
    events += collector.take()
    assert engine.counters().packets == sum(map(len, feeds))
    return events


def pieces_of(events: Iterable[StreamEvent]) -> dict[int, tuple[StreamInfo, bytes, list[object]]]:
    """Of each stream: who it is, its bytes with gaps as zeros, its gaps; held to the contract."""
    found: dict[int, tuple[StreamInfo, bytes, list[object]]] = {}
    closed: dict[int, StreamClosed] = {}
    for event in events:
        number = event.stream.number
        assert number not in closed
        if isinstance(event, StreamOpened):
            assert number not in found
            found[number] = event.stream, b"", []
        elif isinstance(event, StreamClosed):
            closed[number] = event
        else:
            info, data, gaps = found[number]
            assert isinstance(event, Data | Gap)
            assert event.offset == len(data)
            if isinstance(event, Gap):
                assert event.count > 0
                found[number] = (
                    info,
                    data + bytes(event.count),
                    [*gaps, (event.offset, event.count)],
                )
            else:
                assert event.data
                found[number] = info, data + event.data, gaps
    assert found.keys() == closed.keys()
    return found


@given(data=contents, side=sides(), drawn=st.data(), cut=savefiles)
def test_any_arrival_gives_the_stream(data: bytes, side: Side, drawn: st.DataObject, cut) -> None:
    segments = drawn.draw(arrivals(data))
    frames = [side.syn(), *(frame(side, one) for one in segments)]
    events = told(split(frames, cut))

    ((info, got, gaps),) = pieces_of(events).values()
    assert (got, gaps) == (data, [])
    assert info.syn
    assert info.to_server
    assert (info.source, info.source_port) == (side.address, side.port)
    (last,) = (event for event in events if isinstance(event, StreamClosed))
    ended = any(one.fin for one in segments)
    assert last.why is (Why.FIN if ended else Why.END)


@given(data=contents, side=sides(), drawn=st.data(), cut=savefiles)
def test_what_is_lost_is_told_exactly(data: bytes, side: Side, drawn: st.DataObject, cut) -> None:
    segments = drawn.draw(arrivals(data, lossy=True))
    frames = [side.syn(), *(frame(side, one) for one in segments)]

    ((_, got, gaps),) = pieces_of(told(split(frames, cut))).values()
    there = covered(segments)
    end = max((one.end for one in segments), default=0)
    assert gaps == missing(segments)
    assert got == bytes(data[at] if at in there else 0 for at in range(end))


@given(data=nonempty, side=sides(), drawn=st.data())
def test_fragments_make_no_difference(data: bytes, side: Side, drawn: st.DataObject) -> None:
    segments = drawn.draw(arrivals(data))
    frames = []
    for number, one in enumerate(segments):
        size = 20 + len(one.data)
        places = drawn.draw(st.sets(st.integers(1, max(1, (size - 1) // 8)), max_size=5))
        flags = FIN | ACK if one.fin else ACK
        at = [8 * place for place in places]
        frames += side.fragmented(one.offset, one.data, at, identification=number, flags=flags)
    frames = [side.syn(), *drawn.draw(st.permutations(frames))]

    ((_, got, gaps),) = pieces_of(told([frames])).values()
    assert (got, gaps) == (data, [])


@given(there=contents, back=contents, side=sides(), isn=st.integers(0, 2**32 - 1), drawn=st.data())
def test_both_directions_at_once(
    there: bytes, back: bytes, side: Side, isn: int, drawn: st.DataObject
) -> None:
    peer = side.peer(isn)
    own = [frame(side, one, peer.isn + 1) for one in drawn.draw(arrivals(there))]
    other = [frame(peer, one, side.isn + 1) for one in drawn.draw(arrivals(back))]
    order = drawn.draw(st.permutations([0] * len(own) + [1] * len(other)))
    both = iter(own), iter(other)
    answer = peer.sends(-1, flags=SYN | ACK, acknowledgment=side.isn + 1)
    frames = [side.syn(), answer, *(next(both[which]) for which in order)]

    found = list(pieces_of(told([frames])).values())
    assert [(info.to_server, data, gaps) for info, data, gaps in found] == [
        (True, there, []),
        (False, back, []),
    ]
    assert found[0][0].session == found[1][0].session


@given(datas=st.lists(contents, min_size=2, max_size=5), drawn=st.data())
def test_flows_do_not_mix(datas: list[bytes], drawn: st.DataObject) -> None:
    queues = []
    for number, data in enumerate(datas):
        side = Side(port=1000 + number, isn=drawn.draw(st.integers(0, 2**32 - 1)))
        queues.append([side.syn(), *(frame(side, one) for one in drawn.draw(arrivals(data)))])
    order = drawn.draw(
        st.permutations([number for number, queue in enumerate(queues) for _ in queue])
    )
    frames = [queues[number].pop(0) for number in order]

    found = {info.source_port: data for info, data, _ in pieces_of(told([frames])).values()}
    assert found == {1000 + number: data for number, data in enumerate(datas)}


@given(
    data=st.binary(min_size=200, max_size=400),
    side=sides(),
    drawn=st.data(),
    limit=st.integers(1, 2000),
)
@example(data=bytes(range(200)), side=Side(), drawn=None, limit=1)
def test_a_limit_costs_only_what_it_tells(
    data: bytes, side: Side, drawn: st.DataObject | None, limit: int
) -> None:
    """However little may wait: what is told is right, and what is not told is told as missing."""
    if drawn is None:
        segments = [Segment(at, data[at : at + 50]) for at in (50, 0, 150, 100)]
    else:
        segments = drawn.draw(arrivals(data))
    frames = [side.syn(), *(frame(side, one) for one in segments)]

    ((_, got, gaps),) = pieces_of(told([frames], stream_bytes=limit)).values()
    lost = {at + step for at, count in gaps for step in range(count)}
    assert got == bytes(0 if at in lost else value for at, value in enumerate(data))


def proofs(side: Side, peer: Side, offset: int) -> list[bytes]:
    """Frames that show that a stream was sent up to this offset."""
    return [
        peer.sends(0, acknowledgment=side.isn + 1 + offset),
        side.sends(offset, acknowledgment=peer.isn + 1),
    ]


def cut_short(drawn: st.DataObject, data: bytes, side: Side) -> tuple[int, list[bytes]]:
    """Frames of a stream of which only the first so many bytes arrive."""
    end = drawn.draw(st.integers(0, len(data) - 1))
    return end, [side.syn(), *([side.sends(0, data[:end], 0)] if end else [])]


@given(data=nonempty, side=sides(), drawn=st.data(), isn=sequence_numbers, fin=st.booleans())
def test_a_lost_end_is_known_by_what_came_after_it(
    data: bytes, side: Side, drawn: st.DataObject, isn: int, fin: bool
) -> None:
    """Acknowledged, or passed over by the sender; of a single byte nothing is said: a FIN's."""
    end, heard = cut_short(drawn, data, side)
    proof = drawn.draw(st.sampled_from(proofs(side, side.peer(isn), len(data) + fin)))

    ((_, got, gaps),) = pieces_of(told([[*heard, proof]])).values()
    lost = len(data) + fin - end
    assert gaps == ([(end, lost)] if lost > 1 else [])
    assert got == data[:end] + bytes(lost if lost > 1 else 0)


@given(data=nonempty, side=sides(), drawn=st.data(), isn=sequence_numbers, fin=st.booleans())
def test_an_end_that_was_only_late_is_not_lost(
    data: bytes, side: Side, drawn: st.DataObject, isn: int, fin: bool
) -> None:
    end, heard = cut_short(drawn, data, side)
    proof = drawn.draw(st.sampled_from(proofs(side, side.peer(isn), len(data) + fin)))

    ((_, got, gaps),) = pieces_of(told([[*heard, proof, side.fin(end, data[end:])]])).values()
    assert (got, gaps) == (data, [])


@given(data=nonempty, side=sides(), ahead=st.integers(-(2**20), 2**20))
def test_a_reset_tells_no_end(data: bytes, side: Side, ahead: int) -> None:
    """Some are made up, with numbers that were never sent."""
    frames = [side.syn(), side.sends(0, data), side.rst(len(data) + ahead)]

    ((_, got, gaps),) = pieces_of(told([frames])).values()
    assert (got, gaps) == (data, [])
