"""Frames as offloading leaves them: super-frames, and checksums in every state of being done.

Written from the RFCs alone; shares no code with the engine it judges.
"""

import struct
from collections.abc import Sequence

TCP = 6
UDP = 17
HOP_BY_HOP = 0
IPV4 = 0x0800
IPV6 = 0x86DD
VLAN = 0x8100
QINQ = 0x88A8
PSH_ACK = 0x18
CWR = 0x80
CHECKSUM_AT = {TCP: 16, UDP: 6}

FOUR = (bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2]))
SIX = (bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("fe80" + "00" * 13 + "02"))


def summed(data: bytes) -> int:
    """The ones' complement sum of 16-bit words, folded, not inverted."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(addresses: tuple[bytes, bytes], protocol: int, length: int) -> int:
    """The sum of the pseudo-header, which is what a sender leaves to its interface."""
    return summed(b"".join(addresses) + struct.pack(">II", length, protocol))


def tcp(payload: bytes, *, sequence: int = 1, flags: int = PSH_ACK, options: bytes = b"") -> bytes:
    """A segment without a checksum."""
    offset = (20 + len(options)) // 4 << 4
    fixed = struct.pack(">HHIIBBHHH", 40000, 80, sequence, 1, offset, flags, 512, 0, 0)
    return fixed + options + payload


def udp(payload: bytes) -> bytes:
    """A datagram without a checksum."""
    return struct.pack(">HHHH", 4000, 53, 8 + len(payload), 0) + payload


def checked(
    transport: bytes, protocol: int, addresses: tuple[bytes, bytes], how: str | int
) -> bytes:
    """Put a checksum in: "none" (zero), "partial", "full", or this very number."""
    at = CHECKSUM_AT[protocol]
    assert transport[at : at + 2] == b"\0\0"
    value = {"none": 0, "partial": pseudo(addresses, protocol, len(transport))}.get(str(how))
    if how == "full":
        total = pseudo(addresses, protocol, len(transport)) + summed(transport)
        value = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    elif isinstance(how, int):
        value = how
    assert value is not None, how
    return transport[:at] + struct.pack(">H", value) + transport[at + 2 :]


def ipv4(
    transport: bytes,
    protocol: int = TCP,
    *,
    how: str | int = "partial",
    options: bytes = b"",
    fragment: int = 0x4000,
    length: int | None = None,
) -> bytes:
    """One packet; `fragment` is the flags and offset field, 0x4000 is "don't fragment"."""
    body = checked(transport, protocol, FOUR, how)
    whole = 20 + len(options) + len(body) if length is None else length
    first = 0x40 | (20 + len(options)) // 4
    unsummed = struct.pack(">BBHHHBBH", first, 0, whole & 0xFFFF, 7, fragment, 64, protocol, 0)
    unsummed += b"".join(FOUR) + options
    header = unsummed[:10] + struct.pack(">H", ~summed(unsummed) & 0xFFFF) + unsummed[12:]
    return header + body


def ipv6(
    transport: bytes,
    protocol: int = TCP,
    *,
    how: str | int = "partial",
    extensions: Sequence[int] = (),
    length: int | None = None,
) -> bytes:
    """One packet; each of the extension headers is 8 bytes long."""
    body = checked(transport, protocol, SIX, how)
    chain = [*extensions, protocol]
    # Padding (PadN); for a fragment header this reads as the offset of a later fragment.
    between = b"".join(bytes([following, 0, 1, 4, 0, 0, 0, 0]) for following in chain[1:])
    whole = len(between) + len(body) if length is None else length
    fixed = struct.pack(">IHBB", 6 << 28, whole & 0xFFFF, chain[0], 64)
    return fixed + b"".join(SIX) + between + body


def ethernet(packet: bytes, *, tags: Sequence[int] = ()) -> bytes:
    """A frame around an IP packet, with VLAN tags of these ethertypes."""
    ethertype = IPV4 if packet[:1] and packet[0] >> 4 == 4 else IPV6
    kinds = [*tags, ethertype]
    tagged = b"".join(struct.pack(">HH", 42, kind) for kind in kinds[1:])
    stations = bytes.fromhex("02000000000b02000000000a")
    return stations + struct.pack(">H", kinds[0]) + tagged + packet
