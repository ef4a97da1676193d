"""The first inputs of the flow engine's fuzzer: frames of every kind, each fed in several ways.

Captures that lie in ../shared/pcaps are taken as well, where there are any and python-libpcap
reads them.
"""

import os
import struct
from collections.abc import Iterator

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.errors import DaemonloggerError

from .flow_trial import ENDS_FEED, LINKTYPES, TAIL_BYTES, framed
from .seeds import SHARED
from .trial import NEVER_NS

# As many bytes of a capture's packets as a fuzzer likes to change.
LONGEST_BYTES = 6000

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
CLIENT6, SERVER6 = (bytes.fromhex("20010db8") + bytes(11) + bytes([last]) for last in (1, 2))
FIN, SYN, RST, PSH, ACK = (1 << bit for bit in range(5))
ETHERNET = bytes.fromhex("020000000002020000000001")


def tcp(sequence: int, flags: int, payload: bytes = b"", *, back: bool = False) -> bytes:
    """A segment between the two ports."""
    ports = (80, 40000) if back else (40000, 80)
    acknowledged = 1 if flags & ACK else 0
    header = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 1024, 0, 0)
    return header + payload


def ipv4(
    payload: bytes, protocol: int = 6, *, back: bool = False, offset: int = 0, more: bool = False
) -> bytes:
    """An IPv4 packet between the two addresses."""
    ends = SERVER + CLIENT if back else CLIENT + SERVER
    fragment = more << 13 | offset // 8
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0)
    return header + ends + payload


def ipv6(payload: bytes, following: int = 6) -> bytes:
    """An IPv6 packet between the two addresses."""
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + CLIENT6 + SERVER6 + payload


def ethernet(packet: bytes, *tags: bytes) -> bytes:
    """A frame; `tags` are what stands before the packet, type included."""
    if tags:
        return ETHERNET + b"".join(tags) + packet
    return ETHERNET + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet


def conversations() -> Iterator[tuple[str, list[bytes]]]:
    """Sequences of IP packets, with names."""
    whole = [
        ipv4(tcp(99, SYN)),
        ipv4(tcp(999, SYN | ACK, back=True), back=True),
        ipv4(tcp(100, ACK | PSH, b"GET / HTTP/1.1\r\n\r\n")),
        ipv4(tcp(1000, ACK, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30), back=True), back=True),
        ipv4(tcp(118, FIN | ACK)),
        ipv4(tcp(1049, FIN | ACK, back=True), back=True),
    ]
    yield "whole", whole
    yield "reversed", whole[::-1]
    yield "reset", [*whole[:3], ipv4(tcp(118, RST)), *whole[2:]]
    yield "reused", [*whole[:4], ipv4(tcp(50_000, SYN)), ipv4(tcp(50_001, ACK, b"again"))]
    wrap = 2**32 - 3
    yield (
        "wrap",
        [
            ipv4(tcp(wrap, SYN)),
            ipv4(tcp(2, ACK, b"ef")),
            ipv4(tcp(wrap + 1, ACK, b"abcd")),
            ipv4(tcp(4, FIN)),
        ],
    )
    yield (
        "overlaps",
        [
            ipv4(tcp(99, SYN)),
            *(ipv4(tcp(100 + at, ACK, bytes([65 + at]) * 6)) for at in (8, 0, 4, 20, 2, 12, 0)),
        ],
    )
    yield "no-syn", [ipv4(tcp(at, ACK, b"xyz")) for at in (100, 90, 97, 4_000_000_000, 100)]
    yield "jumps", [ipv4(tcp(at, ACK, b"xyz")) for at in (1, 70_000, 2, 2**31, 2**31 + 1, 5)]
    yield "keep-alive", [ipv4(tcp(99, SYN)), *(ipv4(tcp(at, ACK, b"k")) for at in (100, 100, 99))]
    segment = tcp(100, ACK, bytes(range(60)))
    pieces = [(at, segment[at : at + 16]) for at in range(0, len(segment), 16)]
    yield (
        "fragments",
        [
            ipv4(data, offset=at, more=at + 16 < len(segment))
            for at, data in (*pieces, *pieces[::-1])
        ],
    )
    yield (
        "fragments6",
        [
            ipv6(struct.pack("!BBHI", 6, 0, at | (at + 16 < len(segment)), 7) + data, 44)
            for at, data in (*pieces[::-1], *pieces[1:])
        ],
    )
    yield "families", [ipv6(tcp(99, SYN)), ipv6(tcp(100, ACK, b"six")), ipv4(tcp(1, ACK, b"four"))]
    options = bytes([43, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0])
    yield "extensions", [ipv6(options + tcp(1, ACK, b"behind options"), 0)]
    yield (
        "others",
        [
            ipv4(struct.pack("!HHHH", 5000, 53, 12, 0) + b"abcd", 17),
            ipv4(bytes([8, 0, 0, 0]) + bytes(8), 1),
            ipv4(struct.pack("!HHII", 5000, 5001, 1, 0), 132),
            ipv4(bytes(8), 50),
        ],
    )
    inner = ipv4(tcp(100, ACK, b"in a tunnel"))
    yield "ip-in-ip", [ipv4(inner, 4), ipv6(inner, 4)]
    yield "gre", [ipv4(b"\0\0\x08\0" + inner, 47), ipv4(b"\xb0\0\x08\0" + bytes(12) + inner, 47)]
    for port, header in {
        4789: b"\x08\0\0\0\0\0\x01\0",
        6081: b"\x01\0\x65\x58\0\0\x01\0\0\0\0\0",
        2152: b"",
    }.items():
        content = header + ethernet(inner)
        if port == 2152:
            content = struct.pack("!BBHI", 0x30, 255, len(inner), 1) + inner
        udp = struct.pack("!HHHH", 5000, port, 8 + len(content), 0) + content
        yield f"udp-{port}", [ipv4(udp, 17)]


