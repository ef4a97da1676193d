"""What a program says of a class is true of every packet of it, whatever the program is."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.extract.program import Program

from ...filters import filter_texts
from ...fuzz.deciding import (
    Instruction,
    Known,
    accepts,
    assemble,
    extremes,
    is_determinate,
    is_valid,
)
from ...pcaps import make

RETURN_NOTHING: Instruction = (0x06, 0, 0, 0)
RETURN_ALL: Instruction = (0x06, 0, 0, 262144)
LOADS = (0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1)
IN_MEMORY = (0x60, 0x61, 0x02, 0x03)
OTHERS = (0x00, 0x01, 0x80, 0x81, 0x84, 0x07, 0x87, 0x16)
SUMS = tuple(
    code | x
    for code in (0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x94, 0xA4)
    for x in (0, 8)
)
BRANCHES = tuple(code | x for code in (0x15, 0x25, 0x35, 0x45) for x in (0, 8))

numbers = st.one_of(
    st.sampled_from((0, 1, 4, 0x0F, 0xFF, 0x1FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
places = st.integers(0, 40) | numbers


@st.composite
def programs(draw: st.DrawFn) -> list[Instruction]:
    """Programs that libpcap runs, though no compiler makes them: forward, and in any order."""
    count = draw(st.integers(1, 14))
    program: list[Instruction] = []
    for left in range(count, 0, -1):
        steps = st.integers(0, left - 1)
        kind = draw(st.integers(0, 9))
        if kind < 4:
            program.append((draw(st.sampled_from(LOADS)), 0, 0, draw(places)))
        elif kind == 4:
            program.append((draw(st.sampled_from(IN_MEMORY)), 0, 0, draw(st.integers(0, 15))))
        elif kind == 5:
            program.append((draw(st.sampled_from(OTHERS)), 0, 0, draw(numbers)))
        elif kind < 8:
            code = draw(st.sampled_from(SUMS))
            number = draw(numbers)
            if code in (0x64, 0x74):  # by more than 31 is undefined in C
                number %= 32
            if code in (0x34, 0x94):
                number = max(number, 1)
            program.append((code, 0, 0, number))
        elif kind == 8:
            branch = draw(st.sampled_from(BRANCHES))
            program.append((branch, draw(steps), draw(steps), draw(numbers)))
        else:
            program.append((0x05, 0, 0, draw(steps)))
    # What is read has to be written before: libpcap does not clear its memory.
    cleared: list[Instruction] = [(0x02, 0, 0, word) for word in range(16)]
    ends = (RETURN_NOTHING, RETURN_ALL, (0x16, 0, 0, 0))
    return cleared + program + [draw(st.sampled_from(ends))]


def completions(known: Known) -> st.SearchStrategy[bytes]:
    """Packets of the class: some cut off where that may be, others longer than what is known."""

    def complete(part: bytes, more: int) -> bytes:
        count = known.sure_bytes + more
        return known.completed((part * (count // len(part) + 1))[:count])

    return st.builds(complete, st.binary(min_size=1, max_size=40), st.integers(0, 24))


def masks(count: int) -> st.SearchStrategy[bytes]:
    """Which bits of that many bytes are known: runs of bytes, and single bits here and there."""
    byte = st.sampled_from((255, 255, 255, 0, 0, 0x0F, 0x3F)) | st.integers(0, 255)
    runs = st.lists(st.tuples(byte, st.sampled_from((1, 1, 2, 4, 8, 14))), max_size=16)
    return runs.map(
        lambda drawn: b"".join(bytes([bits]) * length for bits, length in drawn)[:count].ljust(
            count, b"\0"
        )
    )


def knowns(frames: st.SearchStrategy[bytes]) -> st.SearchStrategy[Known]:
    return frames.flatmap(lambda data: st.builds(Known, st.just(data), masks(len(data))))


def check(code: bytes, known: Known, others: Sequence[bytes]) -> bool | None:
    """Hold the verdict against libpcap's on every packet at hand; returns the verdict."""
    program = Program(code)
    verdict = program.verdict(known.data, known.mask)
    for prefix_bytes in {0, len(known.mask) // 2, known.sure_bytes, len(known.mask)}:
        assert program.verdict(known.data, known.mask, prefix_bytes) is verdict
    if verdict is not None and is_determinate(code):
        for packet in [*others, *extremes(known)]:
            for origlen in (len(packet), 0, 1514, 2**32 - 1):
                assert accepts(code, packet, origlen) is verdict, (packet, origlen)
    return verdict


PROGRAMS = programs()
PACKETS = knowns(st.binary(max_size=32))


@given(st.data())
def test_verdict_on_any_program_is_true_of_every_packet(data: st.DataObject) -> None:
    code = assemble(data.draw(PROGRAMS))
    known = data.draw(PACKETS)
    assert is_valid(code)

    check(code, known, data.draw(st.lists(completions(known), max_size=6)))


FILTERS = filter_texts()
FRAMES = [packet.data[:96] for packet in make.mixture()]
HEADERS = knowns(st.sampled_from(FRAMES))


@given(st.data())
def test_verdict_on_any_filter_is_true_of_every_packet(data: st.DataObject) -> None:
    try:
        code = compile_for(make.ETHERNET, 262144, data.draw(FILTERS)).code
    except FilterError:
        return
    known = data.draw(HEADERS)

    check(code, known, data.draw(st.lists(completions(known), max_size=6)))


@given(FILTERS, st.sampled_from(FRAMES))
@example("tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", FRAMES[3])
def test_what_is_known_in_full_is_decided_as_far_as_it_goes(text: str, frame: bytes) -> None:
    """Only its length is unknown, and whether bytes follow it."""
    try:
        code = compile_for(make.ETHERNET, 262144, text).code
    except FilterError:
        return
    verdict = Program(code).verdict(frame, b"\xff" * len(frame))
    uses_length = any(code[at : at + 2] in (b"\x80\0", b"\x81\0") for at in range(0, len(code), 8))
    reads_behind = accepts(code, frame, 1514) is not accepts(code, frame + bytes(2000), 1514)

    if verdict is None:
        assert (
            uses_length
            or reads_behind
            or "[" in text
            or "protochain" in text
            or not is_determinate(code)
        )
    else:
        assert verdict is accepts(code, frame, 1514)


def tail_of(frame: bytes, *ranges: tuple[int, int], bits: dict[int, int] | None = None) -> Known:
    mask = bytearray(len(frame))
    for begin, end in ranges:
        mask[begin:end] = b"\xff" * (end - begin)
    for at, known in (bits or {}).items():
        mask[at] = known
    return Known(frame, bytes(mask))


# What an index knows of a TCP segment: Ethernet type, version, fragment, protocol, both ends.
SEGMENT = tail_of(
    make.ethernet(make.ipv4(make.tcp(b"GET /"), 6)),
    (0, 15), (21, 22), (23, 24), (26, 38),
    bits={20: 0x3F},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", True),
        ("ip", True),
        ("ip6", False),
        ("arp", False),
        ("tcp", True),
        ("udp", False),
        ("host 192.0.2.1 and port 80", True),
        ("host 192.0.2.1 and port 81", False),
        ("src host 192.0.2.1 and dst port 80", True),
        ("dst host 192.0.2.1", False),
        ("src net 192.0.2.0/24", True),
        ("portrange 79-81", True),
        ("portrange 81-90", False),
        ("vlan", False),
        ("tcp and not port 80", False),
        ("ether src 02:00:00:00:00:01", True),
        ("ip[6:2] & 0x1fff = 0", True),  # the bit beside those asked for is not known
        ("ip[6] & 0x40 != 0", None),
        ("tcp[13] & 4 != 0", None),
        ("tcp[13] & 4 != 0 and port 81", False),
        ("udp[8:2] = 0x1234", False),
        ("len > 1000", None),
        ("len > 1000 and udp", False),
        ("len > 1000 or len <= 1000", True),
        ("ip[8] > 300", False),
        ("ip[8] < 256", True),
        ("ip[8] & 0x0f > 15", False),
        ("tcp[2:2] + ip[8] > 65535", False),
        ("(ip[8] << 8) & 0xff = 0", True),
        ("ip[8] * 2 & 1 = 1", False),
        ("ip[8] / 16 > 15", False),
        ("ip[8] % 8 > 7", False),
    ],
)
def test_verdict_on_a_flows_direction(text: str, verdict: bool | None) -> None:
    code = compile_for(make.ETHERNET, 262144, text).code

    assert check(code, SEGMENT, []) is verdict


