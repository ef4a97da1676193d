"""What may be before the network header: tags, labels, LLC, PPP, and Ethernet once more.

Every function moves the cursor over headers and returns a `Network`; behind the last header, or
where damage ended the way, that is NETWORK_NONE. What begins a frame of each linktype is in
linktype.pxd, for 802.11 in wlan.pxd; IP begins in network.pxd.
Formats: IEEE 802.3, 802.1Q, 802.2, RFC 1042 (SNAP), RFC 1661 and 1662 (PPP), RFC 2516 (PPPoE),
RFC 3032 (MPLS), RFC 4385 and 4448 (pseudowires).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from daemonlogger_py.flow.cursor cimport Cursor, be16, limit, skip, vary
from daemonlogger_py.flow.oddity cimport (
    ODDITY_BAD_IP_VERSION,
    ODDITY_BAD_LINK_HEADER,
    ODDITY_CUT_IP_HEADER,
    ODDITY_CUT_LINK_HEADER,
    ODDITY_PPP_COMPRESSED,
    ODDITY_TOO_MANY_LABELS,
    note,
)
from daemonlogger_py.flow.packet cimport MAX_VLANS, Packet

cdef enum Network:
    NETWORK_NONE = 0
    NETWORK_IPV4
    NETWORK_IPV6
    NETWORK_ETHERNET  # what a pseudowire carries; never the end of the way

cdef enum:
    ETHERNET_BYTES = 14
    TAG_BYTES = 4
    LLC_BYTES = 3
    SNAP_BYTES = 8  # LLC included
    LABEL_BYTES = 4
    CONTROL_WORD_BYTES = 4
    PPPOE_BYTES = 6
    MAX_LABELS = 16
    MAX_PSEUDOWIRES = 8
    MAX_LLC_LENGTH = 1500  # an 802.3 length; what is above 1535 is an Ethernet type
    MIN_ETHERTYPE = 1536
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_ARP = 0x0806
    ETHERTYPE_BRIDGED = 0x6558  # an Ethernet frame, in GRE and Geneve
    ETHERTYPE_VLAN = 0x8100
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_MPLS = 0x8847
    ETHERTYPE_MPLS_MULTICAST = 0x8848
    ETHERTYPE_PPPOE = 0x8864  # the session stage; discovery carries no IP
    ETHERTYPE_QINQ = 0x88A8
    ETHERTYPE_QINQ_OLD = 0x9100
    ETHERTYPE_QINQ_OLDER = 0x9200


cdef inline Network cut(Packet *packet) noexcept nogil:
    note(packet, ODDITY_CUT_LINK_HEADER)
    return NETWORK_NONE


cdef inline Network bad(Packet *packet) noexcept nogil:
    note(packet, ODDITY_BAD_LINK_HEADER)
    return NETWORK_NONE


cdef inline Network by_version(Packet *packet, Cursor *cursor) noexcept nogil:
    """IP without a header before it: its first four bits tell."""
    if cursor.captured == 0:
        note(packet, ODDITY_CUT_IP_HEADER)
    elif cursor.at[0] >> 4 == 4:
        return NETWORK_IPV4
    elif cursor.at[0] >> 4 == 6:
        return NETWORK_IPV6
    else:
        note(packet, ODDITY_BAD_IP_VERSION)
    return NETWORK_NONE


cdef inline bint is_tag(uint16_t ethertype) noexcept nogil:
    return (
        ethertype == ETHERTYPE_VLAN
        or ethertype == ETHERTYPE_QINQ
        or ethertype == ETHERTYPE_QINQ_OLD
        or ethertype == ETHERTYPE_QINQ_OLDER
    )


cdef inline uint16_t open_ethernet(Packet *packet, Cursor *cursor) noexcept nogil:
    """Take the addresses of an Ethernet header that was captured whole; its type or length."""
    cdef uint16_t ethertype = be16(cursor.at + 12)
    packet.mac_destination = cursor.at
    packet.mac_source = cursor.at + 6
    skip(cursor, ETHERNET_BYTES)
    return ethertype


cdef inline void forget_tags(Packet *packet) noexcept nogil:
    """Those of the outer frame are not those of the one inside."""
    packet.vlan_count = 0
    memset(packet.vlans, 0, sizeof(packet.vlans))


cdef inline bint take_tag(Packet *packet, Cursor *cursor, uint16_t *ethertype) noexcept nogil:
    if cursor.captured < TAG_BYTES:
        return False
    if packet.vlan_count < MAX_VLANS:
        packet.vlans[packet.vlan_count] = be16(cursor.at) & 0xFFF
        packet.vlan_count += 1
    ethertype[0] = be16(cursor.at + 2)
    skip(cursor, TAG_BYTES)
    return True


cdef inline bint take_llc(Packet *packet, Cursor *cursor, uint16_t *ethertype) noexcept nogil:
    """802.2, with SNAP or the SAP of IP; False when what it carries has no Ethernet type."""
    if cursor.captured < LLC_BYTES:
        note(packet, ODDITY_CUT_LINK_HEADER)
        return False
    if cursor.at[0] == 0x06 and cursor.at[1] == 0x06 and cursor.at[2] == 0x03:
        ethertype[0] = ETHERTYPE_IPV4
        skip(cursor, LLC_BYTES)
        return True
    if cursor.at[0] != 0xAA or cursor.at[1] != 0xAA or cursor.at[2] != 0x03:
        return False
    if cursor.captured < SNAP_BYTES:
        note(packet, ODDITY_CUT_LINK_HEADER)
        return False
    # RFC 1042, and 802.1H's bridge tunnel.
    if cursor.at[3] != 0 or cursor.at[4] != 0 or (cursor.at[5] != 0 and cursor.at[5] != 0xF8):
        return False
    ethertype[0] = be16(cursor.at + 6)
    skip(cursor, SNAP_BYTES)
    return ethertype[0] >= MIN_ETHERTYPE


cdef inline bint is_ipv4(const Cursor *cursor) noexcept nogil:
    return (
        cursor.captured >= 20
        and 0x45 <= cursor.at[0] <= 0x4F
        and 20 <= be16(cursor.at + 2) <= cursor.length
    )


cdef inline bint is_ipv6(const Cursor *cursor) noexcept nogil:
    return (
        cursor.captured >= 40
        and cursor.at[0] >> 4 == 6
        and 40 < <uint32_t>be16(cursor.at + 4) + 40 <= cursor.length
    )


cdef inline bint is_ethernet(const Cursor *cursor, uint32_t offset) noexcept nogil:
    cdef uint16_t ethertype
    if cursor.captured < offset + ETHERNET_BYTES:
        return False
    ethertype = be16(cursor.at + offset + 12)
    return (
        ethertype == ETHERTYPE_IPV4
        or ethertype == ETHERTYPE_IPV6
        or ethertype == ETHERTYPE_ARP
        or ethertype == ETHERTYPE_MPLS
        or ethertype == ETHERTYPE_PPPOE
        or is_tag(ethertype)
    )


cdef inline Network behind_labels(Packet *packet, Cursor *cursor) noexcept nogil:
    """What the labels carry is not written anywhere: guess by what fits, IP before Ethernet.

    A pseudowire begins with four bits that no IP version has (RFC 4385), or, without its control
    word, with a hardware address, which may look like an IP version.
    """
    if cursor.captured == 0:
        return cut(packet)
    if is_ipv4(cursor):
        return NETWORK_IPV4
    if is_ipv6(cursor):
        return NETWORK_IPV6
    if cursor.at[0] >> 4 == 0 and is_ethernet(cursor, CONTROL_WORD_BYTES):
        vary(cursor, cursor.at, CONTROL_WORD_BYTES, 0)  # a sequence number
        skip(cursor, CONTROL_WORD_BYTES)
        return NETWORK_ETHERNET
    if is_ethernet(cursor, 0):
        return NETWORK_ETHERNET
    if cursor.at[0] >> 4 == 4:
        return NETWORK_IPV4  # damaged or cut, which the decoding of IP will say
    if cursor.at[0] >> 4 == 6:
        return NETWORK_IPV6
    if cursor.at[0] >> 4 != 1 and cursor.captured < CONTROL_WORD_BYTES + ETHERNET_BYTES:
        return cut(packet)  # it is not a pseudowire's own control channel
    return NETWORK_NONE


cdef inline Network take_labels(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef int _label
    cdef bint bottom
    for _label in range(MAX_LABELS):
        if cursor.captured < LABEL_BYTES:
            return cut(packet)
        bottom = cursor.at[2] & 1
        vary(cursor, cursor.at + 3, 1, 0)  # its time to live
        skip(cursor, LABEL_BYTES)
        if bottom:
            return behind_labels(packet, cursor)
    note(packet, ODDITY_TOO_MANY_LABELS)
    return NETWORK_NONE


cdef inline Network by_ppp_protocol(Packet *packet, Cursor *cursor) noexcept nogil:
    """A PPP protocol field of one or two bytes, and what it says."""
    cdef uint16_t protocol
    if cursor.captured == 0:
        return cut(packet)
    if cursor.at[0] & 1:  # compressed, RFC 1661, 6.5: the last byte of the field is the odd one
        protocol = cursor.at[0]
        skip(cursor, 1)
    elif cursor.captured < 2:
        return cut(packet)
    else:
        protocol = be16(cursor.at)
        skip(cursor, 2)
    if protocol == 0x0021:
        return NETWORK_IPV4
    if protocol == 0x0057:
        return NETWORK_IPV6
    if protocol == 0x0281 or protocol == 0x0283:
        # A pseudowire in MPLS in PPP is nobody's network; IP is.
        return ip_only(take_labels(packet, cursor))
    # Van Jacobson's TCP, both kinds; compression and encryption, of the bundle and of a link.
    if (
        protocol == 0x002D
        or protocol == 0x002F
        or protocol == 0x0053
        or protocol == 0x0055
        or protocol == 0x00FB
        or protocol == 0x00FD
    ):
        note(packet, ODDITY_PPP_COMPRESSED)
    return NETWORK_NONE


cdef inline Network ip_only(Network network) noexcept nogil:
    return NETWORK_NONE if network == NETWORK_ETHERNET else network


cdef inline Network ppp(Packet *packet, Cursor *cursor) noexcept nogil:
    """PPP, with the address and control bytes of HDLC or without them."""
    if cursor.captured and cursor.at[0] == 0xFF:  # begins no protocol field
        if cursor.captured < 2:
            return cut(packet)
        if cursor.at[1] != 0x03:  # not unnumbered information
            return NETWORK_NONE
        skip(cursor, 2)
    return by_ppp_protocol(packet, cursor)


cdef inline Network pppoe(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint16_t length
    cdef uint8_t code
    if cursor.captured < PPPOE_BYTES:
        return cut(packet)
    if cursor.at[0] != 0x11:  # version 1, type 1
        return bad(packet)
    code = cursor.at[1]
    length = be16(cursor.at + 4)
    vary(cursor, cursor.at + 4, 2, 0)
    skip(cursor, PPPOE_BYTES)
    limit(cursor, length)
    return NETWORK_NONE if code else by_ppp_protocol(packet, cursor)


cdef inline Network by_ethertype(
    Packet *packet, Cursor *cursor, uint16_t ethertype
) noexcept nogil:
    """Walk over tags, labels, LLC and PPPoE, in whatever order they come."""
    cdef int pseudowires = 0
    cdef Network network
    while True:
        if ethertype == ETHERTYPE_IPV4:
            return NETWORK_IPV4
        if ethertype == ETHERTYPE_IPV6:
            return NETWORK_IPV6
        if is_tag(ethertype):
            if not take_tag(packet, cursor, &ethertype):
                return cut(packet)
        elif ethertype == ETHERTYPE_MPLS or ethertype == ETHERTYPE_MPLS_MULTICAST:
            network = take_labels(packet, cursor)
            if network != NETWORK_ETHERNET:
                return network
            if pseudowires == MAX_PSEUDOWIRES:
                note(packet, ODDITY_TOO_MANY_LABELS)
                return NETWORK_NONE
            pseudowires += 1
            forget_tags(packet)
            ethertype = open_ethernet(packet, cursor)
        elif ethertype == ETHERTYPE_PPPOE:
            return pppoe(packet, cursor)
        elif ethertype < LLC_BYTES:
            return bad(packet)
        elif ethertype <= MAX_LLC_LENGTH:
            # A length: its first bits say that it is no Ethernet type.
            vary(cursor, cursor.at - 2, 1, 0xF8)
            vary(cursor, cursor.at - 1, 1, 0)
            limit(cursor, ethertype)
            if not take_llc(packet, cursor, &ethertype):
                return NETWORK_NONE
        else:
            return NETWORK_NONE


cdef inline Network ethernet(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint16_t ethertype
    if cursor.captured < ETHERNET_BYTES:
        return cut(packet)
    ethertype = open_ethernet(packet, cursor)
    if ethertype == ETHERTYPE_IPV4:
        return NETWORK_IPV4
    return by_ethertype(packet, cursor, ethertype)


cdef inline Network by_llc(Packet *packet, Cursor *cursor) noexcept nogil:
    cdef uint16_t ethertype = 0
    if not take_llc(packet, cursor, &ethertype):
        return NETWORK_NONE
    return by_ethertype(packet, cursor, ethertype)


cdef inline Network by_true_ethertype(
    Packet *packet, Cursor *cursor, uint16_t ethertype
) noexcept nogil:
    """As `by_ethertype`, for a field that is never an 802.3 length."""
    if ethertype < MIN_ETHERTYPE:
        return NETWORK_NONE
    return by_ethertype(packet, cursor, ethertype)
