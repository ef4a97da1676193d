"""Segments of a stream: where their bytes belong, what is new, what is missing."""

import pytest

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.store import Store
from tests.flow.segments import (
    ACK,
    ETHERNET,
    SYN,
    Side,
    records,
)
from tests.flow.told import closed, facts
from tests.readers.streams.stored import Stored

CLIENT = Side()
SERVER = CLIENT.peer()


def test_no_stream_is_longer_than_a_file_can_be():
    step = 2_000_000_000
    frames = [CLIENT.sends(step * turn, b"x") for turn in range(2300)]
    first, second = facts(frames, skip_bytes=step)

    assert first.stream_bytes <= 1 << 42
    assert (first.why, second.why) == ("evicted", "end")
    assert first.stream_bytes + second.stream_bytes + step - 1 == step * 2299 + 1


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


RESENT = [
    CLIENT.syn(),
    CLIENT.sends(0, b"hello"),
    CLIENT.sends(5, b" world"),
    CLIENT.sends(0, b"hello"),
]


@pytest.mark.parametrize("last_wins", [True, False])
def test_a_keep_alive_behind_a_retransmission_changes_nothing(tmp_path, last_wins):
    frames = [*RESENT, CLIENT.sends(10, b"\0"), CLIENT.sends(11, b" again"), CLIENT.fin(17)]
    stored = Stored(tmp_path, frames, last_wins=last_wins)

    assert list(stored.files.values()) == [b"hello world again"]


def test_a_keep_alive_behind_a_retransmission_is_told_as_one():
    (stream,) = facts([*RESENT, CLIENT.sends(10, b"\0")])

    assert (stream.retransmissions, stream.out_of_order, stream.differing_bytes) == (1, 1, 0)


def test_a_keep_alive_after_the_close_is_no_repetition():
    frames = [*RESENT, CLIENT.rst(11), CLIENT.sends(10, b"\0")]
    streams, engine = closed(frames)

    assert [stream.stream_bytes for stream in streams] == [11]
    assert engine.counters().late_bytes == 0


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


@pytest.mark.parametrize("offset", [5 + 1001, 1_000_000_000, -2_000_000_000])
def test_a_fin_further_away_than_data_may_jump_is_a_violation(offset):
    frames = [CLIENT.syn(), CLIENT.sends(0, b"hello"), CLIENT.fin(offset), CLIENT.fin(5)]
    (stream,) = facts(frames, skip_bytes=1000)

    assert (stream.stream_bytes, stream.gaps, stream.violations) == (5, (), 1)
    assert stream.why == "fin"


def test_a_fin_as_far_away_as_data_may_jump_tells_of_a_gap():
    (stream,) = facts([CLIENT.syn(), CLIENT.sends(0, b"hello"), CLIENT.fin(1005)], skip_bytes=1000)

    assert (stream.gaps, stream.violations) == (((5, 1000),), 0)


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


def test_a_syn_with_data_that_jumps_begins_another_stream_behind_itself():
    syn = CLIENT.sends(-1, b"hello", SYN)
    frames = [syn, CLIENT.sends(5, b"x" * 200), syn, CLIENT.sends(5, b"WORLD")]
    first, second = facts(frames, skip_bytes=50)

    assert (first.stream_bytes, second.stream_bytes, second.gaps) == (205, 10, ())


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