def test_where_nothing_is_known_nothing_is_refused() -> None:
    nothing = Known(b"", b"")

    assert check(compile_for(make.ETHERNET, 262144, "tcp").code, nothing, []) is None
    assert check(compile_for(make.ETHERNET, 262144, "").code, nothing, []) is True


def test_both_ways_that_end_alike_are_one_answer() -> None:
    """The byte is unknown, but what follows from it is not."""
    program = [(0x30, 0, 0, 0), (0x15, 1, 0, 7), (0x00, 0, 0, 6), (0x25, 0, 1, 5), RETURN_ALL]
    known = Known(b"\0\1", b"\0\xff")

    assert check(assemble([*program, RETURN_NOTHING]), known, []) is True


def test_ways_that_meet_keep_what_is_the_same_on_both() -> None:
    program: list[Instruction] = [
        (0x30, 0, 0, 0),  # A: any byte
        (0x15, 0, 2, 5),
        (0x00, 0, 0, 0x11),
        (0x05, 0, 0, 1),
        (0x00, 0, 0, 0x13),
        (0x54, 0, 0, 0x10),  # the bit in which 0x11 and 0x13 differ is left out
        (0x15, 0, 1, 0x10),
        RETURN_NOTHING,
        RETURN_ALL,
    ]

    assert check(assemble(program), Known(b"\0\1", b"\0\xff"), []) is False


