"""The first inputs of the fuzzer: a small capture of every kind, each recorded in several ways.

Written by this script and not kept, so that a look at it tells what they hold. Captures that lie
in ../shared/pcaps are taken as well, where there are any.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from .model import MICROSECONDS, MODIFIED, NANOSECONDS
from .trial import TAIL_BYTES

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "pcaps"
# Longer ones are cut, which makes damaged ones of them: small inputs are what a fuzzer is good at.
LONGEST_BYTES = 4096

UDP = (
    bytes.fromhex(
        "020000000001020000000002080045000024000140004011f2c60a0000010a0000020035e00000100000"
    )
    + b"12345678"
)
TCP_IN_VLAN = bytes.fromhex(
    "02000000000102000000000281000064080045000028000140004006f2cd0a0000010a000002"
    "1f90c35000000001000000005002ffff00000000"
)
PACKETS = (UDP, b"", UDP + bytes(100), TCP_IN_VLAN, b"\xff")
LINKTYPES = (0, 1, 101, 105, 113, 117, 127, 147, 189, 220, 231, 239, 249, 276, 279, 65535)

# How they are recorded: the tail of trial.py, value by value.
WAYS = (
    bytes(TAIL_BYTES),
    bytes([0, 0, 0, 4, 2, 2, 2, 3, 6, 2, 0, 0, 0, 2, 4, 3]),  # odd chunks, all budgets, cut
    bytes([0, 0, 0, 2, 0, 4, 0, 0, 2, 1, 2, 3, 0, 0, 6, 1]),  # late, filtered, filter replaced
    bytes([0, 0, 0, 1, 0, 0, 4, 0, 13, 7, 0, 0, 3, 1, 4, 20]),  # smallest buffers, finished, ns
)
# Stretched: this much more of the first packet, the first number filling the smallest buffer to the
# last byte, the last in front of a header that lies across the end of the walker's 1 MiB block.
LONG_WAYS = {11: 65_520, 12: 200_000, 15: 1_048_552}
STRETCHED_AT = 40  # behind both headers
LED = 4  # the file header in the buffer
# The first buffer grows for a long record, and what is then read does not fit the next ones.
CROWD = bytes([12, STRETCHED_AT, 0, 1, 0, 1, 0, 0, 8]).ljust(TAIL_BYTES, b"\0")
# Finished when half of a record is read: that is an end, not damage.
UNFINISHED = bytes([14, STRETCHED_AT + 16, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0, 2]).ljust(
    TAIL_BYTES, b"\0"
)

DICTIONARY = {
    "microseconds": struct.pack("<I", MICROSECONDS),
    "microseconds_swapped": struct.pack(">I", MICROSECONDS),
    "nanoseconds": struct.pack("<I", NANOSECONDS),
    "nanoseconds_swapped": struct.pack(">I", NANOSECONDS),
    "modified": struct.pack("<I", MODIFIED),
    "modified_swapped": struct.pack(">I", MODIFIED),
    "version": struct.pack("<HH", 2, 4),
    "version_swapped": struct.pack(">HH", 2, 4),
    "max_snaplen": struct.pack("<I", 262_144),
    "max_snaplen_swapped": struct.pack(">I", 262_144),
    "beyond_max_snaplen": struct.pack("<I", 262_145),
    "max_usb": struct.pack("<I", 1 << 20),
    "max_dbus": struct.pack("<I", 128 << 20),
    "max_dbus_swapped": struct.pack(">I", 128 << 20),
    "max_int": struct.pack("<I", 0x7FFFFFFF),
    "max_uint": struct.pack("<I", 0xFFFFFFFF),
    "fcs": struct.pack("<I", 0xF4000001),
    "section_header": struct.pack("<I", 0x0A0D0D0A),
    "byte_order": struct.pack("<I", 0x1A2B3C4D),
    "byte_order_swapped": struct.pack(">I", 0x1A2B3C4D),
    "interface": struct.pack("<I", 1),
    "interface_swapped": struct.pack(">I", 1),
    "simple_packet": struct.pack("<I", 3),
    "enhanced_packet": struct.pack("<I", 6),
    "enhanced_packet_swapped": struct.pack(">I", 6),
    "tsresol": struct.pack("<HHB", 9, 1, 9),
    "tsresol_swapped": struct.pack(">HHB", 9, 1, 0x94),
    "tsoffset": struct.pack("<HHq", 14, 8, -1),
    **{f"linktype_{linktype}": struct.pack("<I", linktype) for linktype in LINKTYPES},
}


def classic(magic: int, order: str, linktype: int = 1, snaplen: int = 65535) -> bytes:
    """A classic savefile of PACKETS, one second apart."""
    written = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, linktype)]
    more = bytes(8) if magic == MODIFIED else b""
    for number, packet in enumerate(PACKETS):
        stamp = 1_700_000_000 + number, 999_999 - number
        # All but the first were longer on the wire.
        lengths = len(packet), len(packet) + 50 * number
        written += [struct.pack(f"{order}IIII", *stamp, *lengths), more, packet]
    return b"".join(written)


def pcapng(order: str, tsresol: int | None = None, linktype: int = 1) -> bytes:
    """A pcapng capture of PACKETS, in each kind of packet block."""
    options = b""
    if tsresol is not None:
        options = struct.pack(f"{order}HHB3xHH", 9, 1, tsresol, 0, 0)
    written = [
        block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(order, 1, struct.pack(f"{order}HHI", linktype, 0, 0) + options),
        block(order, 5, bytes(12)),  # interface statistics: skipped
    ]
    for number, packet in enumerate(PACKETS):
        length = len(packet)
        stamp = struct.pack(f"{order}II", 0x60000, number)
        if number == 2:
            written.append(block(order, 3, struct.pack(f"{order}I", length) + packet))
            continue
        obsolete = number == 3
        interface = struct.pack(f"{order}HH" if obsolete else f"{order}I", *[0] * (1 + obsolete))
        lengths = struct.pack(f"{order}II", length, length)
        written.append(block(order, 2 if obsolete else 6, interface + stamp + lengths + packet))
    return b"".join(written)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of pcapng, padded."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def long_record(order: str, linktype: int, length: int) -> bytes:
    """A savefile whose first record lacks the packet that a way of LONG_WAYS puts into it."""
    header = struct.pack(f"{order}IHHiIII", MICROSECONDS, 2, 4, 0, 0, 0, linktype)
    record = struct.pack(f"{order}IIII", 1, 2, length, length)
    return header + record + classic(MICROSECONDS, order)[len(header) :]


def captures() -> Iterator[tuple[str, bytes]]:
    """Small captures of every kind that libpcap reads, whole ones and cut ones, with names."""
    for order, side in (("<", "little"), (">", "big")):
        for magic, kind in ((MICROSECONDS, "us"), (NANOSECONDS, "ns"), (MODIFIED, "modified")):
            yield f"{kind}-{side}", classic(magic, order)
        for major, minor in ((2, 2), (2, 3), (543, 0), (3, 4), (2, 5)):
            versioned = bytearray(classic(MICROSECONDS, order))
            struct.pack_into(f"{order}HH", versioned, 4, major, minor)
            yield f"version-{major}.{minor}-{side}", bytes(versioned)
        yield f"pcapng-{side}", pcapng(order)
        yield f"pcapng-ns-{side}", pcapng(order, 9)
        yield f"pcapng-power-of-two-{side}", pcapng(order, 0x94)
        for linktype in LINKTYPES:
            yield f"linktype-{linktype}-{side}", classic(MICROSECONDS, order, linktype)
        yield f"snaplen-{side}", classic(MICROSECONDS, order, snaplen=20)
    whole = classic(NANOSECONDS, "<")
    yield "empty", b""
    yield "header", whole[:24]
    yield "cut-file-header", whole[:23]
    yield "cut-record-header", whole[:39]
    yield "cut-packet", whole[:-1]
    yield "zeros", whole + bytes(200)
    yield "impossible-caplen", whole + struct.pack("<IIII", 1, 2, 0xFFFFFFFF, 0xFFFFFFFF)
    yield "wide-linktype", classic(MICROSECONDS, "<", 0x00010001)
    yield "fcs", classic(MICROSECONDS, "<", 0xF4000001)
    yield "cut-pcapng", pcapng("<", 9)[:-30]
    yield "sections", pcapng("<", 9) + pcapng(">", 6)
    # A header that claims as much as D-Bus allows, of which nothing is there.
    claim = struct.pack("<IIII", 1, 2, 128 << 20, 128 << 20) + bytes(100)
    yield "claim", classic(MICROSECONDS, "<", 231) + claim
    claim = struct.pack(">IIII", 1, 2, 128 << 20, 128 << 20) + bytes(100)
    yield "claim-big", classic(MICROSECONDS, ">", 231) + claim


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name: each capture in each of WAYS, and some with a long record."""
    for name, capture in captures():
        for number, way in enumerate(WAYS):
            yield f"{name}-{number}", capture + way
    for order, side in (("<", "little"), (">", "big")):
        for value, length in LONG_WAYS.items():
            way = bytes([value, STRETCHED_AT, 0, 0, 0, 0, 0, 0, LED]).ljust(TAIL_BYTES, b"\0")
            for linktype in (1, 189, 220, 249):
                name = f"long-{length}-{linktype}-{side}"
                yield name, long_record(order, linktype, length) + way
    crowd = long_record("<", 1, LONG_WAYS[12]) + classic(MICROSECONDS, "<")[24:] * 30
    yield "crowd", crowd + CROWD
    short = struct.pack("<IIII", 1, 2, 0, 0)
    unfinished = long_record("<", 249, 600_000)
    yield "unfinished", unfinished[:24] + short + unfinished[24:] + UNFINISHED
    if SHARED.is_dir():
        for number, path in enumerate(sorted(SHARED.iterdir())):
            if path.suffix != ".tsv":
                way = WAYS[number % len(WAYS)]
                yield f"shared-{path.name}", path.read_bytes()[:LONGEST_BYTES] + way


def write_dictionary(path: Path, words: Mapping[str, bytes]) -> None:
    """Write what a fuzzer would have to guess, in libFuzzer's form."""
    lines = []
    for name, value in words.items():
        escaped = "".join(f"\\x{byte:02x}" for byte in value)
        lines.append(f'{name}="{escaped}"\n')
    path.write_text("".join(lines))
