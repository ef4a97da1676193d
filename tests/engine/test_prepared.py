"""What the tap makes of frames, and when they are due.

What arrives behind a tap is the lab's, with root, in network namespaces.
"""

import struct
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.prepared import Prepared, due_times, prepare

from ..lab import frames
from ..lab.frames import CWR, HOP_BY_HOP, QINQ, TCP, UDP, VLAN, ethernet, ipv4, ipv6, tcp, udp
from ..pcaps import make

ETHERNET = 1
RAW_IP = 12
MTU = 1500
NOTHING = bytes(10)
DESTINATION, ROUTING, FRAGMENT = 60, 43, 44
NEEDS_CHECKSUM = 1
TCP_IPV4, TCP_IPV6, ECN = 1, 4, 0x80
LONG = bytes(range(251)) * 40  # 10,040 bytes
NOPS = b"\1" * 40


class Header(NamedTuple):
    """struct virtio_net_hdr."""

    flags: int
    gso_type: int
    hdr_len: int
    gso_size: int
    csum_start: int
    csum_offset: int


def header_of(prepared: Prepared) -> Header:
    assert prepared.problem is None
    return Header(*struct.unpack("=BBHHHH", prepared.header))


def completed(prepared: Prepared) -> bytes:
    """What a receiver gets: the kernel sums from `csum_start` to the end, over the field too."""
    header = header_of(prepared)
    assert header.flags == NEEDS_CHECKSUM
    field = header.csum_start + header.csum_offset
    value = ~frames.summed(prepared.frame[header.csum_start :]) & 0xFFFF or 0xFFFF
    return prepared.frame[:field] + struct.pack(">H", value) + prepared.frame[field + 2 :]


SHAPES = {
    "ipv4": lambda body, protocol, how: ethernet(ipv4(body, protocol, how=how)),
    "ipv6": lambda body, protocol, how: ethernet(ipv6(body, protocol, how=how)),
    "vlan": lambda body, protocol, how: ethernet(ipv4(body, protocol, how=how), tags=[VLAN]),
    "vlan, ipv6": lambda body, protocol, how: ethernet(ipv6(body, protocol, how=how), tags=[VLAN]),
    "qinq": lambda body, protocol, how: ethernet(ipv4(body, protocol, how=how), tags=[QINQ, VLAN]),
    "options": lambda body, protocol, how: ethernet(
        ipv4(body, protocol, how=how, options=b"\1" * 8)
    ),
    "extensions": lambda body, protocol, how: ethernet(
        ipv6(body, protocol, how=how, extensions=[HOP_BY_HOP, DESTINATION])
    ),
}
# Bytes before the transport header.
HEAD_BYTES = {
    "ipv4": 34,
    "ipv6": 54,
    "vlan": 38,
    "vlan, ipv6": 58,
    "qinq": 42,
    "options": 42,
    "extensions": 70,
}


# Frames that fit


@pytest.mark.parametrize("packet", make.mixture(), ids=range(12))
def test_ordinary_frames_leave_as_they_are(packet: make.Packet) -> None:
    cut = packet.origlen is not None

    assert prepare(packet.data, MTU, cut=cut) == (NOTHING, packet.data, None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("protocol", "body"), [(TCP, tcp(b"odd")), (UDP, udp(b"even"))])
def test_unfinished_checksum_is_completed(shape: str, protocol: int, body: bytes) -> None:
    frame = SHAPES[shape](body, protocol, "partial")
    prepared = prepare(frame, MTU)

    assert header_of(prepared) == Header(
        NEEDS_CHECKSUM, 0, 0, 0, HEAD_BYTES[shape], frames.CHECKSUM_AT[protocol]
    )
    assert prepared.frame == frame
    assert completed(prepared) == SHAPES[shape](body, protocol, "full")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("protocol", "body"), [(TCP, tcp(b"odd")), (UDP, udp(b"even"))])
@pytest.mark.parametrize("how", ["full", "none", 0x1234])
def test_finished_checksum_is_left_alone(
    shape: str, protocol: int, body: bytes, how: str | int
) -> None:
    frame = SHAPES[shape](body, protocol, how)

    assert prepare(frame, MTU) == (NOTHING, frame, None)


