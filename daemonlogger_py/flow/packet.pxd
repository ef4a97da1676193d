"""One packet as the flow engine sees it: what `decode` fills, and all others read.

Every pointer points into the captured bytes (or into a reassembled datagram) and is good until the
engine goes on to the next packet. Nothing behind `caplen` is ever pointed at.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MAX_VLANS = 4  # tags beyond are skipped, and not told

cdef enum Family:  # which IP the innermost packet is; NO_IP: it is none
    NO_IP = 0
    IPV4 = 4
    IPV6 = 6

cdef enum Transport:  # how far `decode` came
    TRANSPORT_NONE = 0  # not IP, or damaged before its transport header
    TRANSPORT_TCP
    TRANSPORT_UDP
    TRANSPORT_ICMP  # both families
    TRANSPORT_SCTP
    TRANSPORT_OTHER  # another IP protocol: addresses only
    TRANSPORT_FRAGMENT  # an IP fragment: payload is that of the fragment

cdef enum TcpFlag:  # RFC 9293, 3.1
    TCP_FIN = 1
    TCP_SYN = 2
    TCP_RST = 4
    TCP_ACK = 16

cdef struct Packet:
    # Set before decode.
    const uint8_t *data  # the frame
    uint32_t caplen
    uint32_t origlen
    uint64_t time_ns  # since 1970

    # Set by decode, all of them, whatever the frame holds.
    uint64_t oddities  # bits, numbered as `Oddity` in flow/oddities.py
    const uint8_t *mac_source  # 6 bytes, or NULL where the link does not have it
    const uint8_t *mac_destination  # the same; either may be there alone
    uint8_t vlan_count
    uint16_t vlans[4]  # VLAN identifiers (12 bits), outermost first; the innermost packet's link
    uint8_t family  # Family
    uint8_t transport  # Transport
    uint8_t protocol  # IP protocol number behind all extension headers
    uint8_t tunnels  # how many tunnel headers were entered
    uint8_t source[16]  # an IPv4 address is in the first four bytes, the rest are zero
    uint8_t destination[16]
    uint16_t source_port  # TCP, UDP, SCTP; ICMP: type; else 0
    uint16_t destination_port  # TCP, UDP, SCTP; ICMP: code; else 0
    uint8_t flags  # TcpFlag; TCP only, as are the next three
    uint16_t window  # as in the header, not scaled
    uint32_t sequence
    uint32_t acknowledgment
    uint32_t fragment_id  # TRANSPORT_FRAGMENT only, as are the next two
    uint32_t fragment_offset  # bytes
    bint more_fragments
    # What the transport carries (TCP: behind its options), or the fragment's bytes.
    const uint8_t *payload
    uint32_t payload_captured  # bytes of it that were captured: readable at `payload`
    uint32_t payload_bytes  # bytes of it that the IP header says were sent; >= payload_captured
