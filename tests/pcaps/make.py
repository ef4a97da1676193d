"""Makes the captures in this directory, byte for byte the same every time.

    python tests/pcaps/make.py        writes them all again

Every format and every kind of damage that the engine and the readers have to tell apart, small
enough to be kept in the repository. The builders are for tests that make captures of their own.
"""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

MICROSECONDS = 0xA1B2C3D4
NANOSECONDS = 0xA1B23C4D
MODIFIED = 0xA1B2CD34  # Kuznetzov's: 8 more bytes in each record's header

NULL = 0
ETHERNET = 1
RAW = 101
LINUX_SLL = 113
DBUS = 231

START_NS = 1_228_873_098_000_000_000
STEP_NS = 250_000_123  # not a whole number of microseconds


class Packet(NamedTuple):
    """One packet; `origlen` None: the whole of it was captured."""

    time_ns: int
    data: bytes
    origlen: int | None = None

    @property
    def wire_bytes(self) -> int:
        return len(self.data) if self.origlen is None else self.origlen


# Packets


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(payload: bytes, protocol: int, source: int = 1, target: int = 2) -> bytes:
    """One datagram from 192.0.2.`source` to 192.0.2.`target`."""
    addresses = bytes([192, 0, 2, source, 192, 0, 2, target])
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + addresses
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ipv6(payload: bytes, protocol: int) -> bytes:
    """One datagram from 2001:db8::1 to 2001:db8::2."""
    network = bytes.fromhex("20010db8") + bytes(11)
    fixed = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
    return fixed + network + b"\1" + network + b"\2" + payload


def udp(payload: bytes, source_port: int = 4000, target_port: int = 53) -> bytes:
    return struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def tcp(payload: bytes, source_port: int = 40000, target_port: int = 80) -> bytes:
    fixed = (source_port, target_port, 1, 1, 5 << 4, 0x18, 512, 0, 0)
    return struct.pack(">HHIIBBHHH", *fixed) + payload


def ethernet(payload: bytes, ethertype: int = 0x0800) -> bytes:
    return bytes.fromhex("020000000002020000000001") + struct.pack(">H", ethertype) + payload


def vlan(payload: bytes, identifier: int, ethertype: int = 0x0800) -> bytes:
    return ethernet(struct.pack(">HH", identifier, ethertype) + payload, 0x8100)


def arp() -> bytes:
    question = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
    return ethernet(question + bytes([2, 0, 0, 0, 0, 1, 192, 0, 2, 1]) + bytes(10), 0x0806)


def stamped(payloads: Iterable[bytes], step_ns: int = STEP_NS) -> list[Packet]:
    """Give packets their times, a step apart."""
    return [Packet(START_NS + i * step_ns, data) for i, data in enumerate(payloads)]


def mixture() -> list[Packet]:
    """A dozen frames of every kind a filter in the tests asks for."""
    frames = [
        arp(),
        ethernet(ipv4(udp(b"question"), 17)),
        ethernet(ipv4(udp(b"answer" * 20, 53, 4000), 17, 2, 1)),
        ethernet(ipv4(tcp(b"GET / HTTP/1.0\r\n\r\n"), 6)),
        ethernet(ipv4(tcp(bytes(range(256)) * 5, 80, 40000), 6, 2, 1)),
        vlan(ipv4(udp(b"tagged"), 17), 42),
        vlan(ipv4(tcp(b"tagged too"), 6), 43),
        ethernet(ipv6(udp(b"sixth"), 17), 0x86DD),
        ethernet(ipv6(tcp(b""), 6), 0x86DD),
        ethernet(ipv4(bytes([8, 0, 0, 0, 0, 1, 0, 1]) + bytes(48), 1)),
        ethernet(ipv4(udp(bytes(1400)), 17)),
        b"\0" * 60,
    ]
    packets = stamped(frames)
    # The last but one was cut by a snaplen when it was captured.
    packets[10] = Packet(packets[10].time_ns, packets[10].data[:96], len(packets[10].data))
    return packets


# Classic pcap


def file_header(
    *,
    order: str = "<",
    magic: int = MICROSECONDS,
    snaplen: int = 262144,
    linktype: int = ETHERNET,
    version: tuple[int, int] = (2, 4),
) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, *version, 0, 0, snaplen, linktype)


def record(packet: Packet, *, order: str = "<", magic: int = MICROSECONDS) -> bytes:
    seconds, ns = divmod(packet.time_ns, 10**9)
    fraction = ns if magic == NANOSECONDS else ns // 1000
    numbers = (seconds, fraction, len(packet.data), packet.wire_bytes)
    more = struct.pack(f"{order}IHBx", 3, 0x0800, 0) if magic == MODIFIED else b""
    return struct.pack(f"{order}IIII", *numbers) + more + packet.data


