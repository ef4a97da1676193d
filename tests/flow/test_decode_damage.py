"""Damage is counted, never believed, and never a reason to read behind what was captured."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.decode import Decoded, decoded, decodes
from daemonlogger_py.flow.oddities import Oddity

from . import frames, test_decode, test_decode_tunnels
from .frames import (
    PAYLOAD,
    authentication,
    cooked,
    ethernet,
    extension,
    fragment6,
    gre,
    ipv4,
    ipv6,
    labels,
    length_and_llc,
    pppoe,
    snap,
    tag,
    tcp,
    udp,
    wlan,
)

V4, V6 = ipv4(tcp()), ipv6(tcp())


def pseudowires(count: int) -> bytes:
    frame = ethernet(V4)
    for _ in range(count):
        frame = ethernet(labels(bytes(4) + frame), 0x8847)
    return frame


def tunnels(count: int) -> bytes:
    packet = V4
    for _ in range(count):
        packet = ipv4(packet, 4)
    return packet


# One oddity each: linktype, frame, origlen.
DAMAGE: dict[Oddity, list[tuple[int, bytes, int | None]]] = {
    Oddity.SNAPLEN_CUT: [(1, ethernet(V4), 2000), (1, ethernet(bytes(40), 0x0806), 60)],
    Oddity.ORIGLEN_BELOW_CAPLEN: [(1, ethernet(V4), 20), (101, V6, 0)],
    Oddity.UNKNOWN_LINKTYPE: [(147, V4, None), (0x10000002, V4, None), (0xFFFFFFFF, b"", None)],
    Oddity.CUT_LINK_HEADER: [
        (1, b"", None),
        (1, ethernet(V4)[:13], None),
        (1, ethernet(tag(V4, 1)[:3], 0x8100), None),
        (1, ethernet(labels(V4, 2)[:7], 0x8847), None),
        (1, ethernet(labels(b""), 0x8847), None),
        (1, ethernet(pppoe(b""), 0x8864), None),
        (1, ethernet(pppoe(b"\0"), 0x8864), None),
        (1, ethernet(pppoe(V4)[:5], 0x8864), None),
        (1, length_and_llc(snap(b"")[:7]), None),
        (1, ethernet(b"\xaa\xaa", 100), None),
        (1, ethernet(labels(bytes(17)), 0x8847), None),
        (0, b"\2\0\0", None),
        (9, b"\xff\x03", None),
        (9, b"\xff\x03\0", None),
        (204, b"", None),
        (104, b"\x0f\0\x08", None),
        (113, cooked(b"")[:15], None),
        (276, frames.cooked2(b"")[:19], None),
        (6, frames.token_ring(b"")[:13], None),
        (6, frames.token_ring(b"", b"\6")[:15], None),
        (6, frames.token_ring(b"", b"\6\0\0\0"), None),
        (105, b"\x08", None),
        (105, wlan(b"")[:23], None),
        (105, wlan(b"", frames.TO_DS | frames.FROM_DS)[:29], None),
        (105, wlan(b"", qos=b"\0\0")[:25], None),
        (127, frames.radiotap(b"")[:7], None),
        (127, frames.radiotap(b"", fields=bytes(9))[:16], None),
        (127, frames.radiotap(wlan(b"", qos=b"\0\0"), present=2, fields=b"\x20"), None),
        (119, frames.prism(b"")[:143], None),
        (163, frames.avs(b"")[:7], None),
        (163, frames.avs(b"")[:63], None),
        (192, frames.ppi(b"")[:7], None),
        (192, frames.ppi(b"")[:11], None),
    ],
    Oddity.BAD_LINK_HEADER: [
        (1, ethernet(pppoe(b"\0\x21" + V4, version=0x21), 0x8864), None),
        (6, frames.token_ring(snap(V4), b"\1\0"), None),
        (1, bytes(60), None),
        (1, ethernet(V4, 2), None),
        (127, frames.radiotap(wlan(snap(V4)), version=1), None),
        (127, b"\0\0\7\0" + bytes(30), None),
        (163, frames.avs(wlan(snap(V4)), length=7), None),
        (192, frames.ppi(wlan(snap(V4)), length=7), None),
        (192, frames.ppi(wlan(snap(V4)), version=1), None),
    ],
    Oddity.TOO_MANY_LABELS: [
        (1, ethernet(labels(V4, 17), 0x8847), None),
        (1, pseudowires(9), None),
    ],
    Oddity.PPP_COMPRESSED: [
        (9, b"\xff\x03" + struct.pack(">H", protocol) + V4, None)
        for protocol in (0x2D, 0x2F, 0x53, 0x55, 0xFB, 0xFD)
    ],
    Oddity.WLAN_PROTECTED: [(105, wlan(snap(V4), frames.FROM_DS | frames.PROTECTED), None)],
    Oddity.WLAN_FRAGMENT: [
        (105, wlan(snap(V4), frames.FROM_DS | frames.MORE_FRAGMENTS), None),
        (105, wlan(V4, sequence=0x0121), None),
    ],
    Oddity.WLAN_AGGREGATE: [
        (105, wlan(snap(V4), qos=b"\x80\0"), None),
        (105, wlan(snap(V4), frames.TO_DS | frames.FROM_DS, qos=b"\x80\0"), None),
    ],
    Oddity.BAD_IP_VERSION: [
        (228, V6, None),
        (229, ipv6(tcp(), version=5), None),
        (101, ipv4(tcp(), version=5), None),
        (1, ethernet(V4, 0x86DD), None),
        (1, ethernet(V6), None),
    ],
    Oddity.CUT_IP_HEADER: [
        (101, b"", None),
        (1, ethernet(b""), None),
        (1, ethernet(V4[:19]), None),
        (1, ethernet(V6[:39], 0x86DD), None),
        (101, V4[:1], None),
        (1, ethernet(labels(b"\x45\0"), 0x8847), None),
        (1, ethernet(labels(b"\x60\0"), 0x8847), None),
    ],
    Oddity.BAD_IPV4_HEADER_LENGTH: [
        (101, ipv4(tcp(), header_words=words), None) for words in range(5)
    ],
    Oddity.BAD_IPV4_TOTAL_LENGTH: [
        (101, ipv4(tcp(), total_length=1), None),
        (101, ipv4(tcp(), total_length=19), None),
        (101, ipv4(tcp(), total_length=23, options=bytes(4)), None),
    ],
    Oddity.ZERO_IP_LENGTH: [
        (101, ipv4(tcp(), total_length=0), None),
        (101, ipv6(tcp(), payload_length=0), None),
    ],
    Oddity.IP_LENGTH_BEYOND_FRAME: [
        (101, ipv4(tcp(), total_length=len(V4) + 1), None),
        (101, ipv6(tcp(), payload_length=65535), None),
    ],
    Oddity.CUT_EXTENSION_HEADER: [
        (101, ipv6(b"", 60, payload_length=0), None),
        (101, ipv6(extension(6, tcp(), 255)[:2000], 60), None),
        (101, ipv6(extension(6, b"", 1)[:15], 0), None),
        (101, ipv6(fragment6(6, b"")[:7], 44), None),
        (101, ipv6(authentication(6, b"")[:23], 51), None),
        (101, ipv4(authentication(6, b"")[:23], 51), None),
    ],
    Oddity.TOO_MANY_EXTENSIONS: [
        (101, ipv6(b"".join(extension(60, b"") for _ in range(16)) + extension(6, tcp()), 60), None)
    ],
    Oddity.CUT_TRANSPORT_HEADER: [
        (101, ipv4(tcp()[:19]), None),
        (101, ipv6(udp()[:7], 17), None),
        (101, ipv4(frames.icmp()[:7], 1), None),
        (101, ipv6(frames.sctp()[:11], 132), None),
        (101, ipv4(b"", 6), None),
        (1, ethernet(ipv4(tcp()[:19]) + bytes(7)), None),
    ],
    Oddity.BAD_TCP_DATA_OFFSET: [
        *((101, ipv4(tcp(data_offset=words)), None) for words in range(5)),
        (101, ipv6(tcp(data_offset=15)), None),
        (1, ethernet(ipv4(tcp(b"", data_offset=6)) + bytes(6)), None),
    ],
    Oddity.BAD_UDP_LENGTH: [
        (101, ipv4(udp(length=length), 17), None) for length in (0, 1, 7, 9 + len(PAYLOAD), 65535)
    ],
    Oddity.CUT_TUNNEL_HEADER: [(101, ipv4(gre(V4)[:3], 47), None)],
    Oddity.BAD_TUNNEL_HEADER: [(101, ipv4(gre(V4, flags=7), 47), None)],
    Oddity.TOO_MANY_TUNNELS: [(101, tunnels(9), None)],
}

# Those that come with another one, as what they say is a way to say it.
ALONG = {
    Oddity.CUT_EXTENSION_HEADER: {Oddity.ZERO_IP_LENGTH},
}


def test_every_oddity_is_shown_to_happen() -> None:
    assert set(DAMAGE) | {Oddity.NESTED_FRAGMENT} == set(Oddity)


@pytest.mark.parametrize(
    ("oddity", "linktype", "frame", "origlen"),
    [
        pytest.param(oddity, *case, id=f"{oddity.name}-{number}")
        for oddity, cases in DAMAGE.items()
        for number, case in enumerate(cases)
    ],
)
def test_oddity(oddity: Oddity, linktype: int, frame: bytes, origlen: int | None) -> None:
    packet = decoded(linktype, frame, origlen, tunnels=True)

    assert packet.oddities - ALONG.get(oddity, set()) == {oddity}
    assert_sound(packet, frame)


def test_linktype_that_is_not_decoded_is_known_before_its_first_frame() -> None:
    for linktype in range(300):
        known = Oddity.UNKNOWN_LINKTYPE not in decoded(linktype, bytes(200)).oddities

        assert decodes(linktype) is decodes(0x10000000 | linktype) is known
    assert sum(map(decodes, range(300))) == 21


def test_fragment_header_in_a_reassembled_datagram() -> None:
    """Otherwise a datagram could be put together again and again."""
    last = ipv6(fragment6(44, b"tail", 64), 44)
    packet = decoded(101, last, reassembled=fragment6(6, tcp(), 8))

    assert packet.oddities == {Oddity.NESTED_FRAGMENT}
    assert (packet.transport, packet.protocol) == ("none", 44)


STOPPED = [
    (ipv4(tcp()[:19]), 6),
    (ipv4(tcp(data_offset=2)), 6),
    (ipv4(tcp(), header_words=2), 6),
    (ipv4(tcp(), total_length=12), 6),
    (ipv4(tcp(), options=bytes(8))[:24], 6),
    (ipv6(extension(6, b"", 9)[:60], 60), 60),
]


@pytest.mark.parametrize(("frame", "protocol"), STOPPED)
def test_addresses_of_a_damaged_packet_are_told(frame: bytes, protocol: int) -> None:
    packet = decoded(101, frame)

    assert packet.family == frame[0] >> 4
    assert packet.source in (frames.SOURCE, frames.SOURCE6)
    assert (packet.transport, packet.protocol) == ("none", protocol)
    assert (packet.source_port, packet.payload, packet.payload_bytes) == (0, b"", 0)


def test_udp_with_a_bad_length_has_the_payload_that_ip_says() -> None:
    for length in (0, 7, 9999):
        packet = decoded(1, ethernet(ipv4(udp(length=length), 17) + bytes(3)))

        assert (packet.transport, packet.destination_port) == ("udp", 53)
        assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))


# Any bytes at all


def assert_sound(packet: Decoded, data: bytes) -> None:
    """What holds for every packet, whatever it was made of."""
    assert 0 <= packet.payload_offset <= len(data)
    assert packet.payload_offset + len(packet.payload) <= len(data)
    end = packet.payload_offset + len(packet.payload)
    assert packet.payload == data[packet.payload_offset : end]
    assert len(packet.payload) <= packet.payload_bytes
    assert packet.family in (0, 4, 6)
    if packet.family == 0:
        assert (packet.transport, packet.protocol, packet.tunnels) == ("none", 0, 0)
    if packet.transport == "none":
        assert packet.payload_bytes == 0
    if packet.transport not in ("tcp", "udp", "sctp", "icmp"):
        assert (packet.source_port, packet.destination_port) == (0, 0)
    if packet.transport != "tcp":
        assert (packet.flags, packet.window, packet.sequence, packet.acknowledgment) == (0, 0, 0, 0)
    if packet.transport != "fragment":
        assert (packet.fragment_id, packet.fragment_offset, packet.more_fragments) == (0, 0, False)
    assert len(packet.vlans) <= 4
    assert all(vlan <= 0xFFF for vlan in packet.vlans)
    assert packet.tunnels <= 8


WHOLE = [
    *((linktype, frame) for linktype, frame, _, _ in test_decode.LINKS.values()),
    *(
        (1, ethernet(ipv4(payload, protocol)))
        for payload, protocol, _ in test_decode_tunnels.TUNNELS.values()
    ),
    (101, ipv6(extension(60, extension(43, extension(6, tcp()), 2), 3), 0)),
    (101, ipv6(extension(44, fragment6(6, PAYLOAD, 8, more=True)), 0)),
    (101, ipv6(authentication(6, tcp()), 51)),
    (101, ipv4(tcp(options=bytes(12)), options=bytes(8))),
    (101, ipv4(frames.icmp(), 1)),
    (101, ipv6(frames.sctp(), 132)),
]


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_frame_cut_at_every_byte(number: int) -> None:
    """By the snaplen, where all is known of what is missing, and as a frame that ends there."""
    linktype, frame = WHOLE[number]
    complete = decoded(linktype, frame, tunnels=True)
    for captured in range(len(frame)):
        cut = decoded(linktype, frame[:captured], len(frame), tunnels=True)
        short = decoded(linktype, frame[:captured], tunnels=True)

        assert_sound(cut, frame[:captured])
        assert_sound(short, frame[:captured])
        assert Oddity.SNAPLEN_CUT in cut.oddities
        assert cut.oddities - {Oddity.SNAPLEN_CUT} or same_header(cut, complete)


def same_header(cut: Decoded, complete: Decoded) -> bool:
    """Whether a cut packet says what the complete one does, up to the payload that is there."""
    there = {name: getattr(complete, name) for name in ("oddities", "payload", "payload_offset")}
    return cut._replace(**there) == complete


linktypes = st.sampled_from(
    [0, 1, 6, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 192, 204, 228, 229, 276]
)


@given(linktypes, st.binary(max_size=200), st.integers(0, 300))
def test_random_bytes(linktype: int, data: bytes, origlen: int) -> None:
    assert_sound(decoded(linktype, data, origlen, tunnels=True), data)


@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 300),
    st.integers(0, 0xFFFFFFFF),
    st.booleans(),
)
def test_mutated_frames(
    whole: tuple[int, bytes],
    changes: list[tuple[int, int]],
    captured: int,
    origlen: int,
    inside: bool,
) -> None:
    linktype, frame = whole
    mutated = bytearray(frame)
    for place, value in changes:
        mutated[place % len(mutated)] = value
    data = bytes(mutated[:captured])

    assert_sound(decoded(linktype, data, origlen, tunnels=inside), data)
    assert_sound(decoded(linktype, data, tunnels=inside), data)


@given(
    st.sampled_from([(4, 6), (4, 4), (4, 17), (4, 47), (4, 51), (6, 0), (6, 41), (6, 44), (6, 60)]),
    st.binary(max_size=120),
    st.integers(0, 200),
)
def test_random_reassembled_datagrams(kind: tuple[int, int], datagram: bytes, length: int) -> None:
    family, protocol = kind
    if family == 4:
        last = ipv4(b"tail", protocol, fragment=8)
    else:
        last = ipv6(fragment6(protocol, b"tail", 64), 44)
    packet = decoded(101, last, tunnels=True, reassembled=datagram, reassembled_bytes=length)

    if packet.transport == "none":
        assert packet.payload_bytes == 0
    else:
        assert_sound(packet, datagram[:length])


def test_many_tags_are_only_many_bytes() -> None:
    frame = ethernet(b"".join(tag(b"", 1, 0x8100) for _ in range(65535)) + tag(V4, 1), 0x8100)

    assert decoded(1, frame).payload == PAYLOAD