@pytest.mark.parametrize(("number", "verdict"), [(5, None), (6, None), (3, False)])
def test_a_number_of_two_ways_is_either(number: int, verdict: bool | None) -> None:
    """A is 5 where the byte is, and 6 where it is not."""
    program: list[Instruction] = [
        (0x30, 0, 0, 0),
        (0x15, 1, 0, 5),
        (0x00, 0, 0, 6),
        (0x15, 0, 1, number),
        RETURN_ALL,
        RETURN_NOTHING,
    ]

    assert check(assemble(program), Known(b"\0\1", b"\0\xff"), []) is verdict


# Of these, something is known whenever something is known of both numbers.
PRECISE = (0x0C, 0x1C, 0x4C, 0x5C, 0xAC)


def spread(known: int, mask: int) -> list[int]:
    """All bytes of which those bits are known."""
    return [byte for byte in range(256) if byte & mask == known & mask]


@pytest.mark.parametrize("code", [code for code in SUMS if code & 8])
@pytest.mark.parametrize("masks", [(0xFC, 0xFF), (0xFF, 0xFC), (0xFA, 0xF5), (0xE7, 0xFE)])
def test_sums_of_what_is_partly_known(code: int, masks: tuple[int, int]) -> None:
    """No number is said to be impossible, or the only one, that libpcap does not agree on."""
    told = 0
    for one, other in ((0x05, 0x03), (0x80, 0x01), (0x00, 0x04), (0xFF, 0x1F)):
        packets = [bytes(pair) for pair in product(spread(one, masks[0]), spread(other, masks[1]))]
        sums: list[Instruction] = [
            (0x30, 0, 0, 1),
            (0x07, 0, 0, 0),
            (0x30, 0, 0, 0),
            (code, 0, 0, 0),
        ]
        # Each byte of what comes out, so that what is unknown of one does not hide the others.
        for shift, number in product((0, 8, 24), (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)):
            rest: list[Instruction] = [
                (0x74, 0, 0, shift),
                (0x54, 0, 0, 0xFF),
                (0x15, 0, 1, number),
            ]
            program = assemble([*sums, *rest, RETURN_ALL, RETURN_NOTHING])
            verdict = Program(program).verdict(bytes([one, other]), bytes(masks))
            answers = {accepts(program, packet, 2) for packet in packets}
            assert verdict is None or answers == {verdict}, (one, other, shift, number)
            told += verdict is not None

    assert told > 10 or code not in PRECISE


