"""What the console prints of packets as they come, and of streams in order."""

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.console import Console, OrderedConsole
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.outlet import Outlet
from daemonlogger_py.readers.streams.printing import Printing

from ...flow.segments import ACK, SYN, Side, cut, records, timed
from ...pcaps.make import file_header
from .sinking import content, feed, in_memory

CLIENT = Side()
SERVER = CLIENT.peer()
HANDSHAKE = [CLIENT.syn(), SERVER.syn(flags=SYN | ACK), CLIENT.sends(0)]
NAME = "010.000.000.001.40000-010.000.000.002.00080"
TEMPLATE = Template("%A.%a-%B.%b%V%v%C%c")


def printing(fd: int, **form: object) -> Printing:
    return Printing(Outlet(fd), TEMPLATE, **form)  # type: ignore[arg-type]


def as_they_come(frames: list[bytes], **form: object) -> bytes:
    with in_memory() as fd:
        feed(Console(printing(fd, **form)), timed(frames))
        return content(fd)


def in_order(frames: list[bytes], *, gaps: bool = False, **form: object) -> bytes:
    with in_memory() as fd:
        feed(OrderedConsole(printing(fd, **form), gaps=gaps), timed(frames))
        return content(fd)


def test_packets_are_printed_as_they_come_repeated_or_not() -> None:
    frames = [
        *HANDSHAKE,
        CLIENT.sends(5, b"world"),
        CLIENT.sends(0, b"hello"),
        CLIENT.sends(0, b"hello"),
        CLIENT.sends(3, b"lowo"),
    ]

    assert as_they_come(frames, names=False) == b"world\nhello\nhello\nlowo\n"
    assert in_order(frames, names=False) == b"hello\nworld\n"


def test_padding_of_short_frames_is_no_data() -> None:
    client = Side(pad=True)
    frames = [client.syn(), client.sends(0), client.sends(0, b"hi"), client.fin(2)]

    assert as_they_come(frames, names=False) == b"hi\n"
    assert in_order(frames, names=False) == b"hi\n"


def test_nothing_is_printed_behind_what_was_captured() -> None:
    record = timed([CLIENT.sends(0, b"captured and cut")])[0]
    with in_memory() as fd:
        feed(Console(printing(fd, names=False)), timed([CLIENT.syn()]), [cut(record, 54 + 8)])
        assert content(fd) == b"captured\n"


def test_data_of_a_syn_and_of_a_reset() -> None:
    frames = [CLIENT.syn(b"early"), CLIENT.sends(5, b"reset", 4)]

    assert as_they_come(frames, names=False) == b"early\nreset\n"
    assert in_order(frames, names=False) == b"early\nreset\n"


def test_limit_counts_the_new_bytes_of_each_stream() -> None:
    frames = [*HANDSHAKE, CLIENT.sends(4, b"efgh"), CLIENT.sends(0, b"abcd")]

    assert as_they_come(frames, names=False, max_bytes=6) == b"efgh\nab\n"
    assert in_order(frames, names=False, max_bytes=6) == b"abcd\nef\n"


def test_limit_where_the_beginning_comes_late_or_not_at_all() -> None:
    late = [CLIENT.sends(8, b"ijkl"), CLIENT.sends(4, b"efgh"), CLIENT.sends(0, b"abcd")]

    assert as_they_come(late, names=False, max_bytes=6) == b"ijkl\nef\n"
    assert as_they_come([*late, CLIENT.syn()], names=False, max_bytes=9) == b"ijkl\nefgh\na\n"


def test_limit_counts_no_repetition_and_no_hole() -> None:
    frames = [
        *HANDSHAKE,
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(0, b"abcd"),
        CLIENT.sends(100, b"xyz"),
        CLIENT.sends(0, b"abcd"),
        CLIENT.rst(103),
        CLIENT.sends(0, b"abcd"),
    ]

    assert as_they_come(frames, names=False, max_bytes=6) == b"abcd\nab\nxy\n"
    assert in_order(frames, names=False, max_bytes=6) == b"abcd\nxy\n"


def test_limit_holds_for_what_follows_the_end_of_a_stream() -> None:
    frames = [*HANDSHAKE, CLIENT.sends(0, b"abcd"), CLIENT.fin(4), CLIENT.sends(0, b"abcd")]

    assert as_they_come(frames, names=False, max_bytes=4) == b"abcd\n"
    assert as_they_come(frames, names=False, max_bytes=9) == b"abcd\nabcd\n"


