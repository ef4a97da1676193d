"""Frames of every link, both families of IP and every transport, decoded as they were built."""

import struct

import pytest

from daemonlogger_py.flow.decode import Decoded, decoded
from daemonlogger_py.flow.oddities import Oddity

from . import frames
from .frames import (
    DESTINATION,
    DESTINATION6,
    FROM_DS,
    MAC_DESTINATION,
    MAC_SOURCE,
    ORDER,
    PAYLOAD,
    SOURCE,
    SOURCE6,
    TO_DS,
    authentication,
    cooked,
    cooked2,
    ethernet,
    extension,
    fragment6,
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

V4 = ipv4(tcp())
V6 = ipv6(tcp())
BOTH, SENDER, NEITHER = (MAC_SOURCE, MAC_DESTINATION), (MAC_SOURCE, None), (None, None)
INSIDE = (frames.INNER_MAC_SOURCE, frames.INNER_MAC_DESTINATION)


def inner(payload: bytes, ethertype: int = frames.IPV4) -> bytes:
    return ethernet(payload, ethertype, *INSIDE)


LINKS = {
    "Ethernet": (1, ethernet(V4), BOTH, ()),
    "Ethernet, IPv6": (1, ethernet(V6, 0x86DD), BOTH, ()),
    "FCS bits": (0xF4000001, ethernet(V4), BOTH, ()),
    "VLAN": (1, ethernet(tag(V4, 42), 0x8100), BOTH, (42,)),
    "VLAN with priority": (1, ethernet(tag(V4, 0xA02A), 0x8100), BOTH, (42,)),
    "QinQ": (1, ethernet(tag(tag(V6, 7, 0x86DD), 4094, 0x8100), 0x88A8), BOTH, (4094, 7)),
    "old QinQ": (1, ethernet(tag(tag(V4, 2), 1, 0x9200), 0x9100), BOTH, (1, 2)),
    "five tags": (
        1,
        ethernet(
            tag(tag(tag(tag(tag(V4, 5), 4, 0x8100), 3, 0x8100), 2, 0x8100), 1, 0x8100), 0x8100
        ),
        BOTH,
        (1, 2, 3, 4),
    ),
    "MPLS": (1, ethernet(labels(V4), 0x8847), BOTH, ()),
    "MPLS multicast, IPv6": (1, ethernet(labels(V6, 3), 0x8848), BOTH, ()),
    "as many labels as may be": (1, ethernet(labels(V4, 16), 0x8847), BOTH, ()),
    "MPLS in VLAN": (1, ethernet(tag(labels(V4), 9, 0x8847), 0x8100), BOTH, (9,)),
    "pseudowire": (1, ethernet(labels(bytes(4) + inner(V4)), 0x8847), INSIDE, ()),
    "pseudowire without control word": (1, ethernet(labels(inner(V4)), 0x8847), INSIDE, ()),
    "pseudowire, address like IPv4": (
        1,
        ethernet(labels(ethernet(V4, 0x0800, INSIDE[0], b"\x45" + bytes(5))), 0x8847),
        (INSIDE[0], b"\x45" + bytes(5)),
        (),
    ),
    "pseudowire, address like IPv6": (
        1,
        ethernet(labels(ethernet(V4, 0x0800, INSIDE[0], b"\x60" + bytes(5))), 0x8847),
        (INSIDE[0], b"\x60" + bytes(5)),
        (),
    ),
    "tag inside and outside a pseudowire": (
        1,
        ethernet(tag(labels(bytes(4) + inner(tag(V6, 8, 0x86DD), 0x8100)), 9, 0x8847), 0x8100),
        INSIDE,
        (8,),
    ),
    "PPPoE": (1, ethernet(pppoe(b"\0\x21" + V4), 0x8864), BOTH, ()),
    "PPPoE, IPv6, padded": (1, ethernet(pppoe(b"\0\x57" + V6) + bytes(9), 0x8864), BOTH, ()),
    "SNAP": (1, length_and_llc(snap(V4)), BOTH, ()),
    "SNAP of a bridge": (1, length_and_llc(snap(V6, 0x86DD, b"\0\0\xf8")), BOTH, ()),
    "SNAP, tagged": (1, length_and_llc(snap(tag(V4, 3), 0x8100)), BOTH, (3,)),
    "SAP of IP": (1, length_and_llc(b"\6\6\3" + V4), BOTH, ()),
    "token ring": (6, frames.token_ring(snap(V4)), BOTH, ()),
    "token ring, routed": (
        6,
        frames.token_ring(snap(V4), b"\x06\0\0\x11\0\x12"),
        (b"\x82" + MAC_SOURCE[1:], MAC_DESTINATION),
        (),
    ),
    "null": (0, struct.pack("<I", 2) + V4, NEITHER, ()),
    "null, big-endian": (0, struct.pack(">I", 2) + V4, NEITHER, ()),
    **{
        f"null, IPv6 as {family}, {order}": (0, struct.pack(f"{order}I", family) + V6, NEITHER, ())
        for family in (10, 24, 28, 30)
        for order in "<>"
    },
    "loop": (108, struct.pack(">I", 24) + V6, NEITHER, ()),
    "PPP": (9, b"\xff\x03\0\x21" + V4, NEITHER, ()),
    "PPP, address left out": (9, b"\0\x57" + V6, NEITHER, ()),
    "PPP, protocol compressed": (9, b"\x21" + V4, NEITHER, ()),
    "PPP, only protocol compressed": (9, b"\xff\x03\x57" + V6, NEITHER, ()),
    "PPP, MPLS": (9, b"\xff\x03\x02\x81" + labels(V4, 2), NEITHER, ()),
    "PPP in HDLC": (50, b"\xff\x03\0\x21" + V4, NEITHER, ()),
    "PPP of Cisco": (50, b"\x0f\0\x08\0" + V4, NEITHER, ()),
    "PPPoE without Ethernet": (51, pppoe(b"\0\x21" + V4), NEITHER, ()),
    "PPP with direction": (204, b"\x01\xff\x03\0\x21" + V4, NEITHER, ()),
    "PPP with direction, bare": (204, b"\0\x21" + V4, NEITHER, ()),
    "Cisco HDLC": (104, b"\x0f\0\x86\xdd" + V6, NEITHER, ()),
    "Cisco HDLC, MPLS": (104, b"\x8f\0\x88\x47" + labels(V4), NEITHER, ()),
    **{f"raw {number}": (number, V4, NEITHER, ()) for number in (12, 14, 101, 228)},
    **{f"raw {number}, IPv6": (number, V6, NEITHER, ()) for number in (12, 14, 101, 229)},
    "cooked": (113, cooked(V4), SENDER, ()),
    "cooked, tagged": (113, cooked(tag(V6, 11, 0x86DD), 0x8100), SENDER, (11,)),
    "cooked, MPLS": (113, cooked(labels(V4), 0x8847), SENDER, ()),
    "cooked, LLC": (113, cooked(snap(V4), 4), SENDER, ()),
    "cooked 2": (276, cooked2(V6, 0x86DD), SENDER, ()),
    "cooked 2, no address": (276, cooked2(V4, address_bytes=0), NEITHER, ()),
    "cooked 2, tagged": (276, cooked2(tag(V4, 12), 0x8100), SENDER, (12,)),
    "802.11 from an access point": (105, wlan(snap(V4)), BOTH, ()),
    "802.11 to an access point": (105, wlan(snap(V4), TO_DS), BOTH, ()),
    "802.11 between stations": (105, wlan(snap(V6, 0x86DD), 0), BOTH, ()),
    "802.11, four addresses": (105, wlan(snap(V4), TO_DS | FROM_DS), BOTH, ()),
    "802.11, QoS": (105, wlan(snap(V4), qos=b"\5\0"), BOTH, ()),
    "802.11, QoS, HT control": (105, wlan(snap(V4), FROM_DS | ORDER, qos=bytes(6)), BOTH, ()),
    "802.11, QoS, four": (105, wlan(snap(V4), TO_DS | FROM_DS, qos=bytes(2)), BOTH, ()),
    "802.11, data and acknowledgment": (105, wlan(snap(V4), kind=0x18), BOTH, ()),
    "Prism": (119, frames.prism(wlan(snap(V4))), BOTH, ()),
    "Prism that is AVS": (119, frames.avs(wlan(snap(V4))), BOTH, ()),
    "AVS": (163, frames.avs(wlan(snap(V6, 0x86DD))), BOTH, ()),
    "radiotap": (127, frames.radiotap(wlan(snap(V4))), BOTH, ()),
    "radiotap, padded": (
        127,
        frames.radiotap(
            wlan(snap(V4), qos=bytes(2), padding=b"\xee\xee"), present=2, fields=b"\x20\0"
        ),
        BOTH,
        (),
    ),
    "radiotap, padded, with time and more bits": (
        127,
        frames.radiotap(
            wlan(snap(V4), qos=bytes(2), padding=b"\xee\xee"),
            present=1 << 31 | 3,
            fields=struct.pack("<I", 1) + bytes(12) + b"\x20",
        ),
        BOTH,
        (),
    ),
    "PPI": (192, frames.ppi(wlan(snap(V4))), BOTH, ()),
    "PPI before Ethernet": (192, frames.ppi(ethernet(V4), 1), BOTH, ()),
}


@pytest.mark.parametrize("name", LINKS)
def test_link(name: str) -> None:
    linktype, frame, macs, vlans = LINKS[name]
    packet = decoded(linktype, frame)

    assert packet.oddities == frozenset()
    assert (packet.mac_source, packet.mac_destination) == macs
    assert packet.vlans == vlans
    assert_the_segment(packet)
    assert packet.payload_offset == frame.index(PAYLOAD)


def assert_the_segment(packet: Decoded) -> None:
    """All that `tcp` and one of the IP builders put in."""
    addresses = (SOURCE, DESTINATION) if packet.family == 4 else (SOURCE6, DESTINATION6)
    assert (packet.source, packet.destination) == addresses
    assert (packet.transport, packet.protocol) == ("tcp", 6)
    assert (packet.source_port, packet.destination_port) == (40000, 80)
    assert (packet.sequence, packet.acknowledgment) == (0x01020304, 0xF5060708)
    assert (packet.flags, packet.window) == (0x18, 512)
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))
    assert (packet.fragment_id, packet.fragment_offset, packet.more_fragments) == (0, 0, False)


