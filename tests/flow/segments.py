"""Frames and savefile records, made from the fields that matter to a test.

From the inside out: `tcp`, `udp` -> `ipv4`, `ipv6` (whole, or with `..._fragments` in pieces) ->
`ethernet` -> `records`, the bytes that an engine is fed. `Side` is one end of a connection: it
makes segments by their offset in its stream, as the engine tells them, wherever its sequence
numbers begin. Checksums are right, as some peers that read the same bytes look at them.
"""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))

ETHERNET = 1  # linktype
RAW = 101

TCP = 6
UDP = 17

CLIENT_MAC = bytes.fromhex("020000000001")
SERVER_MAC = bytes.fromhex("020000000002")

MINIMAL_FRAME_BYTES = 60  # Ethernet's, without the checksum; what is shorter is padded on the wire

Record = tuple[int, bytes] | tuple[int, bytes, int]
"""Time in ns since 1970, captured bytes, and the original length where it is another."""


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def is_ipv6(address: str) -> bool:
    return ":" in address


def tcp(
    source_port: int,
    destination_port: int,
    sequence: int,
    payload: bytes = b"",
    *,
    flags: int = ACK,
    acknowledgment: int = 0,
    window: int = 65535,
    options: bytes = b"",
    addresses: tuple[str, str] | None = None,
) -> bytes:
    """A segment. Options are filled up to 4 bytes; `addresses` are for the checksum."""
    options += bytes(-len(options) % 4)
    header = struct.pack(
        "!HHIIBBHHH",
        source_port,
        destination_port,
        sequence % 2**32,
        acknowledgment % 2**32,
        (20 + len(options)) // 4 << 4,
        flags,
        window,
        0,
        0,
    )
    segment = header + options + payload
    if addresses is None:
        return segment
    return segment[:16] + _transport_checksum(segment, TCP, addresses) + segment[18:]


def udp(
    source_port: int,
    destination_port: int,
    payload: bytes = b"",
    *,
    length: int | None = None,
    addresses: tuple[str, str] | None = None,
) -> bytes:
    """A UDP datagram; `length` replaces the true one."""
    size = 8 + len(payload) if length is None else length
    datagram = struct.pack("!HHHH", source_port, destination_port, size, 0) + payload
    if addresses is None:
        return datagram
    return datagram[:6] + _transport_checksum(datagram, UDP, addresses) + datagram[8:]


def _transport_checksum(segment: bytes, protocol: int, addresses: tuple[str, str]) -> bytes:
    pseudo = b"".join(map(packed, addresses)) + struct.pack("!II", len(segment), protocol)
    return struct.pack("!H", checksum(pseudo + segment))


def ipv4(
    payload: bytes,
    source: str,
    destination: str,
    protocol: int = TCP,
    *,
    identification: int = 0,
    offset: int = 0,
    more: bool = False,
    options: bytes = b"",
    total_length: int | None = None,
) -> bytes:
    """A packet; `offset` (bytes) and `more` make it a fragment, `total_length` may lie.

    An offset that is not a multiple of 8 cannot be said in the header. Raises ValueError.
    """
    if offset % 8:
        raise ValueError(f"offset {offset}")
    options += bytes(-len(options) % 4)
    size = 20 + len(options) + len(payload) if total_length is None else total_length
    header = struct.pack(
        "!BBHHHBBH4s4s",
        4 << 4 | (20 + len(options)) // 4,
        0,
        size,
        identification,
        more << 13 | offset // 8,
        64,
        protocol,
        0,
        packed(source),
        packed(destination),
    )
    header += options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(
    payload: bytes,
    source: str,
    destination: str,
    next_header: int = TCP,
    *,
    extensions: Sequence[tuple[int, bytes]] = (),
    payload_length: int | None = None,
) -> bytes:
    """A packet; each extension header is its number and its bytes behind the next-header byte."""
    follows = [*(number for number, _ in extensions[1:]), next_header]
    chain = b"".join(
        bytes([following]) + body
        for following, (_, body) in zip(follows, extensions, strict=bool(extensions))
    )
    first = extensions[0][0] if extensions else next_header
    size = len(chain) + len(payload) if payload_length is None else payload_length
    header = struct.pack("!IHBB", 6 << 28, size, first, 64)
    return header + packed(source) + packed(destination) + chain + payload


def fragment_header(
    identification: int, offset: int = 0, *, more: bool = False
) -> tuple[int, bytes]:
    """IPv6's fragment header, as one of the `extensions` of a packet."""
    if offset % 8:
        raise ValueError(f"offset {offset}")
    return 44, struct.pack("!BHI", 0, offset | more, identification)


