"""Packets inside packets, entered where asked for."""

import struct

import pytest

from daemonlogger_py.flow.decode import decoded
from daemonlogger_py.flow.oddities import Oddity

from .frames import (
    BRIDGED,
    DESTINATION,
    INNER_MAC_DESTINATION,
    INNER_MAC_SOURCE,
    IPV4,
    IPV6,
    MAC_DESTINATION,
    MAC_SOURCE,
    PAYLOAD,
    SOURCE,
    SOURCE6,
    ethernet,
    extension,
    fragment6,
    geneve,
    gre,
    gtpu,
    ipv4,
    ipv6,
    labels,
    tag,
    tcp,
    udp,
    vxlan,
)

V4, V6 = ipv4(tcp()), ipv6(tcp())
OUTER = (MAC_SOURCE, MAC_DESTINATION)
INNER = (INNER_MAC_SOURCE, INNER_MAC_DESTINATION)


def bridged(payload: bytes, ethertype: int = IPV4) -> bytes:
    return ethernet(payload, ethertype, *INNER)


ROUTES = struct.pack(">HBB", 0x0800, 0, 4) + bytes(4) + bytes(4)
PPTP = struct.pack(">HH", 3 + len(V4), 5)

# What is inside, the protocol of the IP header around it, and whose link is told.
TUNNELS = {
    "IPv4": (V4, 4, OUTER),
    "IPv6": (V6, 41, OUTER),
    "GRE": (gre(V4), 47, OUTER),
    "GRE, IPv6": (gre(V6, IPV6), 47, OUTER),
    "GRE, checksum": (gre(V4, flags=0x8000, fields=bytes(4)), 47, OUTER),
    "GRE, key": (gre(V4, flags=0x2000, fields=bytes(4)), 47, OUTER),
    "GRE, sequence": (gre(V4, flags=0x1000, fields=bytes(4)), 47, OUTER),
    "GRE, all but routes": (gre(V4, flags=0xB000, fields=bytes(12)), 47, OUTER),
    "GRE, routes": (gre(V4, flags=0xF000, fields=bytes(12) + ROUTES), 47, OUTER),
    "GRE, no routes": (gre(V4, flags=0x4000, fields=bytes(8)), 47, OUTER),
    "GRE, MPLS": (gre(labels(V4), 0x8847), 47, OUTER),
    "GRE, Ethernet": (gre(bridged(V4), BRIDGED), 47, INNER),
    "ERSPAN I": (gre(bridged(V4), 0x88BE), 47, INNER),
    "ERSPAN II": (gre(bytes(8) + bridged(V4), 0x88BE, 0x1000, bytes(4)), 47, INNER),
    "PPTP": (gre(b"\xff\x03\x21" + V4, 0x880B, 0x3001, PPTP + bytes(4)), 47, OUTER),
    "PPTP, acknowledging": (
        gre(b"\xff\x03\x21" + V4, 0x880B, 0x3081, PPTP + bytes(8)), 47, OUTER,
    ),
    "VXLAN": (vxlan(bridged(V4)), 17, INNER),
    "VXLAN, IPv6": (vxlan(bridged(V6, IPV6)), 17, INNER),
    "Geneve": (geneve(bridged(V4)), 17, INNER),
    "Geneve, options": (geneve(bridged(V4), options=bytes(252)), 17, INNER),
    "Geneve, IP": (geneve(V6, IPV6), 17, OUTER),
    "GTP-U": (gtpu(V4), 17, OUTER),
    "GTP-U, IPv6": (gtpu(V6), 17, OUTER),
    "GTP-U, sequence": (gtpu(V4, 0x32, bytes([0, 1, 0, 0x85])), 17, OUTER),
    "GTP-U, extensions": (
        gtpu(V4, 0x34, bytes([0, 0, 0, 0x85, 1, 0, 0, 0xC0, 2, 0, 0, 0, 0, 0, 0, 0])), 17, OUTER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", TUNNELS)
def test_tunnel_is_entered(name: str, family: int) -> None:
    payload, protocol, macs = TUNNELS[name]
    around = (ipv4 if family == 4 else ipv6)(payload, protocol)
    frame = ethernet(tag(around, 9, IPV4 if family == 4 else IPV6), 0x8100)
    packet = decoded(1, frame, tunnels=True)

    assert packet.oddities == frozenset()
    assert (packet.tunnels, packet.transport, packet.protocol) == (1, "tcp", 6)
    assert (packet.mac_source, packet.mac_destination) == macs
    assert packet.vlans == ((9,) if macs is OUTER else ())
    assert packet.source in (SOURCE, SOURCE6)
    assert (packet.source_port, packet.destination_port) == (40000, 80)
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD, len(PAYLOAD))
    assert packet.payload_offset == frame.index(PAYLOAD)


@pytest.mark.parametrize("name", TUNNELS)
def test_tunnel_is_not_entered_unless_asked(name: str) -> None:
    payload, protocol, _ = TUNNELS[name]
    packet = decoded(101, ipv4(payload, protocol))

    assert (packet.tunnels, packet.protocol) == (0, protocol)
    assert packet.transport == ("udp" if protocol == 17 else "other")


@pytest.mark.parametrize("name", TUNNELS)
def test_tunnel_cut_anywhere(name: str) -> None:
    payload, protocol, _ = TUNNELS[name]
    frame = ethernet(ipv4(payload, protocol))
    for captured in range(len(frame)):
        packet = decoded(1, frame[:captured], len(frame), tunnels=True)
        if packet.tunnels:
            assert packet.source in (SOURCE, SOURCE6)
        if packet.tunnels and packet.transport == "tcp":
            kept = max(0, captured - frame.index(PAYLOAD))
            assert (packet.payload, packet.payload_bytes) == (PAYLOAD[:kept], len(PAYLOAD))


NOT_TUNNELS = {
    "GRE keepalive": (gre(b"", 0), 47, None),
    "GRE, ARP": (gre(bridged(bytes(28), 0x0806), BRIDGED), 47, None),
    "GRE, an 802.3 length": (gre(V4, 100), 47, None),
    "GRE version": (gre(V4, flags=2), 47, Oddity.BAD_TUNNEL_HEADER),
    "PPTP without key": (gre(V4, 0x880B, 0x1001, bytes(8)), 47, Oddity.BAD_TUNNEL_HEADER),
    "PPTP without PPP": (gre(V4, IPV4, 0x3001, PPTP + bytes(4)), 47, Oddity.BAD_TUNNEL_HEADER),
    "PPTP without payload": (gre(bytes(8), 0x880B, 0x2081, PPTP), 47, None),
    "PPTP, compressed": (
        gre(b"\0\xfd" + V4, 0x880B, 0x3001, PPTP + bytes(4)), 47, Oddity.PPP_COMPRESSED,
    ),
    "GRE routes without end": (
        gre(b"\1\1\1\1\1", flags=0x4000, fields=bytes(4)), 47, Oddity.CUT_TUNNEL_HEADER,
    ),
    "VXLAN's port alone": (udp(bytes(60), port=4789), 17, None),
    "VXLAN, too short": (udp(bytes(7), port=4789), 17, Oddity.CUT_TUNNEL_HEADER),
    "Geneve version": (geneve(bridged(V4), version=1), 17, None),
    "GTP-U, an echo": (gtpu(V4, kind=1), 17, None),
    "GTP'": (gtpu(V4, 0x20), 17, None),
    "GTP-U, not IP": (gtpu(bytes(60)), 17, None),
    "GTP-U, empty": (gtpu(b""), 17, None),
    "GTP-U, extension of nothing": (
        gtpu(V4, 0x34, bytes([0, 0, 0, 0x85, 0, 0, 0, 0])), 17, Oddity.BAD_TUNNEL_HEADER,
    ),
    "GTP-U, extension beyond": (
        gtpu(b"", 0x34, bytes([0, 0, 0, 0x85, 9, 0, 0, 0])), 17, Oddity.CUT_TUNNEL_HEADER,
    ),
    "GTP-U length": (gtpu(V4, length=8), 17, Oddity.CUT_IP_HEADER),
    "IPv4 that is not": (V6, 4, Oddity.BAD_IP_VERSION),
    "IPv4 header length": (ipv4(tcp(), header_words=4), 4, Oddity.BAD_IPV4_HEADER_LENGTH),
    "IPv6 cut": (V6[:39], 41, Oddity.CUT_IP_HEADER),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_TUNNELS)
def test_packet_around_stays_where_nothing_can_be_decoded_inside(name: str) -> None:
    payload, protocol, oddity = NOT_TUNNELS[name]
    frame = ethernet(tag(ipv4(payload, protocol), 9), 0x8100)
    packet = decoded(1, frame, tunnels=True)

    assert packet.oddities == ({oddity} if oddity is not None else frozenset())
    assert packet._replace(oddities=frozenset()) == decoded(1, frame)


@pytest.mark.parametrize(
    ("inside", "transport", "protocol"),
    [
        (ipv4(PAYLOAD, 17, fragment=0x2000), "fragment", 17),
        (ipv4(tcp()[:19]), "none", 6),
        (ipv4(tcp(data_offset=4)), "none", 6),
        (ipv4(PAYLOAD, 89), "other", 89),
    ],
)
def test_packet_inside_is_the_result_even_without_a_transport(
    inside: bytes, transport: str, protocol: int
) -> None:
    packet = decoded(101, ipv6(gre(inside), 47), tunnels=True)

    assert (packet.tunnels, packet.family) == (1, 4)
    assert (packet.transport, packet.protocol) == (transport, protocol)


def nested(depth: int) -> bytes:
    packet = V4
    for _ in range(depth):
        packet = ipv4(packet, 4)
    return packet


def test_tunnels_are_entered_to_a_depth() -> None:
    for depth in range(9):
        packet = decoded(101, nested(depth), tunnels=True)
        assert (packet.oddities, packet.tunnels, packet.transport) == (frozenset(), depth, "tcp")

    deeper = decoded(101, nested(9), tunnels=True)
    assert deeper.oddities == {Oddity.TOO_MANY_TUNNELS}
    assert (deeper.tunnels, deeper.transport, deeper.protocol) == (8, "other", 4)
    assert deeper.payload == V4


def test_mixture_of_tunnels() -> None:
    inside = bridged(tag(ipv6(gtpu(V6), 17), 5, IPV6), 0x8100)
    packet = decoded(1, ethernet(ipv4(vxlan(inside), 17)), tunnels=True)

    assert (packet.tunnels, packet.family, packet.payload) == (2, 6, PAYLOAD)
    assert (packet.mac_source, packet.vlans) == (INNER_MAC_SOURCE, (5,))


def test_reassembled_datagram_is_a_tunnel_too() -> None:
    last = ethernet(ipv4(b"tail", 47, fragment=64))
    packet = decoded(1, last, tunnels=True, reassembled=gre(V6, IPV6))
    closed = decoded(1, last, reassembled=gre(V6, IPV6))

    assert (packet.tunnels, packet.family, packet.payload) == (1, 6, PAYLOAD)
    assert (closed.tunnels, closed.family, closed.transport) == (0, 4, "other")


def test_depth_counts_what_was_entered_before_reassembly() -> None:
    last = nested(8)[: -len(V4)] + ipv4(b"tail", 4, fragment=64)
    assert len(last) < len(nested(8)), "the IP headers around say more than there is"
    packet = decoded(101, last, tunnels=True, reassembled=V4)

    assert (packet.tunnels, packet.transport) == (8, "other")
    assert Oddity.TOO_MANY_TUNNELS in packet.oddities


def test_fragment_inside_a_reassembled_tunnel_is_a_fragment_again() -> None:
    """Whoever puts it together must ask again; each time is a tunnel deeper, so it ends."""
    last = ipv6(fragment6(41, b"tail", 64), 44)
    inner_last = ipv6(extension(44, fragment6(6, b"more", 8)), 0)
    packet = decoded(101, last, tunnels=True, reassembled=inner_last)

    assert (packet.tunnels, packet.transport, packet.fragment_offset) == (1, "fragment", 8)
    assert (packet.payload, packet.source) == (b"more", SOURCE6)


def test_addresses_around_are_gone() -> None:
    packet = decoded(101, ipv6(V4, 4), tunnels=True)

    assert (packet.source, packet.destination) == (SOURCE, DESTINATION)
