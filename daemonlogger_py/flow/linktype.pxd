"""The linktypes that are decoded, and how a frame of each begins; numbers as in savefiles.

Functions are as in link.pxd, which has what they share. Source: pcap-linktype(7), IEEE 802.5.
"""
from libc.stdint cimport uint16_t, uint32_t

from daemonlogger_py.flow.cursor cimport Cursor, be16, be32, skip
from daemonlogger_py.flow.link cimport (
    NETWORK_IPV4,
    NETWORK_IPV6,
    NETWORK_NONE,
    Network,
    bad,
    by_llc,
    by_true_ethertype,
    by_version,
    cut,
    ethernet,
    ppp,
    pppoe,
)
from daemonlogger_py.flow.oddity cimport ODDITY_UNKNOWN_LINKTYPE, note
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.wlan cimport avs, prism, radiotap, take_ppi, wlan

cdef enum Linktype:
    LINKTYPE_NULL = 0
    LINKTYPE_ETHERNET = 1
    LINKTYPE_TOKEN_RING = 6
    LINKTYPE_PPP = 9
    LINKTYPE_RAW_BSD = 12  # DLT_RAW of most systems, which some software writes
    LINKTYPE_RAW_OPENBSD = 14
    LINKTYPE_PPP_SERIAL = 50  # Cisco's HDLC or PPP
    LINKTYPE_PPP_ETHER = 51
    LINKTYPE_RAW = 101
    LINKTYPE_C_HDLC = 104
    LINKTYPE_WLAN = 105
    LINKTYPE_LOOP = 108
    LINKTYPE_SLL = 113
    LINKTYPE_PRISM = 119
    LINKTYPE_RADIOTAP = 127
    LINKTYPE_AVS = 163
    LINKTYPE_PPI = 192
    LINKTYPE_PPP_WITH_DIRECTION = 204
    LINKTYPE_IPV4 = 228
    LINKTYPE_IPV6 = 229
    LINKTYPE_SLL2 = 276
    LINKTYPE_BITS = 0xFFFF  # what is above says how long the link's checksum is

cdef enum:
    SLL_BYTES = 16
    SLL2_BYTES = 20
    SLL_LLC = 4  # in place of an Ethernet type: an 802.2 header follows
    TOKEN_RING_BYTES = 14


cdef inline bint is_decodable(uint32_t linktype) noexcept nogil:
    linktype &= LINKTYPE_BITS
    return (
        linktype == LINKTYPE_NULL
        or linktype == LINKTYPE_ETHERNET
        or linktype == LINKTYPE_TOKEN_RING
        or linktype == LINKTYPE_PPP
        or linktype == LINKTYPE_RAW_BSD
        or linktype == LINKTYPE_RAW_OPENBSD
        or linktype == LINKTYPE_PPP_SERIAL
        or linktype == LINKTYPE_PPP_ETHER
        or linktype == LINKTYPE_RAW
        or linktype == LINKTYPE_C_HDLC
        or linktype == LINKTYPE_WLAN
        or linktype == LINKTYPE_LOOP
        or linktype == LINKTYPE_SLL
        or linktype == LINKTYPE_PRISM
        or linktype == LINKTYPE_RADIOTAP
        or linktype == LINKTYPE_AVS
        or linktype == LINKTYPE_PPI
        or linktype == LINKTYPE_PPP_WITH_DIRECTION
        or linktype == LINKTYPE_IPV4
        or linktype == LINKTYPE_IPV6
        or linktype == LINKTYPE_SLL2
    )