def pieces(payload: bytes, cuts: Iterable[int]) -> list[tuple[int, bytes, bool]]:
    """(offset, bytes, more follow) of a payload cut at these offsets, multiples of 8 inside it."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(payload)}), len(payload)]
    return [(begin, payload[begin:end], end < len(payload)) for begin, end in pairwise(bounds)]


def fragments(
    payload: bytes,
    cuts: Iterable[int],
    source: str,
    destination: str,
    protocol: int = TCP,
    *,
    identification: int = 1,
) -> list[bytes]:
    """Packets (of the addresses' family) that carry an IP payload cut at these offsets."""
    if is_ipv6(source):
        return [
            ipv6(
                data,
                source,
                destination,
                protocol,
                extensions=[fragment_header(identification, offset, more=more)],
            )
            for offset, data, more in pieces(payload, cuts)
        ]
    return [
        ipv4(
            data,
            source,
            destination,
            protocol,
            identification=identification,
            offset=offset,
            more=more,
        )
        for offset, data, more in pieces(payload, cuts)
    ]


def ethernet(
    packet: bytes,
    *,
    ethertype: int | None = None,
    vlans: Sequence[int] = (),
    source_mac: bytes = CLIENT_MAC,
    destination_mac: bytes = SERVER_MAC,
    pad: bool = False,
) -> bytes:
    """A frame; `vlans` are tag control informations, outermost first, all but the last QinQ's."""
    if ethertype is None:
        ethertype = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
    tags = b"".join(
        struct.pack("!HH", 0x8100 if index == len(vlans) - 1 else 0x88A8, tag)
        for index, tag in enumerate(vlans)
    )
    frame = destination_mac + source_mac + tags + struct.pack("!H", ethertype) + packet
    return frame.ljust(MINIMAL_FRAME_BYTES, b"\0") if pad else frame


def records(items: Iterable[Record], *, nanosecond: bool = False) -> bytes:
    """Records as they stand in a savefile of this machine's byte order, behind its header.

    Without `nanosecond`, times are cut to microseconds.
    """
    parts = []
    for item in items:
        time_ns, frame = item[:2]
        origlen = item[2] if len(item) == 3 else len(frame)
        fraction = time_ns % 10**9 // (1 if nanosecond else 1000)
        parts.append(struct.pack("=IIII", time_ns // 10**9, fraction, len(frame), origlen))
        parts.append(frame)
    return b"".join(parts)


def timed(
    frames: Iterable[bytes], first_ns: int = 10**18, step_ns: int = 1_000_000
) -> list[Record]:
    """Frames as records, `step_ns` apart."""
    return [(first_ns + index * step_ns, frame) for index, frame in enumerate(frames)]


def cut(record: Record, snaplen: int) -> Record:
    """A record as a capture with this snaplen holds it."""
    origlen = record[2] if len(record) == 3 else len(record[1])
    return record[0], record[1][:snaplen], origlen


@dataclass(frozen=True)
class Side:
    """One end of a connection: what it sends, by the offset in its stream.

    Offset 0 is the byte behind the SYN, and has sequence number `isn` + 1.
    """

    address: str = "10.0.0.1"
    port: int = 40000
    peer_address: str = "10.0.0.2"
    peer_port: int = 80
    isn: int = 1000
    vlans: tuple[int, ...] = ()
    pad: bool = False
    macs: tuple[bytes, bytes] = field(default=(CLIENT_MAC, SERVER_MAC))

    def peer(self, isn: int = 5000) -> "Side":
        """The other end."""
        return replace(
            self,
            address=self.peer_address,
            port=self.peer_port,
            peer_address=self.address,
            peer_port=self.port,
            isn=isn,
            macs=(self.macs[1], self.macs[0]),
        )

    def segment(
        self,
        offset: int,
        payload: bytes = b"",
        flags: int = ACK,
        *,
        acknowledgment: int = 0,
        window: int = 65535,
        options: bytes = b"",
    ) -> bytes:
        """The TCP segment alone."""
        return tcp(
            self.port,
            self.peer_port,
            self.isn + 1 + offset,
            payload,
            flags=flags,
            acknowledgment=acknowledgment,
            window=window,
            options=options,
            addresses=(self.address, self.peer_address),
        )

    def frame(self, packet: bytes) -> bytes:
        """An IP packet on its way from this end."""
        return ethernet(
            packet,
            vlans=self.vlans,
            source_mac=self.macs[0],
            destination_mac=self.macs[1],
            pad=self.pad,
        )

    def sends(
        self,
        offset: int,
        payload: bytes = b"",
        flags: int = ACK,
        *,
        acknowledgment: int = 0,
        window: int = 65535,
        options: bytes = b"",
    ) -> bytes:
        """A frame with that segment."""
        segment = self.segment(
            offset,
            payload,
            flags,
            acknowledgment=acknowledgment,
            window=window,
            options=options,
        )
        make = ipv6 if is_ipv6(self.address) else ipv4
        return self.frame(make(segment, self.address, self.peer_address, TCP))

    def syn(self, payload: bytes = b"", flags: int = SYN) -> bytes:
        """A frame with the SYN (payload: TCP Fast Open)."""
        return self.sends(-1, payload, flags)

    def fin(self, offset: int, payload: bytes = b"") -> bytes:
        """A frame whose FIN is behind `payload`."""
        return self.sends(offset, payload, FIN | ACK)

    def rst(self, offset: int) -> bytes:
        """A frame with a RST."""
        return self.sends(offset, b"", RST)

    def fragmented(
        self,
        offset: int,
        payload: bytes,
        cuts: Iterable[int],
        *,
        identification: int = 1,
        flags: int = ACK,
    ) -> list[bytes]:
        """The frames of a segment whose packet was cut at these offsets of the IP payload."""
        segment = self.segment(offset, payload, flags)
        return [
            self.frame(packet)
            for packet in fragments(
                segment,
                cuts,
                self.address,
                self.peer_address,
                TCP,
                identification=identification,
            )
        ]
