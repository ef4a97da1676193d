"""The engine: what is one flow, which packets are taken, and what is counted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.store import Store
from tests.flow.segments import (
    ACK,
    ETHERNET,
    FIN,
    RST,
    SYN,
    Side,
    ethernet,
    ipv4,
    records,
    timed,
    udp,
)
from tests.flow.told import closed, facts

CLIENT = Side()
SERVER = CLIENT.peer()


def test_a_whole_connection_is_two_streams_that_end_with_their_fin():
    frames = [
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.sends(0, b"GET /"),
        SERVER.sends(0, b"hello"),
        CLIENT.fin(5),
        SERVER.fin(5, b" world"),
    ]
    client, server = facts(frames)

    assert (client.source, client.source_port) == ("10.0.0.1", 40000)
    assert (client.stream_bytes, client.packets, client.number, client.why) == (5, 3, 0, "fin")
    assert (server.stream_bytes, server.packets, server.number, server.why) == (11, 3, 1, "fin")
    assert client.session == server.session == 0
    assert client.to_server
    assert not server.to_server
    assert not client.guessed
    assert client.syn
    assert client.other_open
    assert not server.other_open


def test_who_uses_the_lower_port_is_taken_for_the_server_and_that_is_said():
    server, client = facts([SERVER.sends(0, b"x"), CLIENT.sends(0, b"y")])

    assert client.to_server
    assert not server.to_server
    assert client.guessed
    assert server.guessed
    assert not client.syn


def test_a_syn_ack_tells_the_server_when_the_syn_is_missing():
    (server,) = facts([Side(port=80, peer_port=40000).syn(flags=SYN | ACK)])

    assert not server.to_server
    assert not server.guessed


def test_packets_without_data_and_syn_open_nothing():
    streams, engine = closed([CLIENT.sends(0), CLIENT.fin(0), CLIENT.rst(0)])

    assert streams == []
    assert engine.counters().tcp_packets == 3
    assert engine.counters().flows == 0


def test_packets_behind_the_end_of_a_stream_are_not_its_own():
    frames = [
        CLIENT.syn(),
        CLIENT.sends(0, b"abcd"),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.fin(4),
        CLIENT.sends(4, b""),
        CLIENT.sends(0, b"ab"),
        CLIENT.fin(4),
        SERVER.rst(0),
        SERVER.sends(0, b""),
    ]
    streams, engine = closed(frames)

    assert [stream.packets for stream in streams] == [3, 2]
    assert engine.counters().stream_packets == 5
    assert engine.counters().tcp_packets == 9


def test_a_syn_with_another_number_is_a_new_connection():
    other = Side(isn=70_000)
    frames = [
        CLIENT.syn(),
        CLIENT.sends(0, b"one"),
        other.syn(),
        other.sends(0, b"two!"),
        SERVER.syn(),
    ]
    first, second, _ = facts(frames)

    assert (first.stream_bytes, first.why, first.session) == (3, "reused", 0)
    assert (second.stream_bytes, second.session) == (4, 1)


def test_a_refused_connection_does_not_swallow_the_next():
    for isn in (10, 4_000_000_000):
        other = Side(isn=isn)
        frames = [CLIENT.syn(), SERVER.sends(-1, b"", RST | ACK), other.syn(), other.sends(0, b"x")]
        refused, second = facts(frames)

        assert (refused.stream_bytes, refused.why) == (0, "reused")
        assert (second.stream_bytes, second.gaps) == (1, ())


def test_a_syn_that_no_syn_ack_answered_is_a_new_connection():
    # Of the connection before it, all that the client sent was lost.
    other = Side(isn=90_000)
    frames = [
        SERVER.sends(-1, b"", SYN | ACK, acknowledgment=1001),
        SERVER.sends(0, b"banner", acknowledgment=1001),
        other.syn(),
        SERVER.sends(1000, b"", acknowledgment=90_001),
        other.sends(5, b"late"),
    ]
    old, client = facts(frames)

    assert (old.stream_bytes, old.session, old.why) == (6, 0, "reused")
    assert (client.stream_bytes, client.session, client.gaps) == (9, 1, ((0, 5),))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SERVER.syn(), id="SYNs that cross"),
        pytest.param(SERVER.sends(-1, b"", SYN | ACK, acknowledgment=1001), id="reordered"),
    ],
)
def test_a_syn_behind_the_other_sides_is_the_same_connection(answer):
    server, client = facts([answer, CLIENT.syn(), CLIENT.sends(0, b"x")])

    assert server.session == client.session == 0
    assert (client.stream_bytes, server.why) == (1, "end")


def test_a_flow_goes_on_from_feed_to_feed():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"abc"), CLIENT.sends(3, b"def"), CLIENT.fin(6)]
    (stream,) = facts(frames, feeds=4)

    assert (stream.stream_bytes, stream.why, stream.packets) == (6, "fin", 4)


def test_only_known_flows_are_added_to_when_asked():
    store = Store(store=False)
    engine = Engine(store)
    engine.feed(records(timed([CLIENT.syn(), CLIENT.sends(0, b"a")])), ETHERNET)
    engine.feed(
        records(timed([CLIENT.sends(1, b"b"), SERVER.sends(0, b"x"), Side(port=7).syn()])),
        ETHERNET,
        only_known=True,
    )
    engine.finish()
    (stream,) = store.take().facts(b"", with_gaps=False)

    assert stream.stream_bytes == 2


def test_packets_outside_of_the_time_span_are_passed_over():
    frames = [CLIENT.sends(index, b"x") for index in range(6)]
    streams, engine = closed(frames, first_ns=10**18 + 2_000_000, until_ns=10**18 + 5_000_000)

    assert streams[0].stream_bytes == 3
    assert (engine.counters().packets, engine.counters().outside) == (3, 3)


@pytest.mark.parametrize(
    ("shift_ns", "first_ns"), [(5, 10**18 + 5), (-7, 10**18 - 7), (-(2**62), 0)]
)
def test_times_are_shifted(shift_ns, first_ns):
    (stream,) = facts([CLIENT.syn()], shift_ns=shift_ns)

    assert stream.first_ns == first_ns


def test_other_packets_are_counted_by_kind():
    datagram = udp(5, 53, b"question")
    frames = [
        ethernet(ipv4(datagram, "10.0.0.1", "10.0.0.2", 17)),
        ethernet(b"\0" * 28, ethertype=0x0806),
        CLIENT.syn()[:40],
    ]
    streams, engine = closed(frames)
    counters = engine.counters()

    assert streams == []
    assert (counters.packets, counters.not_ip, counters.unprocessed) == (3, 1, 2)
    assert counters.tcp_packets == 0
    assert sum(engine.oddities().values()) >= 1


def test_datagrams_are_tracked_when_asked():
    question = ethernet(ipv4(udp(5, 53, b"question"), "10.0.0.1", "10.0.0.2", 17))
    answer = ethernet(ipv4(udp(53, 5, b"answer"), "10.0.0.2", "10.0.0.1", 17))
    streams, _ = closed([question, answer, question], datagrams=True)

    assert [(stream.source_port, stream.packets) for stream in streams] == [(5, 2), (53, 1)]


def test_fragments_are_put_together():
    payload = bytes(range(256)) * 4
    pieces = CLIENT.fragmented(0, payload, [8, 400, 800])
    (stream,) = facts([CLIENT.syn(), *reversed(pieces)])

    assert (stream.stream_bytes, stream.gaps) == (len(payload), ())


@pytest.mark.parametrize("memory_bytes", [1 << 20, 8 << 20])
def test_fragments_take_a_quarter_of_the_memory_at_most(memory_bytes):
    engine = Engine(Sink(), memory_bytes=memory_bytes)
    share = memory_bytes // 4
    first = CLIENT.fragmented(0, b"x" * 1400, [1200])[0]
    frames = [(1, first[:18] + n.to_bytes(2, "big") + first[20:]) for n in range(20_000)]
    engine.feed(records(frames), ETHERNET)

    held = engine.fragments()
    assert share // 2 < held.peak_bytes <= share + 4096
    assert held.evicted > 0


def test_fragments_in_doubt_are_odd():
    first, last = CLIENT.fragmented(0, b"x" * 100, [24])
    wrong = CLIENT.fragmented(0, b"y" * 100, [24])[1]
    _, engine = closed([last, wrong, first, last])

    assert engine.oddities() == {"FRAGMENT_OVERLAPPING": 1, "FRAGMENT_DISPUTED": 1}


def test_addresses_that_are_the_same_on_both_sides_are_one_flow():
    mirror = Side(address="10.0.0.1", peer_address="10.0.0.1", port=7, peer_port=7)
    (stream,) = facts([mirror.syn(), mirror.sends(0, b"land")])

    assert stream.stream_bytes == 4


def test_a_linktype_that_is_not_decoded_is_refused():
    with pytest.raises(SourceError, match="linktype 147"):
        Engine(Store(store=False)).feed(b"", 147)


@pytest.mark.parametrize("cut", [1, 15, 20])
def test_a_record_that_is_not_whole_is_refused(cut):
    data = records(timed([CLIENT.syn()]))

    with pytest.raises(ValueError, match="not whole"):
        Engine(Store(store=False)).feed(data[:-cut] if cut < 20 else data[:5], ETHERNET)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(-20, 60),
            st.integers(0, 20),
            st.sampled_from([ACK, SYN, SYN | ACK, FIN | ACK, RST, FIN | SYN, RST | SYN | FIN]),
            st.integers(0, 3),
        ),
        max_size=40,
    ),
    st.integers(1, 4),
)
def test_whatever_comes_every_stream_that_opens_closes_once(steps, feeds):
    sides = (CLIENT, SERVER)
    frames = [
        sides[to_client].sends(offset + 1000 * epoch, b"z" * size, flags)
        for to_client, offset, size, flags, epoch in steps
    ]
    streams, engine = closed(frames or [CLIENT.syn()], feeds=feeds, max_flows=2, skip_bytes=500)
    counters = engine.counters()

    assert len(streams) == counters.streams
    assert counters.open_streams == 0
    assert len({stream.number for stream in streams}) == len(streams)
    for stream in streams:
        assert sum(size for _, size in stream.gaps) <= 65536 * 3
        assert all(begin >= 0 and size > 0 for begin, size in stream.gaps)