NOT_IP = {
    "ARP": (1, ethernet(bytes(28), 0x0806)),
    "type that is no length": (1, ethernet(V4, 1501)),
    "PPPoE discovery": (1, ethernet(pppoe(b"\0\x21" + V4, code=9), 0x8864)),
    "PPP, numbered": (9, b"\xff\x13\0\x21" + V4),
    "PPP's own": (9, b"\xff\x03\xc0\x21" + V4),
    "spanning tree": (1, length_and_llc(b"\x42\x42\3" + V4)),
    "SNAP of someone": (1, length_and_llc(snap(V4, 0x0800, b"\0\0\x0c"))),
    "SNAP with a length": (1, length_and_llc(snap(V4, 100))),
    "MPLS control": (1, ethernet(labels(b"\x10\0\0\x21" + V4), 0x8847)),
    "pseudowire in PPP": (9, b"\x02\x81" + labels(bytes(4) + inner(V4))),
    "SLARP": (104, b"\x8f\0\x80\x35" + V4),
    "cooked, no type": (113, cooked(V4, 1)),
    "address family": (0, struct.pack("<I", 7) + V4),
    "token ring's own": (6, frames.token_ring(snap(V4), frame_control=0)),
    "beacon": (105, b"\x80" + wlan(snap(V4))[1:]),
    "no data": (105, wlan(snap(V4), kind=0x48)),
    "version of 802.11": (105, wlan(snap(V4), kind=0x09)),
    "PPI before PPI": (192, frames.ppi(frames.ppi(wlan(snap(V4))), 192)),
}


