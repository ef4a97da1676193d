"""The bits of Packet.oddities: the numbers of `Oddity` in flow/oddities.py, for native code."""
from libc.stdint cimport uint64_t

from daemonlogger_py.flow.packet cimport Packet

cdef enum OddityBit:
    ODDITY_SNAPLEN_CUT = 0
    ODDITY_ORIGLEN_BELOW_CAPLEN = 1
    ODDITY_UNKNOWN_LINKTYPE = 2
    ODDITY_CUT_LINK_HEADER = 3
    ODDITY_BAD_LINK_HEADER = 4
    ODDITY_TOO_MANY_LABELS = 5
    ODDITY_PPP_COMPRESSED = 6
    ODDITY_WLAN_PROTECTED = 7
    ODDITY_WLAN_FRAGMENT = 8
    ODDITY_WLAN_AGGREGATE = 9
    ODDITY_BAD_IP_VERSION = 10
    ODDITY_CUT_IP_HEADER = 11
    ODDITY_BAD_IPV4_HEADER_LENGTH = 12
    ODDITY_BAD_IPV4_TOTAL_LENGTH = 13
    ODDITY_ZERO_IP_LENGTH = 14
    ODDITY_IP_LENGTH_BEYOND_FRAME = 15
    ODDITY_CUT_EXTENSION_HEADER = 16
    ODDITY_TOO_MANY_EXTENSIONS = 17
    ODDITY_NESTED_FRAGMENT = 18
    ODDITY_CUT_TRANSPORT_HEADER = 19
    ODDITY_BAD_TCP_DATA_OFFSET = 20
    ODDITY_BAD_UDP_LENGTH = 21
    ODDITY_CUT_TUNNEL_HEADER = 22
    ODDITY_BAD_TUNNEL_HEADER = 23
    ODDITY_TOO_MANY_TUNNELS = 24


cdef inline void note(Packet *packet, OddityBit oddity) noexcept nogil:
    """Mark a packet with an oddity."""
    packet.oddities |= (<uint64_t>1) << oddity
