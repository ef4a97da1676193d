"""Forms of the console: as tcpflow 1.6.1 prints the same packets."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.console import Console, OrderedConsole
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.outlet import Outlet
from daemonlogger_py.readers.streams.printing import Printing

from ...flow.segments import ACK, SYN, Side, ipv4, timed
from .sinking import content, feed, in_memory

CLIENT = Side()
SERVER = CLIENT.peer()
NAME = b"010.000.000.001.40000-010.000.000.002.00080"
BACK = b"010.000.000.002.00080-010.000.000.001.40000"
HANDSHAKE = [CLIENT.syn(), SERVER.syn(flags=SYN | ACK)]
ALL_BYTES = bytes(range(256))
TEMPLATE = "%A.%a-%B.%b%V%v%C%c"

BLUE, RED, OFF = b"\033[0;34m", b"\033[0;31m", b"\033[0m"

DOTTED = b"..........\n..\r.................." + bytes(range(0x20, 0x7F)) + b"." * (256 - 0x7F)


def printed(
    *payloads: bytes, side: Side = CLIENT, lead: list[bytes] | None = None, **form: object
) -> bytes:
    frames = list(HANDSHAKE if lead is None else lead)
    offset = 0
    for payload in payloads:
        frames.append(side.sends(offset, payload))
        offset += len(payload)
    return printed_frames(frames, **form)


def printed_frames(frames: list[bytes], template: str = TEMPLATE, **form: object) -> bytes:
    with in_memory() as fd:
        printing = Printing(Outlet(fd), Template(template), **form)  # type: ignore[arg-type]
        feed(Console(printing), timed(frames))
        return content(fd)


def test_names_and_printable_characters() -> None:
    assert printed(b"GET /\r\n", b"\ttab") == NAME + b": GET /\r\n\n" + NAME + b": .tab\n"
    assert printed(b"x", side=SERVER) == BACK + b": x\n"


def test_what_a_terminal_would_obey_is_a_dot() -> None:
    assert printed(ALL_BYTES, names=False, newline=False) == DOTTED


@pytest.mark.parametrize("count", [*range(1, 70), 1447, 1448])
def test_every_length(count: int) -> None:
    payload = (ALL_BYTES * 6)[:count]

    assert printed(payload, names=False, newline=False) == (DOTTED * 6)[:count]


def test_raw() -> None:
    assert printed(ALL_BYTES, b"x", names=False, raw=True) == ALL_BYTES + b"\nx\n"
    assert printed(ALL_BYTES, raw=True, newline=False) == NAME + b": " + ALL_BYTES


def test_nothing_is_printed_for_packets_without_data() -> None:
    assert printed_frames([*HANDSHAKE, CLIENT.sends(0), CLIENT.fin(0)]) == b""


HEX_32 = b"2021 2223 2425 2627 2829 2a2b 2c2d 2e2f 3031 3233 3435 3637 3839 3a3b 3c3d 3e3f "
TEXT_32 = b" !\"#$%&'()*+,-./0123456789:;<=>?"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"def", b"0000: 6465 66 def\n"),
        (b"reply\n", b"0000: 7265 706c 790a  reply.\n"),
        (TEXT_32, b"0000: " + HEX_32 + b" " + TEXT_32 + b"\n"),
        (
            TEXT_32 + b"z\x80",
            b"0000: " + HEX_32 + b" " + TEXT_32 + b"\n0020: 7a80 " + b" " * 75 + b" z.\n",
        ),
        (
            TEXT_32 + b"z",
            b"0000: " + HEX_32 + b" " + TEXT_32 + b"\n0020: 7a" + b" " * 78 + b" z\n",
        ),
    ],
)
def test_hexadecimal(payload: bytes, expected: bytes) -> None:
    assert printed(payload, hex=True, names=False) == expected + b"\n"
    assert printed(payload, hex=True, names=False, newline=False) == expected
    assert printed(payload, hex=True) == NAME + b": \n" + expected + b"\n"
    assert printed(payload, hex=True, raw=True) == NAME + b": \n" + expected + b"\n"
    assert printed(payload, hex=True, json=True) == expected + b"\n"


def test_hexadecimal_offsets_grow_beyond_four_digits() -> None:
    segment = CLIENT.segment(0, bytes(70_000))  # as segmentation offload leaves them
    packet = ipv4(segment, CLIENT.address, CLIENT.peer_address, total_length=0)
    lines = printed_frames([*HANDSHAKE, CLIENT.frame(packet)], hex=True, names=False).splitlines()

    assert lines[0].startswith(b"0000: 0000 ")
    assert lines[65_536 // 32].startswith(b"10000: 0000 ")
    assert len(lines[65_536 // 32]) == len(lines[0]) + 1


@given(st.binary(min_size=1, max_size=200))
def test_hexadecimal_holds_every_byte(payload: bytes) -> None:
    lines = printed(payload, hex=True, names=False, newline=False).splitlines()
    width = len(lines[0]) - min(32, len(payload))

    assert b"".join(bytes.fromhex(line[6:width].decode()) for line in lines) == payload
    assert [int(line[:4], 16) for line in lines] == list(range(0, len(payload), 32))


@given(st.binary(min_size=1, max_size=300))
def test_json_holds_every_byte(payload: bytes) -> None:
    found = json.loads(printed(payload, json=True))

    assert bytes(found.pop("payload")) == payload
    assert found == {
        "src_host": "10.0.0.1",
        "src_port": 40000,
        "dst_host": "10.0.0.2",
        "dst_port": 80,
    }


def test_json_as_tcpflow_writes_it() -> None:
    expected = (
        b'{"src_host":"10.0.0.1","src_port":40000,"dst_host":"10.0.0.2","dst_port":80,'
        b'"payload": [97,98,0,255]}'
    )

    assert printed(b"ab\0\xff", json=True) == expected + b"\n"
    assert printed(b"ab\0\xff", json=True, names=False, newline=False) == expected
    assert printed(b"ab\0\xff", json=True, prefix="out/", raw=True) == expected + b"\n"


def test_json_of_ipv6_is_valid_whatever_the_names_are() -> None:
    client = Side(address="2001:db8::1", peer_address="::ffff:1.2.3.4")
    frames = [client.syn(), client.sends(0, b"x")]

    found = json.loads(printed_frames(frames, template="%t-%a", json=True, prefix="a b/"))
    assert (found["src_host"], found["dst_host"]) == ("2001:db8::1", "::ffff:1.2.3.4")


@pytest.mark.parametrize("form", [{}, {"hex": True}, {"json": True}, {"raw": True}])
def test_colours(form: dict[str, bool]) -> None:
    plain = printed(b"hello", newline=False, **form)
    back = printed(b"hello", newline=False, side=SERVER, **form)

    assert printed(b"hello", colour=True, **form) == BLUE + plain + OFF + b"\n"
    assert printed(b"hello", colour=True, side=SERVER, **form) == RED + back + OFF + b"\n"
    assert printed(b"hello", colour=True, newline=False, **form) == BLUE + plain + OFF
    assert printed(b"hello", colour=True, lead=[], **form) == RED + plain + OFF + b"\n"


def test_names_are_those_of_files_below_a_prefix() -> None:
    assert printed(b"x", prefix="out/dir/", template="%a/%N") == b"out/dir/40000/000: x\n"
    assert printed(b"x", prefix="caf\udce9/", template="n").startswith(b"caf\xe9/n: ")


def test_no_name_of_a_file_is_counted() -> None:
    again = Side(isn=90_000)
    frames = [*HANDSHAKE, CLIENT.sends(0, b"a"), again.syn(), again.sends(0, b"b")]

    assert printed_frames(frames) == NAME + b": a\n" + NAME + b": b\n"


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, b""), (3, b"hel\n"), (5, b"hello\n"), (7, b"hello\nwo\n"), (11, b"hello\nworld!\n")],
)
def test_first_bytes_of_each_stream(most: int, expected: bytes) -> None:
    both = [*HANDSHAKE, CLIENT.sends(0, b"hello"), CLIENT.sends(5, b"world!")]
    assert printed_frames(both, names=False, max_bytes=most) == expected

    back = [*both, SERVER.sends(0, b"hello"), SERVER.sends(5, b"world!")]
    assert printed_frames(back, names=False, max_bytes=most) == expected * 2


@pytest.mark.parametrize("make", [Console, OrderedConsole])
def test_more_than_is_held_back(make: Callable[[Printing], Sink]) -> None:
    """Written while more comes, and again at the end of each feed."""
    payload = ALL_BYTES * 200
    frames = [CLIENT.syn()] + [CLIENT.sends(n * len(payload), payload) for n in range(60)]
    with in_memory() as fd:
        printing = Printing(Outlet(fd), Template(TEMPLATE), names=False, raw=True, newline=False)
        feed(make(printing), timed(frames[:40]), timed(frames[40:]))
        assert content(fd) == payload * 60