cdef inline Network with_direction(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured == 0:
        return cut(packet)
    skip(cursor, 1)
    return ppp(packet, cursor)


cdef inline Network token_ring(Packet *packet, Cursor *cursor) noexcept nogil:
    """IEEE 802.5: source routing, where there is any, is announced in the source address."""
    cdef uint32_t routing
    if cursor.captured < TOKEN_RING_BYTES:
        return cut(packet)
    packet.mac_destination = cursor.at + 2
    packet.mac_source = cursor.at + 8
    if cursor.at[1] & 0xC0 != 0x40:  # not a frame with LLC
        return NETWORK_NONE
    if not cursor.at[8] & 0x80:
        skip(cursor, TOKEN_RING_BYTES)
        return by_llc(packet, cursor)
    skip(cursor, TOKEN_RING_BYTES)
    if cursor.captured < 2:
        return cut(packet)
    routing = cursor.at[0] & 0x1F
    if routing < 2:
        return bad(packet)
    if cursor.captured < routing:
        return cut(packet)
    skip(cursor, routing)
    return by_llc(packet, cursor)


cdef inline Network by_address_family(Packet *packet, Cursor *cursor) noexcept nogil:
    """BSD loopback: an address family in the byte order of whoever wrote the savefile."""
    cdef uint32_t family
    if cursor.captured < 4:
        return cut(packet)
    family = be32(cursor.at)
    if family & 0xFFFF == 0:  # families are small numbers
        family = family >> 24 | (family >> 8 & 0xFF00)
    skip(cursor, 4)
    if family == 2:
        return NETWORK_IPV4
    # Linux, NetBSD and OpenBSD, FreeBSD, macOS.
    if family == 10 or family == 24 or family == 28 or family == 30:
        return NETWORK_IPV6
    return NETWORK_NONE


cdef inline Network cisco_hdlc(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint16_t ethertype
    if cursor.captured < 4:
        return cut(packet)
    if cursor.at[0] == 0xFF and cursor.at[1] == 0x03:
        return ppp(packet, cursor)
    ethertype = be16(cursor.at + 2)
    skip(cursor, 4)
    return by_true_ethertype(packet, cursor, ethertype)


cdef inline Network cooked(
    Packet *packet, Cursor *cursor, uint32_t header_bytes, uint32_t protocol_at,
    uint16_t address_bytes, uint32_t address_at,
) noexcept nogil:
    """Linux "cooked" capture; of the link's addresses only the sender's is there."""
    cdef uint16_t protocol = be16(cursor.at + protocol_at)
    if address_bytes == 6:
        packet.mac_source = cursor.at + address_at
    skip(cursor, header_bytes)
    if protocol == SLL_LLC:
        return by_llc(packet, cursor)
    return by_true_ethertype(packet, cursor, protocol)


cdef inline Network cooked_v1(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured < SLL_BYTES:
        return cut(packet)
    return cooked(packet, cursor, SLL_BYTES, 14, be16(cursor.at + 4), 6)


cdef inline Network cooked_v2(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured < SLL2_BYTES:
        return cut(packet)
    return cooked(packet, cursor, SLL2_BYTES, 0, cursor.at[11], 12)


cdef inline Network by_linktype(
    uint32_t linktype, Packet *packet, Cursor *cursor
) noexcept nogil:
    """Go over all that is before the network header of a frame."""
    linktype &= LINKTYPE_BITS
    if linktype == LINKTYPE_PPI:
        if not take_ppi(packet, cursor, &linktype):
            return NETWORK_NONE
    if linktype == LINKTYPE_ETHERNET:
        return ethernet(packet, cursor)
    if linktype == LINKTYPE_SLL:
        return cooked_v1(packet, cursor)
    if linktype == LINKTYPE_SLL2:
        return cooked_v2(packet, cursor)
    if linktype == LINKTYPE_NULL or linktype == LINKTYPE_LOOP:
        return by_address_family(packet, cursor)
    if (
        linktype == LINKTYPE_RAW
        or linktype == LINKTYPE_RAW_BSD
        or linktype == LINKTYPE_RAW_OPENBSD
    ):
        return by_version(packet, cursor)
    if linktype == LINKTYPE_IPV4:
        return NETWORK_IPV4
    if linktype == LINKTYPE_IPV6:
        return NETWORK_IPV6
    if linktype == LINKTYPE_PPP:
        return ppp(packet, cursor)
    if linktype == LINKTYPE_PPP_WITH_DIRECTION:
        return with_direction(packet, cursor)
    if linktype == LINKTYPE_PPP_ETHER:
        return pppoe(packet, cursor)
    if linktype == LINKTYPE_C_HDLC or linktype == LINKTYPE_PPP_SERIAL:
        return cisco_hdlc(packet, cursor)
    if linktype == LINKTYPE_WLAN:
        return wlan(packet, cursor, False)
    if linktype == LINKTYPE_RADIOTAP:
        return radiotap(packet, cursor)
    if linktype == LINKTYPE_PRISM:
        return prism(packet, cursor)
    if linktype == LINKTYPE_AVS:
        return avs(packet, cursor)
    if linktype == LINKTYPE_TOKEN_RING:
        return token_ring(packet, cursor)
    note(packet, ODDITY_UNKNOWN_LINKTYPE)
    return NETWORK_NONE
