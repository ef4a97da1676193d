"""What the kernel has to do to a frame before it may leave: its virtio-net header.

A captured frame need not be one that fits a wire. Offloading leaves TCP super-frames, which the
header asks the kernel to segment, and checksums that nobody has computed yet, which it asks to
complete. All functions are pure; none reads behind the captured bytes or believes a length that
does not agree with them: where it is not certain what a frame is, nothing is asked for.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

cdef extern from "<linux/virtio_net.h>" nogil:
    struct virtio_net_hdr:
        uint8_t flags
        uint8_t gso_type
        uint16_t hdr_len  # all are in this machine's byte order on a packet socket
        uint16_t gso_size
        uint16_t csum_start
        uint16_t csum_offset
    enum:
        VIRTIO_NET_HDR_F_NEEDS_CSUM
        VIRTIO_NET_HDR_GSO_TCPV4
        VIRTIO_NET_HDR_GSO_TCPV6
        VIRTIO_NET_HDR_GSO_ECN

cdef enum:
    ETHERNET_BYTES = 14
    TAG_BYTES = 4
    MOST_TAGS = 8  # as many as the kernel looks behind (VLAN_MAX_DEPTH)
    MOST_EXTENSIONS = 8
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_VLAN = 0x8100
    ETHERTYPE_QINQ = 0x88A8
    PROTOCOL_HOP_BY_HOP = 0
    PROTOCOL_TCP = 6
    PROTOCOL_UDP = 17
    PROTOCOL_ROUTING = 43
    PROTOCOL_FRAGMENT = 44
    PROTOCOL_DESTINATION = 60
    TCP_BYTES = 20
    TCP_FLAGS = 13
    TCP_CWR = 0x80
    TCP_CHECKSUM = 16
    UDP_BYTES = 8
    UDP_CHECKSUM = 6
    LARGEST_GSO_SIZE = 65534  # 65535 is the kernel's GSO_BY_FRAGS
    # So that no frame, however it was forged, makes the kernel send more than 1024 for it.
    LEAST_GSO_SIZE = 64

cdef enum Verdict:
    READY  # may leave, with the header that was made
    CUT  # too large for the interface, and bytes of it are missing
    NOT_IP
    FRAGMENT
    NOT_TCP
    BAD_LENGTH  # the lengths in its headers are not those of the frame
    NOT_CERTAIN  # with options before it, the checksum's addresses may not be the header's
    NO_ROOM  # its headers alone all but fill a frame
    NOT_TAKEN  # the interface refused its size

cdef struct Transport:
    uint32_t offset  # of the transport header
    uint16_t pseudo_sum  # of the pseudo-header, folded and not inverted
    uint8_t protocol
    bint ipv6
    bint options  # IPv4 options or IPv6 extension headers are before it

cdef struct Outgoing:
    virtio_net_hdr header
    uint32_t sum_at  # offset of the checksum field that `sum` replaces; 0: the frame as it is
    uint8_t sum[2]


cdef inline uint16_t be16(const uint8_t *at) noexcept nogil:
    return <uint16_t>((at[0] << 8) | at[1])


cdef inline uint32_t sum16(const uint8_t *at, int words) noexcept nogil:
    cdef uint32_t total = 0
    cdef int i
    for i in range(words):
        total += be16(at + 2 * i)
    return total


cdef inline uint16_t fold(uint32_t total) noexcept nogil:
    total = (total & 0xFFFF) + (total >> 16)
    return <uint16_t>((total & 0xFFFF) + (total >> 16))


cdef inline uint32_t largest_frame(
    const uint8_t *frame, uint32_t caplen, bint ethernet, uint32_t mtu
) noexcept nogil:
    """Most bytes of a frame like this that the kernel takes: one VLAN tag comes on top."""
    if not ethernet:
        return mtu
    if caplen >= ETHERNET_BYTES and be16(frame + 12) == ETHERTYPE_VLAN:
        return mtu + ETHERNET_BYTES + TAG_BYTES
    return mtu + ETHERNET_BYTES


cdef inline Verdict behind_ipv4(
    const uint8_t *frame, uint32_t caplen, uint32_t offset, Transport *at
) noexcept nogil:
    cdef const uint8_t *header = frame + offset
    cdef uint32_t rest = caplen - offset
    cdef uint32_t header_bytes
    if rest < 20 or header[0] >> 4 != 4:
        return NOT_IP
    header_bytes = (header[0] & 15) * 4
    if header_bytes < 20 or header_bytes > rest or be16(header + 2) != rest:
        return BAD_LENGTH
    if be16(header + 6) & 0x3FFF:
        return FRAGMENT
    at.ipv6 = False
    at.options = header_bytes > 20
    at.protocol = header[9]
    at.offset = offset + header_bytes
    at.pseudo_sum = fold(sum16(header + 12, 4) + at.protocol + rest - header_bytes)
    return READY


cdef inline Verdict behind_ipv6(
    const uint8_t *frame, uint32_t caplen, uint32_t offset, Transport *at
) noexcept nogil:
    cdef const uint8_t *header = frame + offset
    cdef int extensions = 0
    if caplen - offset < 40 or header[0] >> 4 != 6:
        return NOT_IP
    if <uint32_t>be16(header + 4) + 40 != caplen - offset:
        return BAD_LENGTH
    at.ipv6 = True
    at.protocol = header[6]
    at.offset = offset + 40
    while at.protocol in (PROTOCOL_HOP_BY_HOP, PROTOCOL_ROUTING, PROTOCOL_DESTINATION):
        extensions += 1
        if extensions > MOST_EXTENSIONS or caplen - at.offset < 8:
            return BAD_LENGTH
        at.protocol = frame[at.offset]
        at.offset += (frame[at.offset + 1] + 1) * 8
        if at.offset > caplen:
            return BAD_LENGTH
    if at.protocol == PROTOCOL_FRAGMENT:
        return FRAGMENT
    at.options = extensions > 0
    at.pseudo_sum = fold(sum16(header + 8, 16) + at.protocol + caplen - at.offset)
    return READY


cdef inline Verdict find_transport(
    const uint8_t *frame, uint32_t caplen, bint ethernet, Transport *at
) noexcept nogil:
    """Find the transport header of a frame that is one whole IP packet, nothing behind it."""
    cdef uint32_t offset = 0
    cdef uint16_t kind = 0
    if not ethernet:
        if caplen:
            kind = ETHERTYPE_IPV4 if frame[0] >> 4 == 4 else ETHERTYPE_IPV6
    elif caplen >= ETHERNET_BYTES:
        offset = ETHERNET_BYTES
        kind = be16(frame + 12)
        while kind == ETHERTYPE_VLAN or kind == ETHERTYPE_QINQ:
            if caplen - offset < TAG_BYTES:
                return NOT_IP
            kind = be16(frame + offset + 2)
            offset += TAG_BYTES
            if offset > ETHERNET_BYTES + MOST_TAGS * TAG_BYTES:
                return NOT_IP
    if kind == ETHERTYPE_IPV4:
        return behind_ipv4(frame, caplen, offset, at)
    if kind == ETHERTYPE_IPV6:
        return behind_ipv6(frame, caplen, offset, at)
    return NOT_IP


cdef inline void complete(
    const uint8_t *frame, uint32_t caplen, bint ethernet, Outgoing *to
) noexcept nogil:
    """Ask for the checksum where the field holds nothing but the pseudo-header's sum.

    That is how a sender leaves it to its interface, and how it is captured. Once in 65,536 a
    finished checksum looks the same: completing it gives the same value again.
    """
    cdef Transport at
    cdef uint32_t field
    if find_transport(frame, caplen, ethernet, &at) != READY:
        return
    if at.protocol == PROTOCOL_TCP and caplen - at.offset >= TCP_BYTES:
        field = TCP_CHECKSUM
    elif at.protocol == PROTOCOL_UDP and caplen - at.offset >= UDP_BYTES:
        field = UDP_CHECKSUM
    else:
        return
    if be16(frame + at.offset + field) == at.pseudo_sum:
        to.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
        to.header.csum_start = <uint16_t>at.offset
        to.header.csum_offset = <uint16_t>field


cdef inline Verdict segment(
    const uint8_t *frame, uint32_t caplen, bint ethernet, uint32_t largest, Outgoing *to
) noexcept nogil:
    """Ask for segments of at most `largest` bytes.

    TCP alone: its receiver sees a stream, so it does not matter where it was cut. The borders of
    UDP datagrams in a super-frame are not recorded.
    """
    cdef Transport at
    cdef const uint8_t *tcp
    cdef uint32_t header_bytes
    cdef Verdict found = find_transport(frame, caplen, ethernet, &at)
    if found != READY:
        return found
    if at.protocol != PROTOCOL_TCP:
        return NOT_TCP
    if caplen - at.offset < TCP_BYTES:
        return BAD_LENGTH
    tcp = frame + at.offset
    header_bytes = (tcp[12] >> 4) * 4
    if header_bytes < TCP_BYTES or header_bytes > caplen - at.offset:
        return BAD_LENGTH
    header_bytes += at.offset
    if header_bytes + LEAST_GSO_SIZE > largest:
        return NO_ROOM
    if be16(tcp + TCP_CHECKSUM) != at.pseudo_sum:
        if at.options:
            return NOT_CERTAIN
        to.sum_at = at.offset + TCP_CHECKSUM
        to.sum[0] = <uint8_t>(at.pseudo_sum >> 8)
        to.sum[1] = <uint8_t>(at.pseudo_sum & 0xFF)
    to.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
    to.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6 if at.ipv6 else VIRTIO_NET_HDR_GSO_TCPV4
    if tcp[TCP_FLAGS] & TCP_CWR:
        to.header.gso_type |= VIRTIO_NET_HDR_GSO_ECN
    to.header.hdr_len = <uint16_t>header_bytes
    to.header.gso_size = <uint16_t>min(largest - header_bytes, <uint32_t>LARGEST_GSO_SIZE)
    to.header.csum_start = <uint16_t>at.offset
    to.header.csum_offset = TCP_CHECKSUM
    return READY


cdef inline Verdict prepare_frame(
    const uint8_t *frame, uint32_t caplen, bint cut, bint ethernet, uint32_t mtu, Outgoing *to
) noexcept nogil:
    """Fill in `to` for a frame, `cut` where it was longer than what was captured of it."""
    cdef uint32_t largest = largest_frame(frame, caplen, ethernet, mtu)
    memset(&to.header, 0, sizeof(to.header))
    to.sum_at = 0
    if caplen > largest:
        return CUT if cut else segment(frame, caplen, ethernet, largest, to)
    if not cut:
        complete(frame, caplen, ethernet, to)
    return READY
