"""Which bytes at the start of a frame are the same in all packets of its flow and direction.

The way over the headers is that of decode.pyx, tunnels included, and the functions that take a
header say which of its bytes vary. What is known of IP is what filters ask for: version and header
length, whether and which fragment it is, protocol, addresses, and directly behind it the ports, or
the type and code of ICMP. Lengths, identification, hop limits, checksums, options, class of service
and what a transport says beyond its ports are not known. Of ARP all is known, of any other protocol
its link header.

Known are bytes of the frame, whatever they mean, and only such as were captured: a frame that is
cut or damaged is known up to there. Of 802.11 and what is captured before it nothing is known:
those headers differ from packet to packet.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.cursor cimport VARYING_BYTES, Cursor, be16
from daemonlogger_py.flow.link cimport (
    ETHERTYPE_ARP,
    NETWORK_IPV4,
    NETWORK_NONE,
    Network,
)
from daemonlogger_py.flow.linktype cimport (
    LINKTYPE_AVS,
    LINKTYPE_BITS,
    LINKTYPE_PPI,
    LINKTYPE_PRISM,
    LINKTYPE_RADIOTAP,
    LINKTYPE_WLAN,
    by_linktype,
)
from daemonlogger_py.flow.network cimport (
    EXTENSION_BYTES,
    IPV4_BYTES,
    IPV4_MORE_FRAGMENTS,
    IPV4_OFFSET,
    IPV6_BYTES,
    PROTOCOL_FRAGMENT,
    begin_frame,
    by_network,
    forget_network,
)
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.transport cimport (
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_SCTP,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
)
from daemonlogger_py.flow.tunnel cimport (
    MAX_TUNNELS,
    TUNNEL_NONE,
    Tunnel,
    behind_tunnel,
    tunnel_in,
)

cdef enum:
    IPV4_ADDRESSES = 12  # where they begin
    IPV6_ADDRESSES = 8
    ETHERTYPE_RARP = 0x8035
    ARP_BYTES = 28  # of IPv4 over Ethernet, RFC 826
    ARP_ADDRESSES = 8

# Masks of the fixed headers: which bits are known.
cdef uint8_t *IPV4_KNOWN = (
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
)
cdef uint8_t *IPV6_KNOWN = (
    b"\xf0\x00\x00\x00\x00\x00\xff\x00"
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)


cdef bint never_known(uint32_t linktype) noexcept nogil:
    linktype &= LINKTYPE_BITS
    return (
        linktype == LINKTYPE_WLAN
        or linktype == LINKTYPE_RADIOTAP
        or linktype == LINKTYPE_PRISM
        or linktype == LINKTYPE_AVS
        or linktype == LINKTYPE_PPI
    )


cdef uint16_t known_fragment(uint16_t fragment) noexcept nogil:
    """Which bits of the flags and the offset tell as much as a filter asks, and little more.

    Of a packet that is whole, and of a first fragment, that the offset is 0; of others only the
    highest bit that is set, so that the fragments of a datagram are of few kinds.
    """
    cdef uint16_t highest = 0x1000  # of the offset's bits
    if fragment & IPV4_OFFSET == 0:
        return IPV4_MORE_FRAGMENTS | IPV4_OFFSET
    while not fragment & highest:
        highest >>= 1
    return <uint16_t>(IPV4_OFFSET & ~(highest - 1))


cdef uint32_t know_ports(
    Layers *layers, uint32_t place, uint32_t left, uint8_t protocol, uint8_t icmp
) noexcept nogil:
    """Know what a transport header at `place` begins with; returns where that ends."""
    cdef uint32_t count = 0
    if protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP or protocol == PROTOCOL_SCTP:
        count = 4
    elif protocol == icmp:
        count = 2
    if count > left or place + count > VARYING_BYTES:
        return place
    memset(layers.known.same + place, 0xFF, count)
    return place + count


cdef uint32_t know_ipv4(
    Layers *layers, const uint8_t *at, uint32_t place, uint32_t left
) noexcept nogil:
    """Know the header at `place`, of which `left` bytes and more were captured."""
    cdef uint16_t fragment, known
    cdef uint32_t header
    if left < IPV4_BYTES or place + IPV4_BYTES > VARYING_BYTES:
        return place
    memcpy(layers.known.same + place, IPV4_KNOWN, IPV4_BYTES)
    fragment = be16(at + 6)
    known = known_fragment(fragment)
    layers.known.same[place + 6] = <uint8_t>(known >> 8)
    layers.known.same[place + 7] = <uint8_t>known
    header = (at[0] & 0xF) * <uint32_t>4
    if header < IPV4_BYTES or header > left or place + header > VARYING_BYTES:
        return place + IPV4_BYTES
    memset(layers.known.same + place + IPV4_BYTES, 0, header - IPV4_BYTES)
    if fragment & IPV4_OFFSET:
        return place + IPV4_BYTES
    left = know_ports(layers, place + header, left - header, at[9], PROTOCOL_ICMP)
    return left if left > place + header else place + IPV4_BYTES


cdef uint32_t know_ipv6(
    Layers *layers, const uint8_t *at, uint32_t place, uint32_t left
) noexcept nogil:
    if left < IPV6_BYTES or place + IPV6_BYTES > VARYING_BYTES:
        return place
    memcpy(layers.known.same + place, IPV6_KNOWN, IPV6_BYTES)
    place += IPV6_BYTES
    left -= IPV6_BYTES
    if at[6] != PROTOCOL_FRAGMENT:
        return know_ports(layers, place, left, at[6], PROTOCOL_ICMPV6)
    if left < EXTENSION_BYTES or place + 1 > VARYING_BYTES:
        return place
    layers.known.same[place] = 0xFF  # the protocol of what was fragmented
    return place + 1


cdef uint32_t know_network(Layers *layers, const Cursor *cursor, Network network) noexcept nogil:
    """Know the IP header at the cursor; returns where knowledge ends."""
    cdef uint32_t place = <uint32_t>(cursor.at - layers.known.frame)
    cdef uint32_t end
    if network == NETWORK_IPV4:
        end = know_ipv4(layers, cursor.at, place, cursor.captured)
    else:
        end = know_ipv6(layers, cursor.at, place, cursor.captured)
    if layers.split == 0 and end > place:
        layers.split = place + (IPV4_ADDRESSES if network == NETWORK_IPV4 else IPV6_ADDRESSES)
    return end


cdef uint32_t know_other(Layers *layers, const Cursor *cursor) noexcept nogil:
    """What is known where no IP header is, at the cursor: ARP, or only what was before."""
    cdef uint32_t place = <uint32_t>(cursor.at - layers.known.frame)
    cdef const uint8_t *at = cursor.at
    cdef uint16_t ethertype
    if place < 2 or cursor.captured < ARP_BYTES or place + ARP_BYTES > VARYING_BYTES:
        return place
    ethertype = be16(at - 2)
    if ethertype != ETHERTYPE_ARP and ethertype != ETHERTYPE_RARP:
        return place
    if be16(at + 2) != 0x0800 or at[4] != 6 or at[5] != 4:
        return place
    layers.split = place + ARP_ADDRESSES
    return place + ARP_BYTES


cdef uint32_t know_tunnels(
    Layers *layers, Packet *packet, Cursor *cursor, uint32_t end
) noexcept nogil:
    """Go on in the packet inside, as often as there is one; returns where knowledge ends."""
    cdef Tunnel tunnel = tunnel_in(packet)
    cdef Network network
    cdef uint32_t place
    cdef int entered = 0
    while tunnel != TUNNEL_NONE and entered < MAX_TUNNELS:
        entered += 1
        cursor.at = packet.payload
        cursor.captured = packet.payload_captured
        cursor.length = packet.payload_bytes
        place = <uint32_t>(cursor.at - layers.known.frame)
        if place < end or place >= VARYING_BYTES:
            return end
        # What is behind the ports, and extension headers.
        memset(layers.known.same + end, 0, place - end)
        forget_network(packet)
        network = behind_tunnel(tunnel, packet, cursor)
        place = <uint32_t>(cursor.at - layers.known.frame)
        if place > VARYING_BYTES:
            return end
        if network == NETWORK_NONE:
            return place
        end = know_network(layers, cursor, network)
        if end == place or not by_network(packet, cursor, network):
            return end
        tunnel = tunnel_in(packet)
    return end


cdef void find_layers(uint32_t linktype, Packet *packet, Layers *layers) noexcept nogil:
    """Fill `layers` for the frame `packet.data`, which the fields of `packet` follow."""
    cdef Cursor cursor
    cdef Network network
    cdef uint32_t place
    begin_frame(packet, &cursor)
    layers.split = layers.end = 0
    if never_known(linktype):
        return
    layers.known.frame = packet.data
    memset(layers.known.same, 0xFF, VARYING_BYTES)
    cursor.varying = &layers.known
    network = by_linktype(linktype, packet, &cursor)
    place = <uint32_t>(cursor.at - packet.data)
    if place > VARYING_BYTES:
        return
    if network == NETWORK_NONE:
        layers.end = know_other(layers, &cursor)
    else:
        layers.end = know_network(layers, &cursor, network)
        if layers.end > place and by_network(packet, &cursor, network):
            layers.end = know_tunnels(layers, packet, &cursor, layers.end)
    if layers.split == 0:
        layers.split = layers.end


def known(linktype, data, origlen=None):
    """What is known of one frame, for tests: one packet a call is too slow for anything else.

    `origlen` is what was sent of it in bytes (default: all of `data`). Returns (mask, split): the
    mask of the known bits of the first bytes, and from where on they are of hosts. The bytes are
    copied to memory that ends where they end, so that a tool that watches memory sees any read
    behind them.
    """
    cdef Packet packet
    cdef Layers layers
    cdef bytes frame = bytes(data)
    cdef uint8_t *held = <uint8_t *>malloc(len(frame))
    try:
        if held == NULL and frame:
            raise MemoryError
        memcpy(held, <const uint8_t *>frame, len(frame))
        memset(&packet, 0xA5, sizeof(packet))  # what is left unset shows as nonsense
        memset(&layers, 0xA5, sizeof(layers))
        packet.data = held
        packet.caplen = <uint32_t>len(frame)
        packet.origlen = len(frame) if origlen is None else origlen
        find_layers(linktype, &packet, &layers)
        return layers.known.same[:layers.end], layers.split
    finally:
        free(held)