def links() -> Iterator[tuple[str, int, list[bytes]]]:
    """Frames of each linktype: (name, linktype, frames)."""
    packet = ipv4(tcp(100, ACK, b"over any link"))
    tag, outer, mpls = b"\x81\0\0\x2a\x08\0", b"\x88\xa8\x10\x07", b"\x88\x47\0\x01\x01\x40"
    pppoe = b"\x88\x64\x11\0\0\x01" + struct.pack("!H", len(packet) + 2) + b"\0\x21"
    snap = bytes.fromhex("aaaa030000000800")
    wlan = b"\x08\x01\0\0" + bytes(18) + b"\0\0" + snap
    frames: dict[int, list[bytes]] = {
        1: [
            ethernet(packet, tag),
            ethernet(packet, outer, tag),
            ethernet(packet, mpls),
            ethernet(packet, pppoe),
            ETHERNET + struct.pack("!H", len(snap + packet)) + snap + packet,
        ],
        0: [struct.pack("=I", 2) + packet, struct.pack("<I", 30) + ipv6(tcp(1, ACK, b"6"))],
        108: [struct.pack("!I", 2) + packet],
        9: [b"\xff\x03\0\x21" + packet, b"\x21" + packet],
        50: [b"\xff\x03\0\x21" + packet],
        51: [b"\x11\0\0\x01" + struct.pack("!H", len(packet) + 2) + b"\0\x21" + packet],
        101: [packet, ipv6(tcp(1, ACK, b"6"))],
        113: [b"\0\0\0\x01\0\x06" + bytes(8) + b"\x08\0" + packet],
        276: [b"\x08\0\0\0" + bytes(4) + b"\0\x01\0\x06" + bytes(8) + packet],
        105: [wlan + packet, b"\x88\x02" + wlan[2:24] + b"\0\0" + snap + packet],
        127: [b"\0\0\x08\0\0\0\0\0" + wlan + packet],
        119: [struct.pack("!II", 0x44, 144) + bytes(136) + wlan + packet],
        192: [b"\0\0\x08\0\x69\0\0\0" + wlan + packet],
        228: [packet],
        229: [ipv6(tcp(1, ACK, b"6"))],
    }
    for linktype, made in frames.items():
        yield f"link-{linktype}", linktype, made