def test_memory_is_followed() -> None:
    program: list[Instruction] = [
        (0x30, 0, 0, 1),
        (0x02, 0, 0, 15),
        (0x30, 0, 0, 0),
        (0x45, 0, 0, 1),
        (0x61, 0, 0, 15),
        (0x87, 0, 0, 0),
        (0x15, 0, 1, 7),
        RETURN_ALL,
        RETURN_NOTHING,
    ]

    assert check(assemble(program), Known(b"\0\7", b"\0\xff"), []) is True
    assert check(assemble(program), Known(b"\0\7", b"\0\x0f"), []) is None


def test_division_by_what_may_be_nothing_may_refuse() -> None:
    program: list[Instruction] = [(0x30, 0, 0, 0), (0x07, 0, 0, 0), (0x3C, 0, 0, 0), RETURN_ALL]

    assert check(assemble(program), Known(b"\0", b"\xff"), []) is False
    assert check(assemble(program), Known(b"\0", b"\xfe"), []) is None
    assert check(assemble(program), Known(b"\1", b"\1"), []) is True


NOT_UNDERSTOOD: dict[str, list[Instruction]] = {
    "nothing at all": [],
    "no end": [(0x00, 0, 0, 0)],
    "unknown instruction": [(0xFFFF, 0, 0, 0), RETURN_ALL],
    "return of X": [(0x0E, 0, 0, 0), RETURN_ALL],
    "backward jump": [(0x00, 0, 0, 0), (0x05, 0, 0, 2**32 - 2), RETURN_ALL],
    "jump to itself": [(0x05, 0, 0, 2**32 - 1), RETURN_ALL],
    "jump beyond the end": [(0x05, 0, 0, 9), RETURN_ALL],
    "branch beyond the end": [(0x15, 255, 255, 0), RETURN_ALL],
    "memory that is not there": [(0x60, 0, 0, 16), RETURN_ALL],
    "division by nothing": [(0x34, 0, 0, 0), RETURN_ALL],
    "ancillary data": [(0x30, 0, 0, 0xFFFFF02C), RETURN_ALL],
}


@pytest.mark.parametrize("what", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_not_decided(what: str) -> None:
    assert Program(assemble(NOT_UNDERSTOOD[what])).verdict(b"\1" * 60, b"\xff" * 60) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from((*LOADS, *IN_MEMORY, *OTHERS, *SUMS, *BRANCHES, 0x05, 0x06))
            | st.integers(0, 65535),
            st.integers(0, 255),
            st.integers(0, 255),
            places,
        ),
        max_size=12,
    ),
    PACKETS,
)
def test_any_bytes_are_a_program(program: list[Instruction], known: Known) -> None:
    """No verdict but "cannot tell" on what libpcap would not run, unless it is never reached."""
    code = assemble(program)
    verdict = Program(code).verdict(known.data, known.mask)

    if is_valid(code) and not any(number >= 2**31 for _, _, _, number in program):
        assert check(code, known, []) is verdict


@pytest.mark.parametrize(("known", "mask", "prefix"), [(b"1", b"", 0), (b"1", b"1", 2)])
def test_lengths_that_contradict_each_other(known: bytes, mask: bytes, prefix: int) -> None:
    with pytest.raises(ValueError, match="not of one length, or the prefix is longer"):
        Program(b"").verdict(known, mask, prefix)


def test_bytes_far_behind_are_unknown_and_still_counted() -> None:
    """Only the first 1024 bytes of a tail are looked at."""
    known = Known(bytes(1200), b"\xff" * 1200)
    first: list[Instruction] = [(0x30, 0, 0, 1023), (0x15, 0, 1, 0), RETURN_ALL, RETURN_NOTHING]

    assert Program(assemble(first)).verdict(known.data, known.mask) is True
    assert Program(assemble([(0x30, 0, 0, 1024), *first[1:]])).verdict(*known) is None
    assert Program(assemble([(0x30, 0, 0, 1024), *first[1:]])).verdict(*known, 200) is True