@pytest.mark.parametrize("name", NOT_IP)
def test_frame_without_ip(name: str) -> None:
    packet = decoded(*NOT_IP[name])

    assert packet.oddities <= {Oddity.UNKNOWN_LINKTYPE}
    assert (packet.family, packet.transport, packet.protocol) == (0, "none", 0)
    assert (packet.source, packet.payload, packet.payload_bytes) == (b"", b"", 0)


TRANSPORTS = {
    "TCP": (6, tcp(), "tcp", (40000, 80)),
    "TCP with options": (6, tcp(options=bytes(40)), "tcp", (40000, 80)),
    "UDP": (17, udp(), "udp", (4000, 53)),
    "UDP with options behind": (17, udp(length=8 + len(PAYLOAD)) + bytes(4), "udp", (4000, 53)),
    "SCTP": (132, frames.sctp(), "sctp", (36412, 38412)),
    "other": (89, PAYLOAD, "other", (0, 0)),
    "encrypted": (50, PAYLOAD, "other", (0, 0)),
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", TRANSPORTS)
def test_transport(name: str, family: int) -> None:
    protocol, data, transport, ports = TRANSPORTS[name]
    packet = decoded(101, (ipv4 if family == 4 else ipv6)(data, protocol))

    assert packet.oddities == frozenset()
    assert (packet.family, packet.transport, packet.protocol) == (family, transport, protocol)
    assert (packet.source_port, packet.destination_port) == ports
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))