@given(st.binary(max_size=64), st.sampled_from(sorted(SHAPES)), st.booleans())
def test_finished_checksum_that_looks_unfinished_stays_what_it_is(
    payload: bytes, shape: str, datagram: bool
) -> None:
    """The one in 65,536: two bytes of payload are chosen so that both are the same number."""
    protocol, build = (UDP, udp) if datagram else (TCP, tcp)
    payload += b"\0" * (len(payload) % 2)

    def body(last: int) -> bytes:
        return build(payload + struct.pack(">H", last))

    addresses = frames.SIX if "ipv6" in shape or shape == "extensions" else frames.FOUR
    partial = frames.pseudo(addresses, protocol, len(body(0)))
    # ~(partial + rest + last) == partial
    rest = frames.summed(body(0))
    last = (0xFFFF - partial - partial - rest) % 0xFFFF
    frame = SHAPES[shape](body(last), protocol, "full")
    prepared = prepare(frame, MTU)

    assert header_of(prepared).flags == NEEDS_CHECKSUM
    assert completed(prepared) == frame


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(ipv4(tcp(b"text"))) + b"\0",
        ethernet(ipv4(tcp(b"text"), length=43)),
        ethernet(ipv4(udp(b"text"), UDP, fragment=0x2000)),
        ethernet(ipv4(udp(b"text"), UDP, fragment=0x0001)),
        ethernet(ipv6(udp(b"text"), UDP, extensions=[FRAGMENT])),
        ethernet(ipv6(tcp(b"text"), extensions=[DESTINATION] * 9)),
        ethernet(ipv4(tcp(b"text")), tags=[VLAN] * 9),
    ],
    ids=["trailer", "short", "first fragment", "fragment", "ipv6 fragment", "chain", "tags"],
)
def test_nothing_is_asked_for_where_it_is_not_certain(frame: bytes) -> None:
    assert prepare(frame, MTU) == (NOTHING, frame, None)


def test_cut_frame_keeps_its_checksum() -> None:
    frame = ethernet(ipv4(tcp(b"text")))

    assert prepare(frame, MTU, cut=True) == (NOTHING, frame, None)


def test_raw_ip_has_no_link_header() -> None:
    for packet in (ipv4(tcp(b"text")), ipv6(udp(b"text"), UDP)):
        assert header_of(prepare(packet, MTU, linktype=RAW_IP)).flags == NEEDS_CHECKSUM
        assert prepare(packet, MTU, linktype=ETHERNET).header == NOTHING


# Super-frames


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["partial", "full", "none"])
def test_super_frame_is_segmented(shape: str, how: str) -> None:
    frame = SHAPES[shape](tcp(LONG, options=b"\1" * 12), TCP, how)
    prepared = prepare(frame, MTU)
    if shape in ("options", "extensions") and how != "partial":
        assert prepared == (NOTHING, frame, "with IP options and a checksum not of its addresses")
        return

    start = HEAD_BYTES[shape]
    largest = MTU + 14 + (4 if shape.startswith("vlan") else 0)
    six = "ipv6" in shape or shape == "extensions"
    assert header_of(prepared) == Header(
        flags=NEEDS_CHECKSUM,
        gso_type=TCP_IPV6 if six else TCP_IPV4,
        hdr_len=start + 32,
        gso_size=largest - start - 32,
        csum_start=start,
        csum_offset=16,
    )
    assert prepared.frame == SHAPES[shape](tcp(LONG, options=b"\1" * 12), TCP, "partial")


def test_largest_super_frame() -> None:
    frame = ethernet(ipv4(tcp(b"x" * (65535 - 40))))

    assert header_of(prepare(frame, 65000)).gso_size == 64960
    assert header_of(prepare(frame, 200)).gso_size == 160
    assert prepare(frame, 65535) == (header := prepare(frame, 65535).header, frame, None)
    assert header[1] == 0  # no segments


