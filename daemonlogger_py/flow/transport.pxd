"""Transport headers, behind the last IP header of a packet: ports, flags, and where the payload is.

Formats: RFC 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 9260 (SCTP).
"""
from libc.stdint cimport uint8_t, uint32_t

from daemonlogger_py.flow.cursor cimport Cursor, be16, be32, limit, skip
from daemonlogger_py.flow.oddity cimport (
    ODDITY_BAD_TCP_DATA_OFFSET,
    ODDITY_BAD_UDP_LENGTH,
    ODDITY_CUT_TRANSPORT_HEADER,
    note,
)
from daemonlogger_py.flow.packet cimport (
    IPV4,
    TRANSPORT_ICMP,
    TRANSPORT_NONE,
    TRANSPORT_OTHER,
    TRANSPORT_SCTP,
    TRANSPORT_TCP,
    TRANSPORT_UDP,
    Packet,
)

cdef enum:
    TCP_BYTES = 20
    UDP_BYTES = 8
    ICMP_BYTES = 8  # RFC 792's, and what all of RFC 4443's have in common with it
    SCTP_BYTES = 12
    PROTOCOL_ICMP = 1
    PROTOCOL_TCP = 6
    PROTOCOL_UDP = 17
    PROTOCOL_ICMPV6 = 58
    PROTOCOL_SCTP = 132


cdef inline void forget_transport(Packet *packet) noexcept nogil:
    packet.transport = TRANSPORT_NONE
    packet.source_port = 0
    packet.destination_port = 0
    packet.flags = 0
    packet.window = 0
    packet.sequence = 0
    packet.acknowledgment = 0
    packet.fragment_id = 0
    packet.fragment_offset = 0
    packet.more_fragments = False
    packet.payload = packet.data
    packet.payload_captured = 0
    packet.payload_bytes = 0


cdef inline void carry(Packet *packet, const Cursor *cursor) noexcept nogil:
    """What is left is the payload."""
    packet.payload = cursor.at
    packet.payload_captured = cursor.captured
    packet.payload_bytes = cursor.length


cdef inline void tcp(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef const uint8_t *at = cursor.at
    cdef uint32_t header
    if cursor.captured < TCP_BYTES:
        note(packet, ODDITY_CUT_TRANSPORT_HEADER)
        return
    header = (at[12] >> 4) * <uint32_t>4
    if header < TCP_BYTES or header > cursor.length:
        note(packet, ODDITY_BAD_TCP_DATA_OFFSET)
        return
    packet.transport = TRANSPORT_TCP
    packet.source_port = be16(at)
    packet.destination_port = be16(at + 2)
    packet.sequence = be32(at + 4)
    packet.acknowledgment = be32(at + 8)
    packet.flags = at[13]
    packet.window = be16(at + 14)
    if header > cursor.captured:  # options were cut off, and with them all of the payload
        cursor.length -= header - cursor.captured
        header = cursor.captured
    skip(cursor, header)
    carry(packet, cursor)


cdef inline void udp(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint32_t length
    if cursor.captured < UDP_BYTES:
        note(packet, ODDITY_CUT_TRANSPORT_HEADER)
        return
    packet.transport = TRANSPORT_UDP
    packet.source_port = be16(cursor.at)
    packet.destination_port = be16(cursor.at + 2)
    length = be16(cursor.at + 4)
    if UDP_BYTES <= length <= cursor.length:
        limit(cursor, length)  # what is behind are options, RFC 9868
    elif length or cursor.length <= 0xFFFF:  # 0 is right in a jumbogram, RFC 2675, 4
        note(packet, ODDITY_BAD_UDP_LENGTH)
    skip(cursor, UDP_BYTES)
    carry(packet, cursor)


cdef inline void icmp(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured < ICMP_BYTES:
        note(packet, ODDITY_CUT_TRANSPORT_HEADER)
        return
    packet.transport = TRANSPORT_ICMP
    packet.source_port = cursor.at[0]
    packet.destination_port = cursor.at[1]
    skip(cursor, ICMP_BYTES)
    carry(packet, cursor)


cdef inline void sctp(Packet *packet, Cursor *cursor) noexcept nogil:
    if cursor.captured < SCTP_BYTES:
        note(packet, ODDITY_CUT_TRANSPORT_HEADER)
        return
    packet.transport = TRANSPORT_SCTP
    packet.source_port = be16(cursor.at)
    packet.destination_port = be16(cursor.at + 2)
    skip(cursor, SCTP_BYTES)
    carry(packet, cursor)


cdef inline void other(Packet *packet, Cursor *cursor) noexcept nogil:
    packet.transport = TRANSPORT_OTHER
    carry(packet, cursor)


cdef inline void by_protocol(Packet *packet, Cursor *cursor, uint8_t protocol) noexcept nogil:
    """Decode what is behind the last IP header."""
    packet.protocol = protocol
    if protocol == PROTOCOL_TCP:
        tcp(packet, cursor)
    elif protocol == PROTOCOL_UDP:
        udp(packet, cursor)
    elif protocol == (PROTOCOL_ICMP if packet.family == IPV4 else PROTOCOL_ICMPV6):
        icmp(packet, cursor)
    elif protocol == PROTOCOL_SCTP:
        sctp(packet, cursor)
    else:
        other(packet, cursor)
