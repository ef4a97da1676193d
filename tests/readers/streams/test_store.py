"""What is stored of streams: every byte where it belongs, whatever the order, and by the policy."""

import pytest

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.store import Store
from tests.flow.segments import ACK, ETHERNET, SYN, TCP, Side, fragments, records, timed
from tests.readers.streams.stored import Stored

CLIENT = Side()
SERVER = CLIENT.peer()
CLIENT_FILE = "010.000.000.001.40000-010.000.000.002.00080"
SERVER_FILE = "010.000.000.002.00080-010.000.000.001.40000"


def test_both_directions_are_files_of_their_own(tmp_path):
    frames = [
        CLIENT.syn(),
        SERVER.syn(flags=SYN | ACK),
        CLIENT.sends(0, b"hi"),
        SERVER.sends(0, b"ho"),
    ]

    assert Stored(tmp_path, frames).files == {CLIENT_FILE: b"hi", SERVER_FILE: b"ho"}


def test_a_stream_without_data_has_no_file(tmp_path):
    stored = Stored(tmp_path, [CLIENT.syn(), CLIENT.fin(0)])

    assert stored.files == {}
    assert [(fact.name, fact.stream_bytes) for fact in stored.facts] == [(None, 0)]


def test_segments_out_of_order_are_put_in_place(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(4, b"ef"), CLIENT.sends(0, b"ab"), CLIENT.sends(2, b"cd")]

    assert Stored(tmp_path, frames).files == {CLIENT_FILE: b"abcdef"}


def test_a_gap_is_a_hole_that_is_told_of(tmp_path):
    stored = Stored(tmp_path, [CLIENT.syn(), CLIENT.sends(0, b"ab"), CLIENT.sends(5, b"f")])

    assert stored.files == {CLIENT_FILE: b"ab\0\0\0f"}
    assert stored.facts[0].gaps == ((2, 3),)
    assert b"<gap file_offset='2' len='3' />" in stored.facts[0].row
    assert (stored.store.gap_streams, stored.store.gap_bytes) == (1, 3)


@pytest.mark.parametrize(("last_wins", "content"), [(True, b"abXYef"), (False, b"abcdef")])
@pytest.mark.parametrize("feeds", [1, 4])
def test_bytes_that_differ_win_by_the_policy_and_are_counted(tmp_path, last_wins, content, feeds):
    frames = [
        CLIENT.syn(),
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(2, b"XYef"),
        CLIENT.sends(0, b"ab"),
    ]
    stored = Stored(tmp_path, frames, last_wins=last_wins, feeds=feeds)

    assert stored.files == {CLIENT_FILE: content}
    assert stored.facts[0].differing_bytes == 2
    assert b"differing_bytes='2'" in stored.batches[-1].rows(b"", with_gaps=False)


@pytest.mark.parametrize("feeds", [1, 5])
def test_bytes_from_before_the_first_are_put_in_front(tmp_path, feeds):
    frames = [
        CLIENT.sends(10, b"klm"),
        CLIENT.sends(4, b"ef"),
        CLIENT.sends(8, b"ij"),
        CLIENT.sends(13, b"n"),
        CLIENT.sends(5, b"F"),
    ]
    stored = Stored(tmp_path, frames, feeds=feeds, findx=True)

    assert stored.files == {
        CLIENT_FILE: b"eF\0\0ijklmn",
        CLIENT_FILE + ".findx": (
            b"0|1000000000.001000|2\n1|1000000000.004000|1\n4|1000000000.002000|2\n"
            b"6|1000000000.000000|3\n9|1000000000.003000|1\n"
        ),
    }
    assert stored.facts[0].gaps == ((2, 2),)
    assert stored.facts[0].differing_bytes == 1


def test_what_is_far_in_front_is_moved_whole(tmp_path):
    body = bytes(range(256)) * 9000
    pieces = [CLIENT.sends(at, body[at : at + 1400]) for at in range(3000, len(body), 1400)]
    stored = Stored(tmp_path, [*pieces, CLIENT.sends(0, body[:3000])], feeds=7)

    assert stored.files == {CLIENT_FILE: body}