def test_segments_of_raw_ip() -> None:
    prepared = prepare(ipv6(tcp(LONG)), MTU, linktype=RAW_IP)

    assert header_of(prepared) == Header(NEEDS_CHECKSUM, TCP_IPV6, 60, 1440, 40, 16)


def test_congestion_mark_is_named() -> None:
    frame = ethernet(ipv4(tcp(LONG, flags=frames.PSH_ACK | CWR)))

    assert header_of(prepare(frame, MTU)).gso_type == TCP_IPV4 | ECN


@pytest.mark.parametrize(
    ("tags", "extra"), [((), 0), ((VLAN,), 4), ((QINQ,), 0), ((QINQ, VLAN), 0), ((VLAN, VLAN), 4)]
)
def test_border_is_the_kernels(tags: tuple[int, ...], extra: int) -> None:
    """One tag 802.1Q comes on top of the MTU, other tags do not (packet_snd in af_packet.c)."""
    largest = MTU + 14 + extra
    payload = largest - 14 - 4 * len(tags) - 28
    fits = ethernet(ipv4(udp(b"x" * payload), UDP), tags=tags)
    large = ethernet(ipv4(udp(b"x" * (payload + 1)), UDP), tags=tags)

    assert len(fits) == largest
    assert prepare(fits, MTU).problem is None
    assert prepare(large, MTU) == (NOTHING, large, "not TCP")


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (bytes(2000), "not IP"),
        (ethernet(b"\x60" + bytes(2000)), "with lengths that do not agree"),
        (ethernet(b"\x50" + bytes(2000)), "not IP"),
        (ethernet(ipv4(udp(LONG), UDP)), "not TCP"),
        (ethernet(ipv6(udp(LONG), UDP)), "not TCP"),
        (ethernet(ipv4(tcp(LONG), fragment=0x2000)), "an IP fragment"),
        (ethernet(ipv4(tcp(LONG), fragment=0x0007)), "an IP fragment"),
        (ethernet(ipv6(tcp(LONG), extensions=[FRAGMENT])), "an IP fragment"),
        (ethernet(ipv4(tcp(LONG))) + b"\0", "with lengths that do not agree"),
        (ethernet(ipv4(tcp(LONG), length=0)), "with lengths that do not agree"),
        (ethernet(ipv6(tcp(LONG), length=0)), "with lengths that do not agree"),
        (ethernet(ipv4(tcp(b"x" * 70000))), "with lengths that do not agree"),
        (ethernet(ipv4(tcp(LONG))[:3000]), "with lengths that do not agree"),
        (ethernet(ipv4(tcp(LONG, options=NOPS), options=NOPS)), "with headers too long"),
        (ethernet(b"\x44" + ipv4(tcp(LONG))[1:]), "with lengths that do not agree"),
        (ethernet(ipv6(tcp(LONG), extensions=[DESTINATION] * 9)), "with lengths that do not agree"),
        (ethernet(ipv4(tcp(LONG)), tags=[VLAN] * 9), "not IP"),
        (ethernet(ipv4(tcp(LONG)[:12] + b"\4" + tcp(LONG)[13:])), "with lengths that do not agree"),
    ],
)  # fmt: skip
def test_what_cannot_be_segmented(frame: bytes, problem: str) -> None:
    assert prepare(frame, MTU if problem != "with headers too long" else 140) == (
        NOTHING,
        frame,
        problem,
    )


def test_cut_super_frame_is_not_segmented() -> None:
    frame = ethernet(ipv4(tcp(LONG)))

    assert prepare(frame, MTU, cut=True) == (NOTHING, frame, "cut by the snaplen")
    assert prepare(frame[:100], MTU, cut=True) == (NOTHING, frame[:100], None)


def test_no_frame_makes_more_than_a_thousand() -> None:
    frame = ethernet(ipv4(tcp(LONG, options=b"\1" * 40)))

    assert header_of(prepare(frame, 80 + 64)).gso_size == 64
    assert prepare(frame, 80 + 63).problem == "with headers too long"


# Hostile frames

BEGINNINGS = [SHAPES[shape](tcp(LONG[:3000]), TCP, "partial") for shape in sorted(SHAPES)]


