"""802.11 frames, bare or behind the headers that capture software puts before them.

Data frames alone, and those only as they are: what is encrypted, fragmented or aggregated is marked
and left. Formats: IEEE 802.11-2020, 9.3.2 (data frames); radiotap.org; the AVS, Prism and PPI
headers of pcap-linktype(7).
"""
from libc.stdint cimport uint8_t, uint32_t

from daemonlogger_py.flow.cursor cimport Cursor, be32, le16, le32, limit, skip
from daemonlogger_py.flow.link cimport NETWORK_NONE, Network, bad, by_llc, cut
from daemonlogger_py.flow.oddity cimport (
    ODDITY_WLAN_AGGREGATE,
    ODDITY_WLAN_FRAGMENT,
    ODDITY_WLAN_PROTECTED,
    note,
)
from daemonlogger_py.flow.packet cimport Packet

cdef enum:
    WLAN_BYTES = 24
    WLAN_ADDRESS_BYTES = 6
    WLAN_FCS_BYTES = 4
    # The second byte of the frame control field.
    WLAN_TO_DS = 0x01
    WLAN_FROM_DS = 0x02
    WLAN_MORE_FRAGMENTS = 0x04
    WLAN_PROTECTED = 0x40
    WLAN_ORDER = 0x80  # a QoS frame has an HT control field
    # The first byte, the version in its lowest bits.
    WLAN_VERSION_AND_TYPE = 0x0F
    WLAN_DATA = 0x08
    WLAN_NO_DATA = 0x40
    WLAN_QOS = 0x80
    PRISM_BYTES = 144
    AVS_MAGIC = 0x80211  # without the last 12 bits, which are a version
    AVS_MIN_BYTES = 8
    PPI_BYTES = 8
    RADIOTAP_BYTES = 8
    RADIOTAP_TSFT = 1
    RADIOTAP_FLAGS = 2
    RADIOTAP_MORE_BIT = 31  # another word of such bits follows
    RADIOTAP_FLAG_FCS = 0x10
    RADIOTAP_FLAG_PADDED = 0x20  # the 802.11 header, to a multiple of four bytes


cdef inline uint32_t wlan_header_bytes(const uint8_t *at) noexcept nogil:
    cdef uint32_t count = WLAN_BYTES
    if at[1] & WLAN_TO_DS and at[1] & WLAN_FROM_DS:
        count += WLAN_ADDRESS_BYTES
    if at[0] & WLAN_QOS:
        count += 2
        if at[1] & WLAN_ORDER:
            count += 4
    return count


cdef inline void take_addresses(Packet *packet, const uint8_t *at) noexcept nogil:
    """IEEE 802.11-2020, table 9-30; the header was captured whole."""
    packet.mac_destination = at + 16 if at[1] & WLAN_TO_DS else at + 4
    if not at[1] & WLAN_FROM_DS:
        packet.mac_source = at + 10
    elif at[1] & WLAN_TO_DS:
        packet.mac_source = at + 24
    else:
        packet.mac_source = at + 16


cdef inline bint is_aggregate(const uint8_t *at) noexcept nogil:
    cdef int control = 30 if at[1] & WLAN_TO_DS and at[1] & WLAN_FROM_DS else 24
    return at[0] & WLAN_QOS and at[control] & 0x80


cdef inline Network wlan(Packet *packet, Cursor *cursor, bint padded) noexcept nogil:
    cdef const uint8_t *at = cursor.at
    cdef uint32_t header
    if cursor.captured < 2:
        return cut(packet)
    if at[0] & WLAN_VERSION_AND_TYPE != WLAN_DATA or at[0] & WLAN_NO_DATA:
        return NETWORK_NONE
    header = wlan_header_bytes(at)
    if cursor.captured < header:
        return cut(packet)
    take_addresses(packet, at)
    if at[1] & WLAN_PROTECTED:
        note(packet, ODDITY_WLAN_PROTECTED)
        return NETWORK_NONE
    if at[1] & WLAN_MORE_FRAGMENTS or at[22] & 0x0F:
        note(packet, ODDITY_WLAN_FRAGMENT)
        return NETWORK_NONE
    if is_aggregate(at):
        note(packet, ODDITY_WLAN_AGGREGATE)
        return NETWORK_NONE
    if padded:
        header = (header + 3) & ~<uint32_t>3
        if cursor.captured < header:
            return cut(packet)
    skip(cursor, header)
    return by_llc(packet, cursor)


cdef inline uint8_t radiotap_flags(const uint8_t *at, uint32_t count) noexcept nogil:
    """The Flags field of a whole radiotap header of `count` bytes; 0 where there is none."""
    cdef uint32_t present = le32(at + 4)
    cdef uint32_t field = RADIOTAP_BYTES
    cdef uint32_t more = present
    if not present & RADIOTAP_FLAGS:
        return 0
    while more >> RADIOTAP_MORE_BIT:
        if count - field < 4:
            return 0
        more = le32(at + field)
        field += 4
    if present & RADIOTAP_TSFT:
        field = ((field + 7) & ~<uint32_t>7) + 8
    return at[field] if field < count else 0


cdef inline Network radiotap(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint32_t count
    cdef uint8_t flags
    if cursor.captured < RADIOTAP_BYTES:
        return cut(packet)
    count = le16(cursor.at + 2)
    if cursor.at[0] != 0 or count < RADIOTAP_BYTES:
        return bad(packet)
    if cursor.captured < count:
        return cut(packet)
    flags = radiotap_flags(cursor.at, count)
    skip(cursor, count)
    if flags & RADIOTAP_FLAG_FCS and cursor.length >= WLAN_FCS_BYTES:
        limit(cursor, cursor.length - WLAN_FCS_BYTES)
    return wlan(packet, cursor, flags & RADIOTAP_FLAG_PADDED)


cdef inline Network avs(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint32_t count
    if cursor.captured < AVS_MIN_BYTES:
        return cut(packet)
    count = be32(cursor.at + 4)
    if count < AVS_MIN_BYTES:
        return bad(packet)
    if cursor.captured < count:
        return cut(packet)
    skip(cursor, count)
    return wlan(packet, cursor, False)


cdef inline Network prism(Packet *packet, Cursor *cursor) noexcept nogil:
    """Prism's header, or AVS's in its place: drivers write both under one linktype."""
    if cursor.captured >= 4 and be32(cursor.at) >> 12 == AVS_MAGIC:
        return avs(packet, cursor)
    if cursor.captured < PRISM_BYTES:
        return cut(packet)
    skip(cursor, PRISM_BYTES)
    return wlan(packet, cursor, False)


cdef inline bint take_ppi(Packet *packet, Cursor *cursor, uint32_t *linktype) noexcept nogil:
    """Per-packet information, before a frame of any other linktype."""
    cdef uint32_t count
    if cursor.captured < PPI_BYTES:
        cut(packet)
        return False
    count = le16(cursor.at + 2)
    if cursor.at[0] != 0 or count < PPI_BYTES:
        bad(packet)
        return False
    if cursor.captured < count:
        cut(packet)
        return False
    linktype[0] = le32(cursor.at + 4)
    skip(cursor, count)
    return True
