"""From a tunnel header to the network header inside: which one is it?

As in link.pxd, every function moves the cursor, and NETWORK_NONE says that nothing inside can be
decoded; then the packet stays the outer one. Ports alone do not make a tunnel: a UDP payload whose
header is not the tunnel's is no damage, just another protocol.
Formats: RFC 2784 and 2890 (GRE), RFC 1701 (its routing field), RFC 2637 (PPTP),
draft-foschiano-erspan-03, RFC 7348 (VXLAN), RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from daemonlogger_py.flow.cursor cimport Cursor, be16, limit, skip, vary
from daemonlogger_py.flow.link cimport (
    ETHERTYPE_BRIDGED,
    NETWORK_IPV4,
    NETWORK_IPV6,
    NETWORK_NONE,
    Network,
    by_true_ethertype,
    ethernet,
    forget_tags,
    ppp,
)
from daemonlogger_py.flow.oddity cimport (
    ODDITY_BAD_TUNNEL_HEADER,
    ODDITY_CUT_TUNNEL_HEADER,
    note,
)
from daemonlogger_py.flow.packet cimport TRANSPORT_OTHER, TRANSPORT_UDP, Packet

cdef enum Tunnel:
    TUNNEL_NONE = 0
    TUNNEL_IPV4
    TUNNEL_IPV6
    TUNNEL_GRE
    TUNNEL_VXLAN
    TUNNEL_GENEVE
    TUNNEL_GTPU

cdef enum:
    MAX_TUNNELS = 8  # one inside the other
    PROTOCOL_IPV4 = 4
    PROTOCOL_IPV6 = 41
    PROTOCOL_GRE = 47
    PORT_GTPU = 2152
    PORT_VXLAN = 4789
    PORT_GENEVE = 6081
    GRE_CHECKSUM = 0x8000
    GRE_ROUTING = 0x4000
    GRE_KEY = 0x2000
    GRE_SEQUENCE = 0x1000
    GRE_ACKNOWLEDGMENT = 0x0080  # version 1 alone
    GRE_VERSION = 0x0007
    GRE_PPP = 0x880B
    GRE_ERSPAN = 0x88BE  # type II, or, without a sequence number, type I
    ERSPAN_BYTES = 8
    VXLAN_BYTES = 8
    VXLAN_HAS_NETWORK = 0x08
    GENEVE_BYTES = 8
    GTPU_BYTES = 8
    GTPU_VERSION = 0xF0  # version 1 of GTP, not of the charging protocol GTP'
    GTPU_EXTENDED = 0x07  # any of the three: sequence, N-PDU number and extension type follow
    GTPU_HAS_EXTENSION = 0x04
    GTPU_PACKET = 255  # the message type of what a user sent


cdef inline Tunnel tunnel_in(const Packet *packet) noexcept nogil:
    """What the payload of a packet may begin with, by its protocol or destination port."""
    if packet.transport == TRANSPORT_UDP:
        if packet.destination_port == PORT_VXLAN:
            return TUNNEL_VXLAN
        if packet.destination_port == PORT_GENEVE:
            return TUNNEL_GENEVE
        if packet.destination_port == PORT_GTPU:
            return TUNNEL_GTPU
    elif packet.transport == TRANSPORT_OTHER:
        if packet.protocol == PROTOCOL_IPV4:
            return TUNNEL_IPV4
        if packet.protocol == PROTOCOL_IPV6:
            return TUNNEL_IPV6
        if packet.protocol == PROTOCOL_GRE:
            return TUNNEL_GRE
    return TUNNEL_NONE


cdef inline Network cut_tunnel(Packet *packet) noexcept nogil:
    note(packet, ODDITY_CUT_TUNNEL_HEADER)
    return NETWORK_NONE


cdef inline Network bad_tunnel(Packet *packet) noexcept nogil:
    note(packet, ODDITY_BAD_TUNNEL_HEADER)
    return NETWORK_NONE


cdef inline Network bridged(Packet *packet, Cursor *cursor) noexcept nogil:
    forget_tags(packet)
    return ethernet(packet, cursor)


cdef inline Network by_inner_type(
    Packet *packet, Cursor *cursor, uint16_t ethertype
) noexcept nogil:
    if ethertype == ETHERTYPE_BRIDGED:
        return bridged(packet, cursor)
    return by_true_ethertype(packet, cursor, ethertype)


cdef inline bint take_gre_routes(Packet *packet, Cursor *cursor) noexcept nogil:
    """RFC 1701's source routes, the last one of them empty."""
    cdef uint32_t count
    cdef bint last
    while cursor.captured >= 4:
        count = cursor.at[3]
        last = count == 0 and be16(cursor.at) == 0
        if cursor.captured < 4 + count:
            break
        vary(cursor, cursor.at, 4 + count, 0)
        skip(cursor, 4 + count)
        if last:
            return True
    cut_tunnel(packet)
    return False


cdef inline Network pptp(
    Packet *packet, Cursor *cursor, uint16_t flags, uint16_t protocol
) noexcept nogil:
    """GRE's version 1, the first four bytes of which were taken."""
    cdef uint32_t count = 4
    cdef uint16_t payload
    if not flags & GRE_KEY or flags & (GRE_CHECKSUM | GRE_ROUTING) or protocol != GRE_PPP:
        return bad_tunnel(packet)
    if flags & GRE_SEQUENCE:
        count += 4
    if flags & GRE_ACKNOWLEDGMENT:
        count += 4
    if cursor.captured < count:
        return cut_tunnel(packet)
    payload = be16(cursor.at)
    vary(cursor, cursor.at, 2, 0)
    vary(cursor, cursor.at + 4, count - 4, 0)  # both numbers, behind the call's
    skip(cursor, count)
    if not flags & GRE_SEQUENCE:  # an acknowledgment alone
        return NETWORK_NONE
    limit(cursor, payload)
    return ppp(packet, cursor)