@pytest.mark.parametrize(
    ("packet", "transport"),
    [
        (ipv4(frames.icmp(), 1), "icmp"),
        (ipv6(frames.icmp(), 58), "icmp"),
        (ipv4(frames.icmp(), 58), "other"),
        (ipv6(frames.icmp(), 1), "other"),
    ],
)
def test_icmp_belongs_to_its_family(packet: bytes, transport: str) -> None:
    found = decoded(101, packet)

    assert found.transport == transport
    if transport == "icmp":
        assert (found.source_port, found.destination_port) == (8, 3)
        assert found.payload == PAYLOAD


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(), options=bytes(40)),
        ipv4(authentication(6, tcp()), 51),
        ipv6(extension(6, tcp()), 0),
        ipv6(extension(60, extension(43, extension(6, tcp()), 2), 31), 0),
        ipv6(extension(6, tcp()), 135),
        ipv6(authentication(6, tcp(), 1), 51),
        ipv6(fragment6(6, tcp()), 44),
        ipv6(fragment6(60, extension(6, tcp())), 44),
        ipv6(b"".join(extension(60, b"") for _ in range(15)) + extension(6, tcp()), 60),
    ],
)
def test_way_to_the_transport(packet: bytes) -> None:
    found = decoded(101, packet)

    assert found.oddities == frozenset()
    assert_the_segment(found)


@pytest.mark.parametrize("protocol", [0, 43, 44, 60, 135])
def test_ipv4_has_no_extension_headers_of_ipv6(protocol: int) -> None:
    found = decoded(101, ipv4(extension(6, tcp()), protocol))

    assert (found.transport, found.protocol) == ("other", protocol)


@pytest.mark.parametrize(
    ("fragment", "offset", "more"),
    [(0x2000, 0, True), (0x2001, 8, True), (0x1FFF, 65528, False), (0xC001, 8, False)],
)
def test_ipv4_fragment(fragment: int, offset: int, more: bool) -> None:
    packet = decoded(1, ethernet(ipv4(PAYLOAD, 6, fragment=fragment) + bytes(6)))

    assert (packet.transport, packet.protocol, packet.source_port) == ("fragment", 6, 0)
    assert (packet.fragment_id, packet.fragment_offset) == (0x1234, offset)
    assert packet.more_fragments is more
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))


@pytest.mark.parametrize(("offset", "more"), [(0, True), (8, True), (65528, False)])
def test_ipv6_fragment(offset: int, more: bool) -> None:
    """Its protocol is what the fragment header says, be that another extension header."""
    data = extension(44, fragment6(60, PAYLOAD, offset, more=more))
    packet = decoded(1, ethernet(ipv6(data, 0) + bytes(6), 0x86DD))

    assert (packet.transport, packet.protocol, packet.source_port) == ("fragment", 60, 0)
    assert (packet.fragment_id, packet.fragment_offset) == (0xABCD1234, offset)
    assert packet.more_fragments is more
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))


@pytest.mark.parametrize("family", [4, 6])
def test_datagram_goes_on_from_its_last_fragment(family: int) -> None:
    if family == 4:
        last, datagram = ipv4(b"tail", 6, fragment=8), tcp()
    else:
        last, datagram = ipv6(fragment6(60, b"tail", 64), 44), extension(6, tcp())
    frame = ethernet(last, frames.IPV4 if family == 4 else frames.IPV6)
    packet = decoded(1, frame, len(frame) + 2, reassembled=datagram)

    assert packet.oddities == {Oddity.SNAPLEN_CUT}, "that of the fragment"
    assert (packet.mac_source, packet.family) == (MAC_SOURCE, family)
    assert_the_segment(packet)
    assert packet.payload_offset == datagram.index(PAYLOAD)


def test_datagram_of_which_less_was_captured_than_sent() -> None:
    last = ipv4(b"tail", 6, fragment=8)
    packet = decoded(101, last, reassembled=tcp(), reassembled_bytes=len(tcp()) + 700)

    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD) + 700)
