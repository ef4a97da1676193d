"""Packets built header by header, each header a function of what it carries.

Unlike the builders of `tests/pcaps` these take every field that a test may want to damage.
"""

import struct

SOURCE = bytes([192, 0, 2, 1])
DESTINATION = bytes([198, 51, 100, 2])
SOURCE6 = bytes.fromhex("20010db8000000000000000000000001")
DESTINATION6 = bytes.fromhex("20010db8000000000000000000000002")
MAC_SOURCE = bytes.fromhex("02000000aa01")
MAC_DESTINATION = bytes.fromhex("02000000bb02")
INNER_MAC_SOURCE = bytes.fromhex("02000000cc03")
INNER_MAC_DESTINATION = bytes.fromhex("02000000dd04")
PAYLOAD = b"what the segment carries"

IPV4 = 0x0800
ARP = 0x0806
IPV6 = 0x86DD
BRIDGED = 0x6558


# Transport


def tcp(
    payload: bytes = PAYLOAD,
    *,
    data_offset: int | None = None,
    options: bytes = b"",
    flags: int = 0x18,
) -> bytes:
    words = 5 + len(options) // 4 if data_offset is None else data_offset
    fixed = (40000, 80, 0x01020304, 0xF5060708, words << 4, flags, 512, 0, 0)
    return struct.pack(">HHIIBBHHH", *fixed) + options + payload


def udp(payload: bytes = PAYLOAD, *, port: int = 53, length: int | None = None) -> bytes:
    size = 8 + len(payload) if length is None else length
    return struct.pack(">HHHH", 4000, port, size, 0) + payload


def icmp(payload: bytes = PAYLOAD) -> bytes:
    return bytes([8, 3, 0, 0, 0, 1, 0, 2]) + payload


def sctp(payload: bytes = PAYLOAD) -> bytes:
    return struct.pack(">HHII", 36412, 38412, 7, 0) + payload


# IP


def ipv4(
    payload: bytes,
    protocol: int = 6,
    *,
    total_length: int | None = None,
    header_words: int | None = None,
    options: bytes = b"",
    version: int = 4,
    identification: int = 0x1234,
    fragment: int = 0x4000,
) -> bytes:
    words = 5 + len(options) // 4 if header_words is None else header_words
    size = 20 + len(options) + len(payload) if total_length is None else total_length
    first = version << 4 | words
    fixed = struct.pack(">BBHHHBBH", first, 0, size, identification, fragment, 64, protocol, 0)
    return fixed + SOURCE + DESTINATION + options + payload


def ipv6(
    payload: bytes, protocol: int = 6, *, payload_length: int | None = None, version: int = 6
) -> bytes:
    size = len(payload) if payload_length is None else payload_length
    fixed = struct.pack(">IHBB", version << 28 | 0xFF123, size, protocol, 64)
    return fixed + SOURCE6 + DESTINATION6 + payload


def extension(following: int, payload: bytes, units: int = 0) -> bytes:
    """An IPv6 extension header of 8 * (units + 1) bytes."""
    return bytes([following, units]) + bytes(6 + 8 * units) + payload


def authentication(following: int, payload: bytes, words: int = 4) -> bytes:
    return bytes([following, words]) + bytes(4 * words + 6) + payload


def fragment6(following: int, payload: bytes, offset: int = 0, *, more: bool = False) -> bytes:
    return struct.pack(">BBHI", following, 0, offset | more, 0xABCD1234) + payload


# Links


def ethernet(
    payload: bytes,
    ethertype: int = IPV4,
    source: bytes = MAC_SOURCE,
    destination: bytes = MAC_DESTINATION,
) -> bytes:
    return destination + source + struct.pack(">H", ethertype) + payload


def tag(payload: bytes, tci: int, ethertype: int = IPV4) -> bytes:
    return struct.pack(">HH", tci, ethertype) + payload


def labels(payload: bytes, count: int = 1) -> bytes:
    return b"".join(
        struct.pack(">I", (100 + i) << 12 | (i == count - 1) << 8 | 64) for i in range(count)
    ) + payload  # fmt: skip


