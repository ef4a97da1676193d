"""What can be odd about a packet: one bit each in `Packet.oddities`, counted by name.

An oddity is data, never an error: `decode` returns what it could make out, and the bits say why it
was no more. Most are damage; some only say that bytes cannot be had (cut by the snaplen,
encrypted). The numbers are shared with the native code (oddity.pxd).
"""

from enum import IntEnum


class Oddity(IntEnum):
    """Number of a bit of `Packet.oddities`; `meaning` is one line for whoever reads the count."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> "Oddity":
        """Make a member of its number, and keep its meaning with it."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member

    SNAPLEN_CUT = 0, "fewer bytes were captured than were sent"
    ORIGLEN_BELOW_CAPLEN = 1, "the record says that fewer bytes were sent than were captured"
    UNKNOWN_LINKTYPE = 2, "frames of this linktype are not decoded"
    CUT_LINK_HEADER = 3, "the frame ends before its network header"
    BAD_LINK_HEADER = 4, "a version or length in a link-layer header cannot be"
    TOO_MANY_LABELS = 5, "more than 16 MPLS labels, or 8 pseudowires inside each other"
    PPP_COMPRESSED = 6, "a compressed or encrypted PPP payload"
    WLAN_PROTECTED = 7, "an encrypted 802.11 frame"
    WLAN_FRAGMENT = 8, "a fragment of an 802.11 frame"
    WLAN_AGGREGATE = 9, "several 802.11 frames in one (A-MSDU)"
    BAD_IP_VERSION = 10, "the IP version is not the one that the link-layer header names"
    CUT_IP_HEADER = 11, "the IP header is not whole"
    BAD_IPV4_HEADER_LENGTH = 12, "an IPv4 header length below 20 bytes"
    BAD_IPV4_TOTAL_LENGTH = 13, "an IPv4 total length below its header length"
    ZERO_IP_LENGTH = 14, "an IP length of 0: all that the frame holds is taken (offloading, jumbo)"
    IP_LENGTH_BEYOND_FRAME = 15, "the IP length says more than the frame that was sent holds"
    CUT_EXTENSION_HEADER = 16, "an IPv6 extension or authentication header is not whole"
    TOO_MANY_EXTENSIONS = 17, "more than 16 IPv6 extension headers"
    NESTED_FRAGMENT = 18, "a fragment header inside a reassembled datagram"
    CUT_TRANSPORT_HEADER = 19, "the TCP, UDP, ICMP or SCTP header is not whole"
    BAD_TCP_DATA_OFFSET = 20, "a TCP header length below 20 bytes or beyond the packet"
    BAD_UDP_LENGTH = 21, "a UDP length below 8 bytes or beyond the packet"
    CUT_TUNNEL_HEADER = 22, "a tunnel header is not whole"
    BAD_TUNNEL_HEADER = 23, "a version or length in a tunnel header cannot be"
    TOO_MANY_TUNNELS = 24, "more than 8 tunnels inside each other"


ODDITY_COUNT = len(Oddity)
"""How many bits of `Packet.oddities` are in use: all below this one."""


def oddities_of(bits: int) -> frozenset[Oddity]:
    """Name the oddities in a packet's bits. Raises ValueError for a bit that is none."""
    if bits >> ODDITY_COUNT:
        raise ValueError(f"{bits:#x}: there are {ODDITY_COUNT} oddities")
    return frozenset(oddity for oddity in Oddity if bits >> oddity & 1)
