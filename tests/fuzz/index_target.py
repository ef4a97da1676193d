"""What must be true of every index: of any savefile it is made of, and of any bytes it is read of.

An input is a savefile; or a sidecar; or changes of a good sidecar, after which its checksums are
right again, so that what its columns say is reached. Of a savefile, each packet has to be of a
class that its block has, and the sidecar has to come back as it was written.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

from daemonlogger_py.readers.index.builder import UnindexableError, build
from daemonlogger_py.readers.index.sidecar import Sidecar, SidecarError

from .model import RECORD_HEADER_BYTES, Classic, read_classic

SAVEFILE, SIDECAR, FORGED = range(3)
KINDS = 3
CHANGE = struct.Struct("<BHB")  # which member, which of its bytes, what it becomes
LOCAL_BYTES = 30
CENTRAL_BYTES = 46


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`, whose last byte says what it is."""
    kind = data[-1] % KINDS if data else SAVEFILE
    content = data[:-1]
    if kind == SAVEFILE:
        check_savefile(content)
    elif kind == SIDECAR:
        check_sidecar(content)
    else:
        check_sidecar(forged(good_sidecar(), content))


def index_of(savefile: bytes) -> Sidecar:
    """Its index; raises UnindexableError."""
    fd = os.memfd_create("savefile")
    try:
        os.write(fd, savefile)
        return build(fd, "savefile")
    finally:
        os.close(fd)


def check_savefile(content: bytes) -> None:
    """Hold an index against its savefile."""
    savefile = read_classic(content)
    try:
        sidecar = index_of(content)
    except UnindexableError:
        return
    assert savefile is not None
    check_packets(savefile, sidecar)
    written = sidecar.encode()
    read = Sidecar.from_bytes(written)
    assert read.blocks() == sidecar.blocks()
    assert read.classes() == sidecar.classes()
    assert read.encode() == written
    assert index_of(content).classes() == sidecar.classes()


def check_packets(savefile: Classic, sidecar: Sidecar) -> None:
    """Each packet that is indexed is of a class that its block has, and its time is within."""
    blocks = sidecar.blocks()
    known: list[list[tuple[bytes, bytes]]] = [[] for _ in blocks]
    for bits, mask, places in sidecar.classes():
        for place in places:
            known[place].append((bits, mask))
    offset, number, packets = 24, 0, 0
    for record in savefile.records:
        if offset >= sidecar.end_offset:
            break
        while offset >= blocks[number][0] + blocks[number][1]:
            number += 1
        packet = record.packet[: savefile.snapshot]
        assert any(fits(packet, *one) for one in known[number]), (offset, packet)
        stamp_ns = record.stamp_ns(nanosecond=savefile.nanosecond)
        assert blocks[number][3] <= stamp_ns <= blocks[number][4]
        offset += RECORD_HEADER_BYTES + record.caplen
        packets += 1
    assert offset == sidecar.end_offset
    assert packets == sidecar.packets


def fits(packet: bytes, known: bytes, mask: bytes) -> bool:
    """Whether a packet has all of the known bits, captured."""
    return len(packet) >= len(mask) and all(
        packet[i] & mask[i] == known[i] for i in range(len(mask))
    )


def check_sidecar(content: bytes) -> None:
    """Whatever is believed can be used."""
    try:
        sidecar = Sidecar.from_bytes(content)
    except SidecarError:
        return
    blocks = sidecar.blocks()
    assert sum(size for _, size, _, _, _ in blocks) + 24 == sidecar.end_offset
    try:
        classes = sidecar.classes()
    except SidecarError:  # postings are checked as they are read
        return
    assert all(place < len(blocks) for _, _, places in classes for place in places)
    again = Sidecar.from_bytes(sidecar.encode())
    assert again.blocks() == blocks
    assert again.classes() == classes


@cache
def good_sidecar() -> bytes:
    """A sidecar with prefixes and shapes of several forms."""
    from .index_seeds import good_savefile

    return index_of(good_savefile()).encode()


def members(sidecar: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each member: where its header is, its array's items, its end, and its directory entry."""
    at, headers = 0, []
    while sidecar[at : at + 4] == b"PK\x03\x04":
        size, name = struct.unpack_from("<I", sidecar, at + 22)[0], sidecar[at + 26]
        start = at + LOCAL_BYTES + name
        items = start + 10 + int.from_bytes(sidecar[start + 8 : start + 10], "little")
        headers.append((at, items, start + size, name))
        at = start + size
    for header, items, end, name in headers:
        yield header, items, end, at
        at += CENTRAL_BYTES + name


def forged(sidecar: bytes, changes: bytes) -> bytes:
    """Apply changes to items of its members, and make the checksums right."""
    data = bytearray(sidecar)
    places: Sequence[tuple[int, int, int, int]] = list(members(sidecar))
    for at in range(0, len(changes) - CHANGE.size + 1, CHANGE.size):
        which, place, value = CHANGE.unpack_from(changes, at)
        _, items, end, _ = places[which % len(places)]
        if end > items:
            data[items + place % (end - items)] = value
    for header, _, end, entry in places:
        start = header + LOCAL_BYTES + data[header + 26]
        crc = struct.pack("<I", zlib.crc32(data[start:end]))
        data[header + 14 : header + 18] = crc
        data[entry + 16 : entry + 20] = crc
    return bytes(data)