def classic(
    packets: Iterable[Packet],
    *,
    order: str = "<",
    magic: int = MICROSECONDS,
    linktype: int = ETHERNET,
    snaplen: int = 262144,
) -> bytes:
    """A classic pcap file; `order` as for struct."""
    head = file_header(order=order, magic=magic, snaplen=snaplen, linktype=linktype)
    return head + b"".join(record(packet, order=order, magic=magic) for packet in packets)


# pcapng


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    *, order: str = "<", linktype: int = ETHERNET, snaplen: int = 262144, tsresol: int | None = None
) -> bytes:
    body = struct.pack(f"{order}HHI", linktype, 0, snaplen)
    if tsresol is not None:
        body += option(9, bytes([tsresol]), order) + option(0, b"", order)
    return block(1, body, order)


def enhanced(packet: Packet, *, order: str = "<", units: int = 10**6, comment: str = "") -> bytes:
    """An Enhanced Packet Block with times in `units` a second."""
    ticks = packet.time_ns * units // 10**9
    head = struct.pack(
        f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet.data), packet.wire_bytes
    )
    body = head + packet.data + b"\0" * (-len(packet.data) % 4)
    if comment:
        body += option(1, comment.encode(), order) + option(0, b"", order)
    return block(6, body, order)


def name_resolution(order: str = "<") -> bytes:
    name = bytes([192, 0, 2, 1]) + b"sensor.example\0"
    return block(4, option(1, name, order) + option(0, b"", order), order)


def pcapng(packets: Sequence[Packet], *, order: str = "<", nanosecond: bool = False) -> bytes:
    """A capture with a block of another kind, and options, among the packets."""
    units = 10**9 if nanosecond else 10**6
    blocks = [section(order), interface(order=order, tsresol=9 if nanosecond else None)]
    for number, packet in enumerate(packets):
        comment = "the third" if number == 2 else ""
        blocks.append(enhanced(packet, order=order, units=units, comment=comment))
        if number == 3:
            blocks.append(name_resolution(order))
    return b"".join(blocks)


def two_sections(packets: Sequence[Packet]) -> bytes:
    """What `cat` makes of two captures: libpcap reads on through the second section."""
    half = len(packets) // 2
    return pcapng(packets[:half]) + pcapng(packets[half:])


# The captures


def captures() -> dict[str, bytes]:
    """Every capture of this directory by its file name."""
    packets = mixture()
    whole = classic(packets)
    last = len(record(packets[-1]))
    bare = stamped([ipv4(udp(b"bare"), 17), ipv6(udp(b"bare"), 17), ipv4(tcp(b"bare"), 6)])
    cooked = struct.pack(">HHH8sH", 0, 1, 6, bytes(8), 0x0800)
    impossible = struct.pack("<IIII", START_NS // 10**9, 0, 262145, 262145)
    in_blocks = pcapng(packets)
    return {
        "us.pcap": whole,
        "ns.pcap": classic(packets, magic=NANOSECONDS),
        "us_big_endian.pcap": classic(packets, order=">"),
        "ns_big_endian.pcap": classic(packets, order=">", magic=NANOSECONDS),
        "modified.pcap": classic(packets, magic=MODIFIED),
        "modified_big_endian.pcap": classic(packets, order=">", magic=MODIFIED),
        "us.pcapng": in_blocks,
        "ns.pcapng": pcapng(packets, nanosecond=True),
        "us_big_endian.pcapng": pcapng(packets, order=">"),
        "two_sections.pcapng": two_sections(packets),
        "raw.pcap": classic(bare, linktype=RAW),
        "null.pcap": classic(
            [p._replace(data=struct.pack("<I", 2) + p.data) for p in bare[::2]], linktype=NULL
        ),
        "sll.pcap": classic(
            [p._replace(data=cooked + p.data) for p in bare[::2]], linktype=LINUX_SLL
        ),
        "vlan.pcap": classic(packets[5:7]),
        "header_only.pcap": classic([]),
        "empty.pcap": b"",
        "cut_in_file_header.pcap": whole[:20],
        "cut_in_record_header.pcap": whole[: -last + 9],
        "cut_in_packet.pcap": whole[:-13],
        "cut_in_packet_big_endian.pcap": classic(packets, order=">")[:-13],
        "cut_in_block.pcapng": in_blocks[:-13],
        "bad_caplen.pcap": classic(packets[:4]) + impossible + whole[-last:],
        "zeros_at_end.pcap": classic(packets[:4]) + bytes(4096),
        "zeros_in_the_middle.pcap": classic(packets[:4]) + bytes(160) + whole[-last:],
        "not_pcap.txt": b"neither magic number nor packets, only forty-odd bytes of text\n",
    }


if __name__ == "__main__":
    for name, content in captures().items():
        (Path(__file__).parent / name).write_bytes(content)