def assert_sane(prepared: Prepared, frame: bytes, mtu: int) -> None:
    if prepared.problem is not None:
        assert prepared == (NOTHING, frame, prepared.problem)
        return
    header = header_of(prepared)
    field = header.csum_start + header.csum_offset
    if header.flags:
        assert field + 2 <= len(frame)
    if header.gso_type:
        assert header.flags == NEEDS_CHECKSUM
        assert header.gso_type & ~ECN in (TCP_IPV4, TCP_IPV6)
        assert header.csum_start + 20 <= header.hdr_len <= len(frame)
        assert 64 <= header.gso_size < len(frame) - header.hdr_len
        assert header.hdr_len + header.gso_size <= mtu + 18
        assert prepared.frame[:field] + prepared.frame[field + 2 :] == (
            frame[:field] + frame[field + 2 :]
        )
    else:
        assert len(frame) <= mtu + 18
        assert prepared.frame == frame


def prepared_twice(frame: bytes, mtu: int, *, linktype: int = ETHERNET) -> Prepared:
    """What is behind the captured bytes makes no difference: it was not looked at."""
    found = {
        prepare(memoryview(frame + behind * 64)[: len(frame)], mtu, linktype=linktype)
        for behind in (b"\0", b"\xff", b"\x06")
    }
    (prepared,) = found
    return prepared


@pytest.mark.parametrize("linktype", [ETHERNET, RAW_IP])
@pytest.mark.parametrize("beginning", BEGINNINGS, ids=sorted(SHAPES))
def test_cut_at_every_length(beginning: bytes, linktype: int) -> None:
    frame = beginning if linktype == ETHERNET else beginning[14:]
    for length in (*range(160), 1513, 1514, 1515, 2999):
        for mtu in (68, 100, MTU):
            prepared = prepared_twice(frame[:length], mtu, linktype=linktype)
            assert_sane(prepared, frame[:length], mtu)


@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.tuples(st.integers(0, 110), st.integers(0, 255)), max_size=4),
    st.integers(0, 3200),
    st.sampled_from([0, 68, 144, 150, MTU, 9000, 65536, 2**31 - 1]),
    st.sampled_from([ETHERNET, RAW_IP]),
)
def test_forged_frames(
    beginning: bytes, changes: list[tuple[int, int]], length: int, mtu: int, linktype: int
) -> None:
    frame = bytearray(beginning if linktype == ETHERNET else beginning[14:])
    for at, value in changes:
        frame[at] = value
    data = bytes(frame[:length])

    assert_sane(prepared_twice(data, mtu, linktype=linktype), data, mtu)


@given(st.binary(max_size=300), st.integers(0, 200), st.sampled_from([ETHERNET, RAW_IP]))
def test_any_bytes(data: bytes, mtu: int, linktype: int) -> None:
    assert_sane(prepared_twice(data, mtu, linktype=linktype), data, mtu)


# Pace


def test_recorded_gaps_are_kept() -> None:
    start = 1_700_000_000 * 10**9
    times = [start, start + 5, start + 5, start + 10**9]

    assert due_times(times, 1) == [0, 5, 5, 10**9]
    assert due_times(times, 2) == [0, 2, 2, 5 * 10**8]
    assert due_times(times, 0.5) == [0, 10, 10, 2 * 10**9]


def test_clock_that_was_put_back_costs_no_time() -> None:
    assert due_times([10**9, 10**9 + 7, 3, 10, 10**9], 1) == [0, 7, 7, 14, 10**9 + 4]


def test_rounding_is_not_added_up() -> None:
    times = [number * 10**6 for number in range(100_001)]

    assert due_times(times, 3)[-1] == 10**11 // 3


times_of_64_bits = st.integers(0, (2**32 - 1) * (10**9 + 1000))


@given(st.lists(times_of_64_bits, max_size=20), st.floats(1e-300, 1e300))
def test_no_stamp_makes_the_order_another(times: list[int], pace: float) -> None:
    due = due_times(times, pace)

    assert due == sorted(due)
    assert due[:1] == [0] * bool(times)
    assert all(ns <= 9 * 10**18 for ns in due)