cdef inline Network gre(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint16_t flags, protocol
    cdef uint32_t count = 0
    if cursor.captured < 4:
        return cut_tunnel(packet)
    flags = be16(cursor.at)
    protocol = be16(cursor.at + 2)
    skip(cursor, 4)
    if flags & GRE_VERSION == 1:
        return pptp(packet, cursor, flags, protocol)
    if flags & GRE_VERSION:
        return bad_tunnel(packet)
    if flags & (GRE_CHECKSUM | GRE_ROUTING):  # one of them brings the other's half of the word
        count += 4
    if flags & GRE_KEY:
        count += 4
    if flags & GRE_SEQUENCE:
        count += 4
    if cursor.captured < count:
        return cut_tunnel(packet)
    if flags & (GRE_CHECKSUM | GRE_ROUTING):
        vary(cursor, cursor.at, 4, 0)
    if flags & GRE_SEQUENCE:
        vary(cursor, cursor.at + count - 4, 4, 0)
    skip(cursor, count)
    if flags & GRE_ROUTING and not take_gre_routes(packet, cursor):
        return NETWORK_NONE
    if protocol != GRE_ERSPAN:
        return by_inner_type(packet, cursor, protocol)
    if flags & GRE_SEQUENCE:
        if cursor.captured < ERSPAN_BYTES:
            return cut_tunnel(packet)
        vary(cursor, cursor.at + 2, ERSPAN_BYTES - 2, 0)  # all but version and VLAN
        skip(cursor, ERSPAN_BYTES)
    return bridged(packet, cursor)


cdef inline Network vxlan(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured < VXLAN_BYTES:
        return cut_tunnel(packet)
    if not cursor.at[0] & VXLAN_HAS_NETWORK:
        return NETWORK_NONE
    skip(cursor, VXLAN_BYTES)
    return bridged(packet, cursor)


cdef inline Network geneve(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint32_t count
    cdef uint16_t protocol
    if cursor.captured < GENEVE_BYTES:
        return cut_tunnel(packet)
    if cursor.at[0] & 0xC0:  # a version that does not exist
        return NETWORK_NONE
    count = GENEVE_BYTES + (cursor.at[0] & 0x3F) * 4
    protocol = be16(cursor.at + 2)
    if cursor.captured < count:
        return cut_tunnel(packet)
    vary(cursor, cursor.at + GENEVE_BYTES, count - GENEVE_BYTES, 0)  # options
    skip(cursor, count)
    return by_inner_type(packet, cursor, protocol)


cdef inline bint take_gtpu_extensions(Packet *packet, Cursor *cursor, uint8_t kind) noexcept nogil:
    """Extension headers: their length in words of four bytes, the last byte the next one's type."""
    cdef uint32_t count
    while kind:
        if cursor.captured == 0:
            cut_tunnel(packet)
            return False
        count = cursor.at[0] * <uint32_t>4
        if count == 0:
            bad_tunnel(packet)
            return False
        if cursor.captured < count:
            cut_tunnel(packet)
            return False
        kind = cursor.at[count - 1]
        vary(cursor, cursor.at, count, 0)
        skip(cursor, count)
    return True


cdef inline Network gtpu(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint8_t flags, kind = 0
    if cursor.captured < GTPU_BYTES:
        return cut_tunnel(packet)
    flags = cursor.at[0]
    if flags & GTPU_VERSION != 0x30 or cursor.at[1] != GTPU_PACKET:
        return NETWORK_NONE
    vary(cursor, cursor.at + 2, 2, 0)
    limit(cursor, be16(cursor.at + 2) + GTPU_BYTES)
    skip(cursor, GTPU_BYTES)
    if flags & GTPU_EXTENDED:
        if cursor.captured < 4:
            return cut_tunnel(packet)
        if flags & GTPU_HAS_EXTENSION:
            kind = cursor.at[3]
        vary(cursor, cursor.at, 4, 0)
        skip(cursor, 4)
    if not take_gtpu_extensions(packet, cursor, kind):
        return NETWORK_NONE
    if cursor.captured == 0:
        return cut_tunnel(packet) if cursor.length else NETWORK_NONE
    # Users send IP; the Ethernet or unstructured data of some 5G sessions says nowhere that it is.
    if cursor.at[0] >> 4 == 4:
        return NETWORK_IPV4
    if cursor.at[0] >> 4 == 6:
        return NETWORK_IPV6
    return NETWORK_NONE


cdef inline Network behind_tunnel(Tunnel tunnel, Packet *packet, Cursor *cursor) noexcept nogil:
    """Go over a tunnel header; the link of what is inside, if it has one, becomes the packet's."""
    if tunnel == TUNNEL_IPV4:
        return NETWORK_IPV4
    if tunnel == TUNNEL_IPV6:
        return NETWORK_IPV6
    if tunnel == TUNNEL_GRE:
        return gre(packet, cursor)
    if tunnel == TUNNEL_VXLAN:
        return vxlan(packet, cursor)
    if tunnel == TUNNEL_GENEVE:
        return geneve(packet, cursor)
    return gtpu(packet, cursor)
