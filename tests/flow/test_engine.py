"""The rules of flows and TCP: what is one stream, when it ends, and what is counted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.engine import Engine
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

CLIENT = Side()
SERVER = CLIENT.peer()


def closed(frames, *, step_ns=1_000_000, feeds=1, **options):
    """(facts of the streams, engine) of frames fed in so many feeds."""
    store = Store(store=False)
    engine = Engine(store, **options)
    items = timed(frames, step_ns=step_ns)
    size = -(-len(items) // feeds)
    for begin in range(0, len(items), size):
        engine.feed(records(items[begin : begin + size]), ETHERNET)
    engine.finish()
    return store.take().facts(b"", with_gaps=False), engine


def facts(frames, **options):
    return closed(frames, **options)[0]


def test_no_stream_is_longer_than_a_file_can_be():
    step = 2_000_000_000
    frames = [CLIENT.sends(step * turn, b"x") for turn in range(2300)]
    first, second = facts(frames, skip_bytes=step)

    assert first.stream_bytes <= 1 << 42
    assert (first.why, second.why) == ("evicted", "end")
    assert first.stream_bytes + second.stream_bytes + step - 1 == step * 2299 + 1


def test_what_is_open_at_the_end_is_closed_by_and_by():
    store = Store(store=False)
    engine = Engine(store)
    engine.feed(records(timed([Side(port=port).syn() for port in range(1, 8)])), ETHERNET)
    ports = []
    rounds = 0
    while not engine.finish(3):
        rounds += 1
        ports += [fact.source_port for fact in store.take().facts(b"", with_gaps=False)]

    assert engine.finish()
    ports += [fact.source_port for fact in store.take().facts(b"", with_gaps=False)]
    assert (rounds, ports) == (2, [1, 2, 3, 4, 5, 6, 7])
    with pytest.raises(ValueError, match="finished"):
        engine.feed(records(timed([CLIENT.syn()])), ETHERNET)


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


def test_a_repeated_syn_is_the_same_connection():
    (stream,) = facts([CLIENT.syn(), CLIENT.syn(), CLIENT.sends(0, b"abc"), CLIENT.syn()])

    assert (stream.stream_bytes, stream.packets) == (3, 4)


def test_a_syn_that_comes_late_belongs_to_the_data_before_it():
    (stream,) = facts([CLIENT.sends(0, b"abc"), CLIENT.syn(), CLIENT.sends(3, b"d")])

    assert (stream.stream_bytes, stream.gaps, stream.syn) == (4, (), True)


def test_a_late_syn_before_missing_bytes_tells_of_them():
    (stream,) = facts([CLIENT.sends(10, b"abc"), CLIENT.syn()])

    assert stream.gaps == ((0, 10),)
    assert stream.stream_bytes == 13


def test_a_syn_ack_behind_reordered_data_is_the_same_connection():
    streams = facts([CLIENT.syn(), SERVER.sends(0, b"early"), SERVER.syn(flags=SYN | ACK)])

    assert [stream.stream_bytes for stream in streams] == [0, 5]


def test_data_in_the_syn_is_kept_and_counted_as_a_violation():
    (stream,) = facts([CLIENT.syn(b"fast"), CLIENT.sends(4, b" open")])

    assert (stream.stream_bytes, stream.violations, stream.gaps) == (9, 1, ())


def test_bytes_before_the_syn_are_dropped_and_counted():
    streams, engine = closed([CLIENT.syn(), CLIENT.sends(-4, b"abcdef")])

    assert (streams[0].stream_bytes, streams[0].violations) == (2, 1)
    assert engine.counters().before_syn_bytes == 4


def test_bytes_before_the_first_seen_are_kept_without_a_syn():
    (stream,) = facts([CLIENT.sends(10, b"later"), CLIENT.sends(4, b"ear")])

    assert (stream.stream_bytes, stream.gaps) == (11, ((3, 3),))
    assert stream.out_of_order == 1


def test_a_byte_just_before_the_next_is_a_keep_alive():
    (stream,) = facts([CLIENT.syn(), CLIENT.sends(0, b"abc"), CLIENT.sends(2, b"\0")])

    assert (stream.retransmissions, stream.out_of_order, stream.stream_bytes) == (0, 0, 3)


def test_one_missing_byte_that_comes_late_is_not_a_keep_alive():
    (stream,) = facts(
        [CLIENT.syn(), CLIENT.sends(1, b""), CLIENT.sends(1, b"b"), CLIENT.sends(0, b"a")]
    )

    assert (stream.stream_bytes, stream.gaps) == (2, ())


def test_retransmissions_are_counted_and_add_nothing():
    frames = [
        CLIENT.syn(),
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(2, b"cdef"),
    ]
    (stream,) = facts(frames)

    assert (stream.stream_bytes, stream.retransmissions, stream.out_of_order) == (6, 2, 2)


def test_a_gap_at_the_end_is_known_from_the_fin():
    (stream,) = facts([CLIENT.syn(), CLIENT.sends(0, b"abc"), CLIENT.fin(10)])

    assert stream.gaps == ((3, 7),)
    assert stream.why == "end"


def test_bytes_that_were_not_captured_are_a_gap():
    store = Store(store=False)
    engine = Engine(store)
    frame = CLIENT.sends(0, b"a" * 100)
    items = [
        (10**18, CLIENT.syn()),
        (10**18 + 1, frame[:-60], len(frame)),
        (10**18 + 2, CLIENT.sends(100, b"b")),
    ]
    engine.feed(records(items), ETHERNET)
    engine.finish()
    (stream,) = store.take().facts(b"", with_gaps=False)

    assert stream.gaps == ((40, 60),)
    assert stream.captured_bytes == stream.length_bytes - 60


def test_padding_is_not_data():
    padded = Side(pad=True)
    streams = facts([padded.syn(), padded.sends(0), padded.sends(0, b"x"), padded.fin(1)])

    assert [stream.stream_bytes for stream in streams] == [1]


def test_a_rst_ends_its_own_direction():
    frames = [CLIENT.syn(), SERVER.syn(flags=SYN | ACK), CLIENT.rst(0), SERVER.sends(0, b"late")]
    client, server = facts(frames)

    assert (client.why, server.why, server.stream_bytes) == ("rst", "end", 4)


def test_a_repetition_after_the_end_is_no_stream_of_its_own():
    frames = [
        CLIENT.syn(),
        CLIENT.sends(0, b"abcd"),
        CLIENT.fin(4),
        CLIENT.sends(1, b"bcd"),
        CLIENT.sends(4),
    ]
    streams, engine = closed(frames)

    assert [stream.stream_bytes for stream in streams] == [4]
    assert engine.counters().late_bytes == 3


def test_new_bytes_after_the_end_are_a_stream_of_their_own():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"abcd"), CLIENT.fin(4), CLIENT.sends(0, b"abcdX")]
    first, second = facts(frames)

    assert (first.stream_bytes, second.stream_bytes, second.number) == (4, 5, 1)


@pytest.mark.parametrize(
    ("skip_bytes", "streams"), [(100, [1, 1]), (101, [103])], ids=["more", "as many"]
)
def test_a_jump_of_more_than_the_limit_begins_another_stream(skip_bytes, streams):
    found = facts(
        [CLIENT.syn(), CLIENT.sends(0, b"a"), CLIENT.sends(102, b"b")], skip_bytes=skip_bytes
    )

    assert [stream.stream_bytes for stream in found] == streams


def test_no_jump_at_all_is_taken_with_a_limit_of_zero():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"a"), CLIENT.sends(2, b"b"), CLIENT.sends(3, b"c")]

    assert [stream.stream_bytes for stream in facts(frames, skip_bytes=0)] == [1, 2]


@pytest.mark.parametrize("isn", [2**32 - 1, 2**32 - 3, 2**31 - 2])
def test_sequence_numbers_wrap(isn):
    side = Side(isn=isn)
    frames = [side.syn(), side.sends(0, b"abcd"), side.sends(4, b"efgh"), side.fin(8)]
    (stream,) = facts(frames)

    assert (stream.stream_bytes, stream.why, stream.gaps) == (8, "fin", ())


def test_more_than_4_gib_are_followed():
    frames = [CLIENT.syn()]
    step = 2**31 - 2**20
    frames += [CLIENT.sends(step * turn, b"x") for turn in range(1, 6)]
    (stream,) = facts(frames, skip_bytes=2**31)

    assert stream.stream_bytes == 5 * step + 1


def test_idle_flows_are_closed_by_capture_time():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"a"), Side(port=5).syn(), CLIENT.sends(1, b"b")]
    found, engine = closed(frames, step_ns=10**9, idle_ns=15 * 10**8)

    assert [(stream.stream_bytes, stream.why) for stream in found] == [
        (1, "idle"),
        (0, "end"),
        (1, "end"),
    ]
    assert engine.counters().idle_flows == 1


def test_the_flow_that_was_idle_for_longest_makes_room():
    frames = [Side(port=port).syn() for port in (1, 2, 3)]
    frames += [Side(port=1).sends(0, b"a"), Side(port=4).syn()]
    found, engine = closed(frames, max_flows=3)

    assert [stream.source_port for stream in found] == [2, 1, 3, 4]
    assert found[0].why == "evicted"
    assert engine.counters().evicted_flows == 1


def test_memory_is_a_limit_too():
    found, engine = closed([Side(port=port).syn() for port in range(1, 100)], memory_bytes=20_000)

    assert len(found) == 99
    assert engine.counters().evicted_flows > 40


def test_the_packet_that_jumps_is_of_the_stream_it_begins_alone():
    frames = [CLIENT.syn(), CLIENT.sends(0, b"ab"), CLIENT.sends(100, b"c"), CLIENT.sends(1, b"b")]
    first, second, third = facts(frames, skip_bytes=10)

    assert (first.packets, first.last_ns - first.first_ns) == (2, 1_000_000)
    assert (first.length_bytes, second.length_bytes) == (
        len(frames[0]) + len(frames[1]),
        len(frames[2]),
    )
    assert (second.packets, second.out_of_order) == (1, 0)
    assert (third.packets, third.out_of_order) == (1, 0)


def test_what_comes_before_the_first_byte_is_a_violation_and_not_out_of_order():
    (stream,) = facts([CLIENT.syn(), CLIENT.sends(0, b"ab"), CLIENT.sends(-5, b"x")])

    assert (stream.violations, stream.out_of_order, stream.stream_bytes) == (1, 0, 2)


def test_memory_is_a_limit_for_flows_that_grow():
    sides = [Side(port=port) for port in range(1, 21)]
    opened = [side.syn() for side in sides]
    gaps = [side.sends(2 * turn + 1, b"x") for turn in range(512) for side in sides]
    _, roomy = closed([*opened, *gaps], memory_bytes=1 << 20)
    _, tight = closed([*opened, *gaps], memory_bytes=100_000)

    assert roomy.counters().evicted_flows == 0
    assert tight.counters().evicted_flows > 10


def test_flows_that_ended_make_room_first():
    frames = [
        Side(port=1).syn(),
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.fin(0),
        SERVER.fin(0),
    ]
    found, engine = closed([*frames, Side(port=3).syn()], max_flows=2)

    assert engine.counters().evicted_flows == 0
    assert [stream.why for stream in found] == ["fin", "fin", "end", "end"]


def test_what_is_left_is_closed_in_the_order_of_the_first_packets():
    ports = [9, 3, 7, 5, 1]
    frames = [Side(port=port).syn() for port in ports] + [Side(port=9).sends(0, b"x")]

    assert [stream.source_port for stream in facts(frames)] == ports


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