def test_bytes_may_come_one_in_front_of_the_other_without_end(tmp_path):
    body = bytes(range(256)) * 1200
    pieces = [CLIENT.sends(at, body[at : at + 100]) for at in range(0, len(body), 100)]
    again = CLIENT.sends(100_000, bytes(50))
    stored = Stored(tmp_path, [*reversed(pieces), again], feeds=9)

    assert stored.files == {CLIENT_FILE: body[:100_000] + bytes(50) + body[100_050:]}
    assert stored.facts[0].differing_bytes == 50


def test_holes_are_not_filled_when_bytes_are_put_in_front(tmp_path):
    step = 7_000_000
    frames = [CLIENT.sends((step + 1) * turn, b"%d" % turn) for turn in (3, 2, 1, 0)]
    stored = Stored(tmp_path, frames)

    assert stored.files == {CLIENT_FILE: bytes(step).join([b"0", b"1", b"2", b"3"])}
    assert (tmp_path / CLIENT_FILE).stat().st_blocks * 512 < step


def test_a_file_begins_with_the_syn_that_came_late(tmp_path):
    stored = Stored(tmp_path, [CLIENT.sends(5, b"fg"), CLIENT.syn()])

    assert stored.files == {CLIENT_FILE: b"\0\0\0\0\0fg"}
    assert stored.facts[0].gaps == ((0, 5),)


def test_no_more_bytes_than_asked_for_are_stored(tmp_path):
    frames = [
        CLIENT.syn(),
        CLIENT.sends(4, b"efgh"),
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(9, b"j"),
    ]
    stored = Stored(tmp_path, frames, max_bytes=6, findx=True)

    assert stored.files[CLIENT_FILE] == b"abcdef"
    assert stored.facts[0].stream_bytes == 10
    assert [
        line.split(b"|")[0::2] for line in stored.files[CLIENT_FILE + ".findx"].splitlines()
    ] == [
        [b"0", b"4"],
        [b"4", b"2"],
        [b"9", b"0"],
    ]


def test_gaps_are_rows_of_a_findx_file_if_asked_for(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(3, b"d"), CLIENT.sends(0, b"a"), CLIENT.fin(9)]
    stored = Stored(tmp_path, frames, findx=True, gaps=True)

    assert stored.files[CLIENT_FILE + ".findx"] == (
        b"0|1000000000.002000|1\n1||2\n3|1000000000.001000|1\n4||5\n"
    )


REPEATING = [
    CLIENT.syn(),
    CLIENT.sends(0, b"AAAA"),
    CLIENT.sends(8, b"CCCC"),
    CLIENT.sends(2, b"bbbbbbbb"),  # old, new, old
    CLIENT.sends(0, b"aaaa"),
]


@pytest.mark.parametrize(
    ("last_wins", "content", "rows"),
    [
        (True, b"aaaabbbbbbCC", ["0|1|4", "0|4|4", "2|3|8", "8|2|4"]),
        (False, b"AAAAbbbbCCCC", ["0|1|4", "4|3|4", "8|2|4"]),
    ],
)
@pytest.mark.parametrize("stream_rows", [1, 2, 100])
def test_a_segment_of_which_something_is_stored_is_one_row(
    tmp_path, last_wins, content, rows, stream_rows
):
    limit = {"stream_rows": stream_rows}
    files = Stored(tmp_path, REPEATING, last_wins=last_wins, findx=True, rows=limit).files

    assert files[CLIENT_FILE] == content
    told = [line.split("|") for line in files[CLIENT_FILE + ".findx"].decode().splitlines()]
    assert [f"{at}|{int(time[-6:]) // 1000}|{count}" for at, time, count in told] == rows


def test_datagrams_in_the_same_memory_are_rows_of_their_own(tmp_path):
    # What the second brings begins where that of the first ended.
    segments = [CLIENT.segment(0, b"x" * 20), CLIENT.segment(20, b"y" * 20, options=b"\1" * 20)]
    frames = [CLIENT.syn()]
    for number, segment in enumerate(segments):
        packets = fragments(
            segment, [24], CLIENT.address, CLIENT.peer_address, TCP, identification=number
        )
        frames += [CLIENT.frame(packet) for packet in packets]
    files = Stored(tmp_path, frames, findx=True).files

    assert files[CLIENT_FILE] == b"x" * 20 + b"y" * 20
    assert [line.split(b"|")[0::2] for line in files[CLIENT_FILE + ".findx"].splitlines()] == [
        [b"0", b"20"],
        [b"20", b"20"],
    ]


