"""IP headers of both families and their extensions, up to the transport or a fragment.

Formats: RFC 791 (IPv4), 8200 (IPv6), 4302 (AH), 6275 (mobility), 2675 (jumbograms), 6864 and 6946
(fragments).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.cursor cimport Cursor, be16, be32, limit, skip
from daemonlogger_py.flow.link cimport NETWORK_IPV4, Network, forget_tags
from daemonlogger_py.flow.oddity cimport (
    ODDITY_BAD_IP_VERSION,
    ODDITY_BAD_IPV4_HEADER_LENGTH,
    ODDITY_BAD_IPV4_TOTAL_LENGTH,
    ODDITY_CUT_EXTENSION_HEADER,
    ODDITY_CUT_IP_HEADER,
    ODDITY_IP_LENGTH_BEYOND_FRAME,
    ODDITY_NESTED_FRAGMENT,
    ODDITY_ORIGLEN_BELOW_CAPLEN,
    ODDITY_SNAPLEN_CUT,
    ODDITY_TOO_MANY_EXTENSIONS,
    ODDITY_ZERO_IP_LENGTH,
    note,
)
from daemonlogger_py.flow.packet cimport IPV4, IPV6, NO_IP, TRANSPORT_FRAGMENT, Packet
from daemonlogger_py.flow.transport cimport PROTOCOL_TCP, by_protocol, carry, forget_transport

cdef enum:
    MAX_EXTENSIONS = 16
    IPV4_BYTES = 20
    IPV6_BYTES = 40
    EXTENSION_BYTES = 8  # of the shortest one; lengths are in units of it
    IPV4_MORE_FRAGMENTS = 0x2000
    IPV4_OFFSET = 0x1FFF
    PROTOCOL_HOP_BY_HOP = 0
    PROTOCOL_ROUTING = 43
    PROTOCOL_FRAGMENT = 44
    PROTOCOL_AH = 51
    PROTOCOL_NOTHING = 59
    PROTOCOL_DESTINATION = 60
    PROTOCOL_MOBILITY = 135
    STOPPED = -1  # in place of a protocol


cdef inline void forget_network(Packet *packet) noexcept nogil:
    packet.family = NO_IP
    packet.protocol = 0
    memset(packet.source, 0, sizeof(packet.source))
    memset(packet.destination, 0, sizeof(packet.destination))
    forget_transport(packet)


cdef inline void begin_frame(Packet *packet, Cursor *cursor) noexcept nogil:
    """Set every field that decoding sets, and the cursor at the first byte of `packet.data`."""
    packet.oddities = 0
    packet.mac_source = NULL
    packet.mac_destination = NULL
    packet.tunnels = 0
    forget_tags(packet)
    forget_network(packet)
    cursor.at = packet.data
    cursor.captured = packet.caplen
    cursor.length = packet.origlen
    cursor.varying = NULL
    if packet.caplen < packet.origlen:
        note(packet, ODDITY_SNAPLEN_CUT)
    elif packet.caplen > packet.origlen:
        note(packet, ODDITY_ORIGLEN_BELOW_CAPLEN)
        cursor.length = packet.caplen


cdef inline bint is_extension(uint8_t family, int protocol) noexcept nogil:
    if protocol == PROTOCOL_AH:
        return True
    return family == IPV6 and (
        protocol == PROTOCOL_HOP_BY_HOP
        or protocol == PROTOCOL_ROUTING
        or protocol == PROTOCOL_FRAGMENT
        or protocol == PROTOCOL_DESTINATION
        or protocol == PROTOCOL_MOBILITY
    )


cdef inline bint take_fragment(Packet *packet, Cursor *cursor, int *protocol) noexcept nogil:
    """The fragment header; False where the packet is a fragment, and not whole (RFC 6946)."""
    cdef uint16_t offset = be16(cursor.at + 2)
    packet.protocol = cursor.at[0]
    protocol[0] = cursor.at[0]
    packet.fragment_id = be32(cursor.at + 4)
    skip(cursor, EXTENSION_BYTES)
    if offset & 0xFFF9 == 0:
        packet.fragment_id = 0
        return True
    packet.transport = TRANSPORT_FRAGMENT
    packet.fragment_offset = offset & 0xFFF8
    packet.more_fragments = offset & 1
    carry(packet, cursor)
    return False


cdef inline int behind_extensions(
    Packet *packet, Cursor *cursor, int protocol, bint reassembled
) noexcept nogil:
    """The protocol behind all extension headers, or STOPPED where there is no way to it."""
    cdef uint32_t count
    cdef int extensions = 0
    while is_extension(packet.family, protocol):
        packet.protocol = <uint8_t>protocol
        if extensions == MAX_EXTENSIONS:
            note(packet, ODDITY_TOO_MANY_EXTENSIONS)
            return STOPPED
        extensions += 1
        if cursor.captured < EXTENSION_BYTES:
            note(packet, ODDITY_CUT_EXTENSION_HEADER)
            return STOPPED
        if protocol == PROTOCOL_FRAGMENT:
            if reassembled:
                note(packet, ODDITY_NESTED_FRAGMENT)
                return STOPPED
            if not take_fragment(packet, cursor, &protocol):
                return STOPPED
            continue
        if protocol == PROTOCOL_AH:
            count = (cursor.at[1] + <uint32_t>2) * 4
        else:
            count = (cursor.at[1] + <uint32_t>1) * EXTENSION_BYTES
        if cursor.captured < count:
            note(packet, ODDITY_CUT_EXTENSION_HEADER)
            return STOPPED
        protocol = cursor.at[0]
        skip(cursor, count)
    return protocol


cdef inline void upper(
    Packet *packet, Cursor *cursor, int protocol, bint reassembled
) noexcept nogil:
    """All that is behind the IP header."""
    if protocol != PROTOCOL_TCP and is_extension(packet.family, protocol):
        protocol = behind_extensions(packet, cursor, protocol, reassembled)
        if protocol == STOPPED:
            return
    by_protocol(packet, cursor, <uint8_t>protocol)


cdef inline void set_length(Packet *packet, Cursor *cursor, uint32_t length) noexcept nogil:
    """Believe the IP header: there is padding behind it, or some of it is missing."""
    if length <= cursor.length:
        limit(cursor, length)
    else:
        note(packet, ODDITY_IP_LENGTH_BEYOND_FRAME)
        cursor.length = length


cdef inline bint ipv4(Packet *packet, Cursor *cursor) noexcept nogil:
    """Whether there is an IPv4 header at all; what is wrong behind it is noted."""
    cdef const uint8_t *at = cursor.at
    cdef uint32_t header, length
    cdef uint16_t fragment
    if cursor.captured < IPV4_BYTES:
        note(packet, ODDITY_CUT_IP_HEADER)
        return False
    if at[0] >> 4 != 4:
        note(packet, ODDITY_BAD_IP_VERSION)
        return False
    header = (at[0] & 0xF) * <uint32_t>4
    length = be16(at + 2)
    packet.family = IPV4
    packet.protocol = at[9]
    memcpy(packet.source, at + 12, 4)
    memcpy(packet.destination, at + 16, 4)
    if header < IPV4_BYTES:
        note(packet, ODDITY_BAD_IPV4_HEADER_LENGTH)
        return False
    if length == 0:
        note(packet, ODDITY_ZERO_IP_LENGTH)
    elif length < header:
        note(packet, ODDITY_BAD_IPV4_TOTAL_LENGTH)
        return False
    else:
        set_length(packet, cursor, length)
    if cursor.captured < header:
        note(packet, ODDITY_CUT_IP_HEADER)
        return True
    skip(cursor, header)
    fragment = be16(at + 6)
    if fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET):
        packet.transport = TRANSPORT_FRAGMENT
        packet.fragment_id = be16(at + 4)
        packet.fragment_offset = (fragment & IPV4_OFFSET) * <uint32_t>8
        packet.more_fragments = fragment & IPV4_MORE_FRAGMENTS != 0
        carry(packet, cursor)
    else:
        upper(packet, cursor, at[9], False)
    return True


cdef inline bint ipv6(Packet *packet, Cursor *cursor) noexcept nogil:
    """Whether there is an IPv6 header at all; what is wrong behind it is noted."""
    cdef const uint8_t *at = cursor.at
    cdef uint32_t length
    if cursor.captured < IPV6_BYTES:
        note(packet, ODDITY_CUT_IP_HEADER)
        return False
    if at[0] >> 4 != 6:
        note(packet, ODDITY_BAD_IP_VERSION)
        return False
    packet.family = IPV6
    memcpy(packet.source, at + 8, 16)
    memcpy(packet.destination, at + 24, 16)
    length = be16(at + 4)
    skip(cursor, IPV6_BYTES)
    if length or at[6] == PROTOCOL_NOTHING:
        set_length(packet, cursor, length)
    else:
        note(packet, ODDITY_ZERO_IP_LENGTH)
    upper(packet, cursor, at[6], False)
    return True


cdef inline bint by_network(Packet *packet, Cursor *cursor, Network network) noexcept nogil:
    """Decode an IP packet; False where there is not even an IP header."""
    if network == NETWORK_IPV4:
        return ipv4(packet, cursor)
    return ipv6(packet, cursor)
