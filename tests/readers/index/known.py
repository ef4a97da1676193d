"""A savefile's packets as Python reads them, and what must be true of its index."""

import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from daemonlogger_py.readers.index.builder import build
from daemonlogger_py.readers.index.sidecar import Sidecar

from ...pcaps.make import ETHERNET, MICROSECONDS, NANOSECONDS, Packet, classic

BLOCK_BYTES = 65536


class Read(NamedTuple):
    """One record."""

    offset: int
    end: int
    time_ns: int
    data: bytes


def savefile(
    folder: Path,
    packets: Iterable[Packet],
    *,
    name: str = "r.100",
    order: str = "<",
    magic: int = MICROSECONDS,
    linktype: int = ETHERNET,
    snaplen: int = 262144,
    tail: bytes = b"",
) -> Path:
    path = folder / name
    data = classic(packets, order=order, magic=magic, linktype=linktype, snaplen=snaplen)
    path.write_bytes(data + tail)
    return path


def indexed(path: Path) -> Sidecar:
    fd = os.open(path, os.O_RDONLY)
    try:
        return build(fd, path.name)
    finally:
        os.close(fd)


def records(data: bytes) -> list[Read]:
    """Whole records of a classic pcap up to the first that is not."""
    order = "<" if data[:1] in b"\xd4\x4d" else ">"
    magic, _, _, _, _, snaplen, _ = struct.unpack_from(f"{order}IHHiIII", data)
    unit = 1 if magic == NANOSECONDS else 1000
    found = []
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, caplen, origlen = struct.unpack_from(f"{order}IIII", data, at)
        end = at + 16 + caplen
        if not (seconds or fraction or caplen or origlen) or caplen > 262144 or end > len(data):
            break
        seen = data[at + 16 : end][: snaplen or None]
        found.append(Read(at, end, seconds * 10**9 + fraction * unit, seen))
        at = end
    return found


def check(sidecar: Sidecar, data: bytes) -> None:
    """Hold an index against the savefile: it covers every packet, and says nothing untrue."""
    read = records(data)
    blocks = sidecar.blocks()
    check_blocks(sidecar, blocks, read)
    classes = sidecar.classes()
    assert len({(known, mask) for known, mask, _ in classes}) == len(classes)
    inside: list[list[bytes]] = [[] for _ in blocks]
    number = 0
    for record in read:
        while record.offset >= blocks[number][0] + blocks[number][1]:
            number += 1
        inside[number].append(record.data)
    check_classes(classes, inside)


def check_blocks(
    sidecar: Sidecar, blocks: Sequence[tuple[int, int, int, int, int]], read: Sequence[Read]
) -> None:
    assert sidecar.packets == len(read)
    assert sidecar.end_offset == (read[-1].end if read else 24)
    times = [record.time_ns for record in read]
    assert sidecar.ordered is (times == sorted(times))
    at = 24
    for offset, size, packets, first_ns, last_ns in blocks:
        members = [record for record in read if at <= record.offset < at + size]
        assert offset == at
        assert members[-1].end == at + size
        assert packets == len(members)
        assert size <= BLOCK_BYTES or packets == 1
        assert first_ns == min(record.time_ns for record in members)
        assert last_ns == max(record.time_ns for record in members)
        at += size
    assert at == sidecar.end_offset


def check_classes(
    classes: Sequence[tuple[bytes, bytes, list[int]]], inside: Sequence[Sequence[bytes]]
) -> None:
    """A packet is of a class that its block has; a class has a packet in each of its blocks."""
    of_block: list[list[tuple[bytes, bytes]]] = [[] for _ in inside]
    for known, mask, blocks in classes:
        assert blocks, "a class of no packets"
        assert len(known) == len(mask) <= 256
        assert not any(byte & ~bits for byte, bits in zip(known, mask, strict=True))
        for block in blocks:
            of_block[block].append((known, mask))
    for packets, choice in zip(inside, of_block, strict=True):
        left = set(choice)
        for packet in packets:
            fitting = {one for one in choice if fits(packet, *one)}
            assert fitting, packet.hex()
            left -= fitting
        assert not left


def fits(packet: bytes, known: bytes, mask: bytes) -> bool:
    return len(packet) >= len(mask) and all(
        packet[i] & mask[i] == known[i] for i in range(len(mask))
    )