def test_limit_begins_again_with_the_next_connection() -> None:
    again = Side(isn=1_000_000)
    frames = [*HANDSHAKE, CLIENT.sends(0, b"first"), again.syn(), again.sends(0, b"second")]

    assert as_they_come(frames, names=False, max_bytes=3) == b"fir\nsec\n"
    assert in_order(frames, names=False, max_bytes=3) == b"fir\nsec\n"


HOLE = [*HANDSHAKE, CLIENT.sends(0, b"before"), CLIENT.sends(1006, b"behind"), CLIENT.fin(1012)]


def test_missing_bytes_are_told_if_asked_for() -> None:
    assert in_order(HOLE) == f"{NAME}: before\n{NAME}: behind\n".encode()
    assert (
        in_order(HOLE, gaps=True)
        == f"{NAME}: before\n{NAME}: [1000 bytes missing]\n{NAME}: behind\n".encode()
    )
    assert in_order(HOLE, gaps=True, names=False) == b"before\n[1000 bytes missing]\nbehind\n"


def test_missing_bytes_in_each_form() -> None:
    lines = in_order(HOLE, gaps=True, json=True).splitlines()
    assert lines[1] == (
        b'{"src_host":"10.0.0.1","src_port":40000,"dst_host":"10.0.0.2","dst_port":80,'
        b'"missing": 1000}'
    )
    assert b"\n\n[1000 bytes missing]\n\n0000: " in in_order(HOLE, gaps=True, names=False, hex=True)
    assert in_order(HOLE, gaps=True, names=False, raw=True) == b"before\nbehind\n"
    assert b"\033[0;34m[1000 bytes missing]\033[0m\n" in in_order(
        HOLE, gaps=True, names=False, colour=True
    )


def test_missing_bytes_behind_the_limit_are_not_told() -> None:
    assert in_order(HOLE, gaps=True, names=False, max_bytes=6) == b"before\n"
    told = b"before\n[1000 bytes missing]\nb\n"
    assert in_order(HOLE, gaps=True, names=False, max_bytes=7) == told


def test_reader_that_went_away_ends_the_feed() -> None:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.close(reading)
    sinks: list[Sink] = [Console(printing(writing)), OrderedConsole(printing(writing))]
    for sink in sinks:
        with pytest.raises(BrokenPipeError):
            feed(sink, timed([*HANDSHAKE, CLIENT.sends(0, b"x")]))
    os.close(writing)


@given(
    data=st.binary(min_size=1, max_size=400),
    cuts=st.lists(st.integers(0, 399), max_size=12),
    order=st.randoms(use_true_random=False),
    again=st.lists(st.integers(0, 12), max_size=4),
)
def test_any_order_of_any_segments_prints_the_stream(
    data: bytes, cuts: list[int], order: object, again: list[int]
) -> None:
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = list(pairwise(bounds))
    pieces += [pieces[index % len(pieces)] for index in again]
    order.shuffle(pieces)  # type: ignore[attr-defined]
    frames = [*HANDSHAKE, *(CLIENT.sends(begin, data[begin:end]) for begin, end in pieces)]

    assert in_order(frames, names=False, raw=True, newline=False) == data
    assert as_they_come(frames, names=False, raw=True, newline=False) == b"".join(
        data[begin:end] for begin, end in pieces
    )


MODES = ["-c", "-C", "-cB", "-CB", "-c0", "-cg", "-CgB0", "-cD", "-CD", "-cDg0", "-cJ", "-CJg"]


@pytest.mark.skipif(shutil.which("tcpflow") is None, reason="tcpflow is not installed")
@pytest.mark.parametrize("mode", MODES)
def test_the_same_bytes_as_tcpflow(mode: str, tmp_path: Path) -> None:
    """Of packets without padding or holes; what tcpflow gets wrong is in docs/streams.md."""
    other = Side(port=50000, isn=7)
    frames = [
        *HANDSHAKE,
        CLIENT.sends(0, b"GET / HTTP/1.0\r\n\r\n"),
        SERVER.sends(0, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256))),
        other.sends(0, b"no SYN\t\x7f"),
        SERVER.sends(274, b"x" * 33),
        SERVER.sends(274, b"x" * 33),
        CLIENT.fin(18),
        SERVER.fin(307),
    ]
    path = tmp_path / "in.pcap"
    path.write_bytes(file_header() + records(timed(frames)))
    peer = subprocess.run(
        ["tcpflow", mode, "-X", tmp_path / "report.xml", "-r", path],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )

    form = {
        "names": "c" in mode,
        "raw": "B" in mode,
        "hex": "D" in mode,
        "colour": "g" in mode,
        "newline": "0" not in mode,
        "json": "J" in mode,
    }
    assert as_they_come(frames, **form) == peer.stdout