def test_rows_of_one_offset_are_in_the_order_of_their_arrival(tmp_path):
    frames = [CLIENT.syn(), *(CLIENT.sends(0, b"x" * count) for count in range(2, 40))]
    files = Stored(tmp_path, frames, findx=True, rows={"stream_rows": 5}).files

    lines = files[CLIENT_FILE + ".findx"].splitlines()
    assert [int(line.split(b"|")[2]) for line in lines] == [*range(2, 40)]


def test_a_repetition_of_what_is_not_stored_is_a_row_of_nothing(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(0, b"abcd"), CLIENT.sends(2, b"cd")]
    files = Stored(tmp_path, frames, max_bytes=2, findx=True).files

    assert [line.split(b"|")[2] for line in files[CLIENT_FILE + ".findx"].splitlines()] == [
        b"2",
        b"0",
    ]


def test_a_limit_holds_for_what_is_put_in_front_too(tmp_path):
    frames = [CLIENT.sends(4, b"efgh"), CLIENT.sends(0, b"abcd")]

    assert Stored(tmp_path, frames, max_bytes=3).files == {CLIENT_FILE: b"abc"}


def test_a_limit_of_nothing_leaves_empty_files(tmp_path):
    assert Stored(tmp_path, [CLIENT.syn(), CLIENT.sends(0, b"a")], max_bytes=0).files == {
        CLIENT_FILE: b""
    }


def test_a_further_connection_of_the_same_addresses_is_counted(tmp_path):
    frames = []
    for turn in range(3):
        side = Side(isn=turn * 100_000)
        frames += [side.syn(), side.sends(0, b"turn %d" % turn), side.fin(6)]
    stored = Stored(tmp_path, frames, feeds=2)

    assert stored.files == {
        CLIENT_FILE: b"turn 0",
        CLIENT_FILE + "c1": b"turn 1",
        CLIENT_FILE + "c2": b"turn 2",
    }
    assert [fact.name for fact in stored.facts] == list(stored.files)


def test_the_most_files_that_were_open_are_counted(tmp_path):
    frames = [Side(port=port).syn() for port in range(1, 9)]
    frames += [Side(port=port).sends(0, b"x") for port in (1, 2, 3)]
    frames += [Side(port=1).fin(1), Side(port=4).sends(0, b"y")]

    assert Stored(tmp_path, frames).store.most_open_files == 3


def test_one_open_file_is_enough(tmp_path):
    frames = []
    for turn in range(8):
        frames += [Side(port=port).sends(turn * 2, b"%02d" % turn) for port in range(1, 30)]
    whole = b"".join(b"%02d" % turn for turn in range(8))
    stored = Stored(tmp_path, frames, feeds=16, writers=2, max_open=1)

    assert len(stored.files) == 29
    assert set(stored.files.values()) == {whole}


def test_datagrams_put_together_are_stored_although_their_memory_is_used_again(tmp_path):
    body = bytes(range(256)) * 8
    frames = [CLIENT.syn()]
    for turn in range(8):
        piece = body[turn * 256 : turn * 256 + 256]
        frames += CLIENT.fragmented(turn * 256, piece, [64, 128], identification=turn)

    assert Stored(tmp_path, frames).files == {CLIENT_FILE: body}


def test_files_have_the_time_of_the_first_packet(tmp_path):
    Stored(tmp_path, [CLIENT.syn(), CLIENT.sends(0, b"x")])

    assert (tmp_path / CLIENT_FILE).stat().st_mtime_ns == 10**18


def test_without_storing_only_facts_are_there(tmp_path):
    store = Store(store=False)
    engine = Engine(store)
    engine.feed(records(timed([CLIENT.syn(), CLIENT.sends(0, b"abc")])), ETHERNET)
    engine.finish()
    batch = store.take()

    assert batch.operations_left == 0
    assert b"<filesize>3</filesize>" in batch.rows(b"", with_gaps=False)
    assert b"<filename>" not in batch.rows(b"", with_gaps=False)
