"""A frame decoded to its innermost transport header: addresses, ports, and where the payload is.

Reads headers and nothing else: no state, no checksums. The way is linktype.pxd, link.pxd and
wlan.pxd (all that is before IP), network.pxd, transport.pxd, and where asked for tunnel.pxd.
Fragments are put together by defrag.pyx, connections are kept by engine.pyx.

Lengths are those of the IP header: link padding is never payload. What IP says was sent but was not
captured shows as `payload_captured` below `payload_bytes`. An IP length of 0 (a super-frame before
offloading, a jumbogram) means all that the frame held when it was sent. An IP length beyond that
is believed too: then the frame was cut before it was captured.

With tunnels the innermost packet is the result, also where it is a fragment or its transport header
is damaged; where not even an IP header is inside, the packet around it is. The oddities are of all.
"""
from typing import NamedTuple

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.cursor cimport Cursor
from daemonlogger_py.flow.link cimport NETWORK_NONE, Network
from daemonlogger_py.flow.linktype cimport by_linktype, is_decodable
from daemonlogger_py.flow.network cimport begin_frame, by_network, forget_network, upper
from daemonlogger_py.flow.oddity cimport ODDITY_TOO_MANY_TUNNELS, note
from daemonlogger_py.flow.packet cimport (
    IPV4,
    IPV6,
    NO_IP,
    TRANSPORT_FRAGMENT,
    TRANSPORT_ICMP,
    TRANSPORT_NONE,
    TRANSPORT_OTHER,
    TRANSPORT_SCTP,
    TRANSPORT_TCP,
    TRANSPORT_UDP,
    Packet,
)
from daemonlogger_py.flow.transport cimport forget_transport
from daemonlogger_py.flow.tunnel cimport (
    MAX_TUNNELS,
    TUNNEL_NONE,
    Tunnel,
    behind_tunnel,
    tunnel_in,
)


cdef void enter_tunnels(Packet *packet) noexcept nogil:
    """Replace a packet by the one in its payload, as often as there is one."""
    cdef Packet outer
    cdef Cursor cursor
    cdef Network network
    cdef Tunnel tunnel = tunnel_in(packet)
    while tunnel != TUNNEL_NONE:
        if packet.tunnels == MAX_TUNNELS:
            note(packet, ODDITY_TOO_MANY_TUNNELS)
            return
        outer = packet[0]
        cursor.at = packet.payload
        cursor.captured = packet.payload_captured
        cursor.length = packet.payload_bytes
        cursor.varying = NULL
        forget_network(packet)
        packet.tunnels += 1
        network = behind_tunnel(tunnel, packet, &cursor)
        if network == NETWORK_NONE or not by_network(packet, &cursor, network):
            outer.oddities = packet.oddities
            packet[0] = outer
            return
        tunnel = tunnel_in(packet)


cdef void decode(uint32_t linktype, Packet *packet, bint tunnels) noexcept nogil:
    """Decode the frame `packet.data`; whatever it holds, every field is set (packet.pxd)."""
    cdef Cursor cursor
    cdef Network network
    begin_frame(packet, &cursor)
    network = by_linktype(linktype, packet, &cursor)
    if network != NETWORK_NONE:
        by_network(packet, &cursor, network)
        if tunnels:
            enter_tunnels(packet)


cdef void decode_datagram(
    Packet *packet, const uint8_t *payload, uint32_t captured, uint32_t length, bint tunnels
) noexcept nogil:
    """Decode an IP payload that was in fragments, `packet` being the last that was missing.

    Its link, addresses, count of tunnels and oddities stay; oddities of the datagram are added.
    """
    cdef Cursor cursor
    cursor.at = payload
    cursor.captured = min(captured, length)
    cursor.length = length
    cursor.varying = NULL
    forget_transport(packet)
    upper(packet, &cursor, packet.protocol, True)
    if tunnels:
        enter_tunnels(packet)


cdef bint decodable(uint32_t linktype) noexcept nogil:
    """Whether frames of this linktype, the number of which is in its low 16 bits, are decoded."""
    return is_decodable(linktype)