def pppoe(
    payload: bytes, *, length: int | None = None, version: int = 0x11, code: int = 0
) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">BBHH", version, code, 77, size) + payload


def snap(payload: bytes, ethertype: int = IPV4, organisation: bytes = b"\0\0\0") -> bytes:
    return b"\xaa\xaa\x03" + organisation + struct.pack(">H", ethertype) + payload


def length_and_llc(llc: bytes) -> bytes:
    """An IEEE 802.3 frame."""
    return ethernet(llc, len(llc))


def cooked(payload: bytes, protocol: int = IPV4) -> bytes:
    return (
        struct.pack(">HHH", 0, 1, 6) + MAC_SOURCE + b"\0\0" + struct.pack(">H", protocol) + payload
    )


def cooked2(payload: bytes, protocol: int = IPV4, address_bytes: int = 6) -> bytes:
    fixed = struct.pack(">HHIHBB", protocol, 0, 3, 1, 0, address_bytes)
    return fixed + MAC_SOURCE + b"\0\0" + payload


def token_ring(payload: bytes, routing: bytes = b"", frame_control: int = 0x40) -> bytes:
    source = bytes([MAC_SOURCE[0] | 0x80]) + MAC_SOURCE[1:] if routing else MAC_SOURCE
    return bytes([0x10, frame_control]) + MAC_DESTINATION + source + routing + payload


# 802.11

TO_DS, FROM_DS, MORE_FRAGMENTS, PROTECTED, ORDER = 0x01, 0x02, 0x04, 0x40, 0x80


def wlan(
    payload: bytes,
    flags: int = FROM_DS,
    *,
    kind: int = 0x08,
    qos: bytes = b"",
    sequence: int = 0x0120,
    padding: bytes = b"",
) -> bytes:
    """A data frame; `qos` are the bytes behind the addresses, two or with ORDER six."""
    others = b"\6" * 6
    first, second, third, fourth = {
        0: (MAC_DESTINATION, MAC_SOURCE, others, b""),
        TO_DS: (others, MAC_SOURCE, MAC_DESTINATION, b""),
        FROM_DS: (MAC_DESTINATION, others, MAC_SOURCE, b""),
        TO_DS | FROM_DS: (others, others, MAC_DESTINATION, MAC_SOURCE),
    }[flags & (TO_DS | FROM_DS)]
    control = bytes([kind | (0x80 if qos else 0), flags, 0, 0])
    addresses = first + second + third + struct.pack("<H", sequence) + fourth
    return control + addresses + qos + padding + payload


def radiotap(frame: bytes, *, present: int = 0, fields: bytes = b"", version: int = 0) -> bytes:
    return struct.pack("<BBHI", version, 0, 8 + len(fields), present) + fields + frame


def avs(frame: bytes, *, length: int = 64) -> bytes:
    return struct.pack(">II", 0x80211001, length) + bytes(56) + frame


def prism(frame: bytes) -> bytes:
    return struct.pack("<II", 0x44, 144) + bytes(136) + frame


def ppi(frame: bytes, linktype: int = 105, *, length: int = 12, version: int = 0) -> bytes:
    return struct.pack("<BBHI", version, 0, length, linktype) + bytes(4) + frame


# Tunnels


def gre(payload: bytes, ethertype: int = IPV4, flags: int = 0, fields: bytes = b"") -> bytes:
    return struct.pack(">HH", flags, ethertype) + fields + payload


def vxlan(frame: bytes, flags: int = 8) -> bytes:
    return udp(bytes([flags, 0, 0, 0, 0, 0, 5, 0]) + frame, port=4789)


def geneve(
    payload: bytes, ethertype: int = BRIDGED, options: bytes = b"", version: int = 0
) -> bytes:
    first = version << 6 | len(options) // 4
    return udp(struct.pack(">BBHI", first, 0, ethertype, 9 << 8) + options + payload, port=6081)


def gtpu(
    payload: bytes,
    flags: int = 0x30,
    fields: bytes = b"",
    *,
    kind: int = 255,
    length: int | None = None,
) -> bytes:
    size = len(fields) + len(payload) if length is None else length
    return udp(struct.pack(">BBHI", flags, kind, size, 99) + fields + payload, port=2152)