def tail(linktype: int, **places: int) -> bytes:
    """Numbers of flow_trial.py: the linktype, and others by `at_N`."""
    numbers = bytearray(TAIL_BYTES)
    numbers[0] = numbers[1] = LINKTYPES.index(linktype) if linktype in LINKTYPES else 0
    for place, value in places.items():
        numbers[int(place.removeprefix("at_"))] = value
    return bytes(numbers)


# Each sink, with limits as they are and as tight as they get.
WAYS: tuple[dict[str, int], ...] = (
    {},
    {"at_2": 2 | 4, "at_3": 1},
    {"at_2": 128, "at_3": 2},
    {"at_2": 2, "at_3": 3, "at_11": 3},
    {"at_3": 128, "at_4": 1, "at_5": 1, "at_6": 1, "at_7": 1, "at_9": 0x11, "at_10": 1},
    {"at_3": 6, "at_4": 2, "at_9": 0x20},
    {"at_2": 64 | 16, "at_3": 2, "at_4": 2, "at_5": 2, "at_6": 2, "at_8": 2, "at_11": 2},
)


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name."""
    for name, packets in conversations():
        frames = [ethernet(packet) for packet in packets]
        for number, way in enumerate(WAYS):
            flags = ENDS_FEED if number % 2 else 0
            yield f"{name}-{number}", framed(frames, flags, number) + tail(1, **way)
    for name, linktype, frames in links():
        for number, way in enumerate(WAYS[:4]):
            yield f"{name}-{number}", framed(frames) + tail(linktype, **way)
    yield "empty", b""
    if SHARED.is_dir():
        for number, path in enumerate(sorted(SHARED.iterdir())):
            linktype, frames = frames_of(path) if path.suffix != ".tsv" else (0, [])
            if frames:
                way = WAYS[number % len(WAYS)] | {"at_2": WAYS[number % len(WAYS)].get("at_2", 2)}
                yield f"shared-{path.name}", framed(frames) + tail(linktype, **way)


def frames_of(path: os.PathLike[str]) -> tuple[int, list[bytes]]:
    """Linktype and first packets of a capture; none if it cannot be read."""
    buffer = Buffer(1 << 16)
    wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
    frames: list[bytes] = []
    try:
        source = FileSource(os.open(path, os.O_RDONLY), name=str(path), wake_fd=wake_fd)
    except DaemonloggerError:
        os.close(wake_fd)
        return 0, frames
    source.fill(buffer, LONGEST_BYTES, 100, NEVER_NS, NEVER_NS, NEVER_NS)
    content, at = bytes(buffer), 0
    while at < len(content):
        caplen = struct.unpack_from("=I", content, at + 8)[0]
        frames.append(content[at + 16 : at + 16 + min(caplen, 65_535)])
        at += 16 + caplen
    source.close()
    os.close(wake_fd)
    return source.linktype, frames


DICTIONARY = {
    "ipv4": b"\x08\x00\x45\x00",
    "ipv6": b"\x86\xdd\x60\x00",
    "vlan": b"\x81\x00",
    "qinq": b"\x88\xa8",
    "mpls": b"\x88\x47",
    "pppoe": b"\x88\x64",
    "teb": b"\x65\x58",
    "snap": bytes.fromhex("aaaa03000000"),
    "more_fragments": b"\x20\x00",
    "no_payload": b"\x50\x02",
    "vxlan": struct.pack("!H", 4789),
    "geneve": struct.pack("!H", 6081),
    "gtp": struct.pack("!H", 2152),
    "low_sequence": b"\0\0\0\0",
    "high_sequence": b"\xff\xff\xff\xff",
    "middle_sequence": b"\x80\0\0\0",
    "client_server": CLIENT + SERVER,
    "server_client": SERVER + CLIENT,
}
