"""Reads captures in plain Python; shares no code with the engine it judges.

Knows the classic formats in either byte order and pcapng, as pcap-savefile(5) and
draft-ietf-opsawg-pcapng have them, and gives records as they stand: a fraction of a second that
is none is not put right.
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from .make import MICROSECONDS, MODIFIED, NANOSECONDS

LARGEST_CAPLEN = 262144


class Record(NamedTuple):
    """One packet: seconds since 1970 and the fraction in the capture's own units."""

    seconds: int
    fraction: int
    origlen: int
    data: bytes


@dataclass
class Capture:
    """What a capture holds. `end_offset`: behind the last packet that is whole."""

    linktype: int = -1
    snaplen: int = 0
    nanosecond: bool = False
    records: list[Record] = field(default_factory=list)
    end_offset: int = 0
    whole: bool = False

    def times_ns(self) -> list[int]:
        scale = 1 if self.nanosecond else 1000
        return [r.seconds * 10**9 + r.fraction * scale for r in self.records]


@dataclass
class Interface:
    """What an Interface Description Block says."""

    linktype: int
    snaplen: int
    units: int = 10**6  # a second
    offset_s: int = 0


def parse(data: bytes) -> Capture:
    """Read the whole records of a capture. ValueError for what is none."""
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return _parse_pcapng(data)
    for order in "<>":
        if len(data) >= 24:
            (magic,) = struct.unpack_from(f"{order}I", data)
            if magic in (MICROSECONDS, NANOSECONDS, MODIFIED):
                return _parse_classic(data, order, magic)
    raise ValueError("no capture")


def _parse_classic(data: bytes, order: str, magic: int) -> Capture:
    snaplen, linktype = struct.unpack_from(f"{order}II", data, 16)
    found = Capture(linktype, snaplen, magic == NANOSECONDS, end_offset=24)
    head = struct.Struct(f"{order}IIII8x" if magic == MODIFIED else f"{order}IIII")
    while len(data) - found.end_offset >= head.size:
        seconds, fraction, caplen, origlen = head.unpack_from(data, found.end_offset)
        start = found.end_offset + head.size
        if caplen > LARGEST_CAPLEN or len(data) - start < caplen:
            break
        found.records.append(Record(seconds, fraction, origlen, data[start : start + caplen]))
        found.end_offset = start + caplen
    found.whole = found.end_offset == len(data)
    return found


def _options(body: bytes, order: str) -> dict[int, bytes]:
    found = {}
    while len(body) >= 4:
        code, length = struct.unpack_from(f"{order}HH", body)
        if code == 0:
            break
        found[code] = body[4 : 4 + length]
        body = body[4 + (length + 3) // 4 * 4 :]
    return found


def _interface(body: bytes, order: str) -> Interface:
    linktype, _, snaplen = struct.unpack_from(f"{order}HHI", body)
    found = Interface(linktype, snaplen)
    options = _options(body[8:], order)
    if 9 in options:
        (resolution,) = options[9]
        found.units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    if 14 in options:
        (found.offset_s,) = struct.unpack(f"{order}q", options[14])
    return found


def _parse_pcapng(data: bytes) -> Capture:
    found = Capture()
    packets: list[tuple[Interface, int, int, bytes]] = []
    interfaces: list[Interface] = []
    offset, order = 0, "<"
    while len(data) - offset >= 12:
        (kind,) = struct.unpack_from(f"{order}I", data, offset)
        if kind == 0x0A0D0D0A:
            order = "<" if data[offset + 8 : offset + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        (length,) = struct.unpack_from(f"{order}I", data, offset + 4)
        body = data[offset + 8 : offset + length - 4]
        if len(data) - offset < length:
            break
        offset += length
        if kind == 1:
            interfaces.append(_interface(body, order))
        elif kind in (2, 3, 6):
            packets.append(_packet(kind, body, order, interfaces))
            found.end_offset = offset
    found.whole = offset == len(data)
    if interfaces:
        found.linktype, found.snaplen = interfaces[0].linktype, interfaces[0].snaplen
        found.nanosecond = any(interface.units > 10**6 for interface in interfaces)
    units = 10**9 if found.nanosecond else 10**6
    for interface, ticks, origlen, packet in packets:
        seconds, fraction = divmod(ticks, interface.units)
        fraction = fraction * units // interface.units
        found.records.append(Record(seconds + interface.offset_s, fraction, origlen, packet))
    return found


def _packet(
    kind: int, body: bytes, order: str, interfaces: list[Interface]
) -> tuple[Interface, int, int, bytes]:
    if kind == 3:  # Simple Packet Block: no time, cut by the interface's snaplen
        (origlen,) = struct.unpack_from(f"{order}I", body)
        caplen = min(origlen, interfaces[0].snaplen or origlen)
        return interfaces[0], 0, origlen, body[4 : 4 + caplen]
    head = f"{order}IIIII" if kind == 6 else f"{order}HxxIIII"
    number, high, low, caplen, origlen = struct.unpack_from(head, body)
    return interfaces[number], high << 32 | low, origlen, body[20 : 20 + caplen]