class Decoded(NamedTuple):
    """One decoded packet, for tests and tools; fields as in packet.pxd."""

    oddities: frozenset  # of flow.oddities.Oddity
    mac_source: bytes | None
    mac_destination: bytes | None
    vlans: tuple
    family: int  # 4, 6, or 0
    transport: str  # "none", "tcp", "udp", "icmp", "sctp", "other", "fragment"
    protocol: int
    tunnels: int
    source: bytes  # as long as the family's addresses are, empty without one
    destination: bytes
    source_port: int
    destination_port: int
    flags: int
    window: int
    sequence: int
    acknowledgment: int
    fragment_id: int
    fragment_offset: int
    more_fragments: bool
    payload: bytes  # as much of it as was captured
    payload_offset: int  # in the frame or datagram
    payload_bytes: int  # that were sent


cdef dict transports = {
    TRANSPORT_NONE: "none",
    TRANSPORT_TCP: "tcp",
    TRANSPORT_UDP: "udp",
    TRANSPORT_ICMP: "icmp",
    TRANSPORT_SCTP: "sctp",
    TRANSPORT_OTHER: "other",
    TRANSPORT_FRAGMENT: "fragment",
}


cdef object told(const Packet *packet, const uint8_t *start):
    """A packet as Python sees it; payload offsets count from `start`."""
    from daemonlogger_py.flow.oddities import oddities_of

    cdef int address_bytes = {NO_IP: 0, IPV4: 4, IPV6: 16}[packet.family]
    if any(packet.source[i] or packet.destination[i] for i in range(address_bytes, 16)):
        raise AssertionError("an address has more bytes than its family")
    return Decoded(
        oddities=oddities_of(packet.oddities),
        mac_source=None if packet.mac_source == NULL else packet.mac_source[:6],
        mac_destination=None if packet.mac_destination == NULL else packet.mac_destination[:6],
        vlans=tuple([packet.vlans[i] for i in range(packet.vlan_count)]),
        family=packet.family,
        transport=transports[packet.transport],
        protocol=packet.protocol,
        tunnels=packet.tunnels,
        source=packet.source[:address_bytes],
        destination=packet.destination[:address_bytes],
        source_port=packet.source_port,
        destination_port=packet.destination_port,
        flags=packet.flags,
        window=packet.window,
        sequence=packet.sequence,
        acknowledgment=packet.acknowledgment,
        fragment_id=packet.fragment_id,
        fragment_offset=packet.fragment_offset,
        more_fragments=bool(packet.more_fragments),
        payload=packet.payload[:packet.payload_captured],
        payload_offset=packet.payload - start,
        payload_bytes=packet.payload_bytes,
    )


def decoded(
    linktype, data, origlen=None, *, tunnels=False, reassembled=None, reassembled_bytes=None
):
    """Decode one frame, for tests and tools: one packet a call is too slow for anything else.

    `origlen` is what was sent of it in bytes (default: all of `data`). With `reassembled`, the
    frame is the fragment that completed this IP payload, of which `reassembled_bytes` were sent,
    and the result is that of the datagram. The bytes are copied to memory that ends where they
    end, so that a tool that watches memory sees any read behind them. Returns a `Decoded`.
    """
    cdef Packet packet
    cdef bytes frame = bytes(data)
    cdef bytes datagram = bytes(reassembled or b"")
    cdef uint8_t *held = <uint8_t *>malloc(len(frame))
    cdef uint8_t *held_datagram = <uint8_t *>malloc(len(datagram))
    try:
        if (held == NULL and frame) or (held_datagram == NULL and datagram):
            raise MemoryError
        memcpy(held, <const uint8_t *>frame, len(frame))
        memcpy(held_datagram, <const uint8_t *>datagram, len(datagram))
        # What decode leaves unset shows as nonsense.
        memset(&packet, 0xA5, sizeof(packet))
        packet.data = held
        packet.caplen = <uint32_t>len(frame)
        packet.origlen = len(frame) if origlen is None else origlen
        packet.time_ns = 0
        decode(linktype, &packet, tunnels)
        if reassembled is None:
            return told(&packet, held)
        decode_datagram(
            &packet,
            held_datagram,
            <uint32_t>len(datagram),
            len(datagram) if reassembled_bytes is None else reassembled_bytes,
            tunnels,
        )
        return told(&packet, held_datagram)
    finally:
        free(held)
        free(held_datagram)


def decodes(linktype):
    """Whether frames of this linktype (pcap-linktype(7), low 16 bits) can be decoded."""
    return bool(decodable(linktype))
