"""What must be true of every salvage of a damaged savefile.

An input is a savefile, damaged as it may be; or damage of a savefile that is known. What is
salvaged are whole records, and a savefile made of them is whole. Damage that only destroys costs no
record that it does not touch; damage that makes up records none that lies before it, but the last.
"""

import os
import random
import struct
from dataclasses import dataclass
from functools import cache

from daemonlogger_py.savefile.records import walk
from daemonlogger_py.savefile.salvage import Range, Salvage, salvage

from .model import (
    FILE_HEADER_BYTES,
    MICROSECONDS,
    MODIFIED,
    NANOSECONDS,
    RECORD_HEADER_BYTES,
    in_order,
    max_caplen,
    read_classic,
    read_records,
)
from .trial import pick

TAIL_BYTES = 8
SAVEFILE, BY_HEADER, WRITTEN_OVER, FILLED, FLIPPED, CUT_OUT, PUT_IN = range(7)
KINDS = 7
FILLS = (b"\0", b"\xff")
SIZES_BYTES = (61, 1507, 0, 594, 75, 67, 1499, 54, 98, 1, 342, 90)
RECORDS = 30
SECONDS = 1_700_000_000


@dataclass(frozen=True, slots=True)
class SalvageTrial:
    """One input taken apart."""

    content: bytes
    kind: int
    at: int
    count: int
    value: int
    base: int

    @classmethod
    def of(cls, data: bytes) -> "SalvageTrial":
        """Whatever is too short has nothing but the tail."""
        tail = data[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
        kind, at, count, value, base = struct.unpack("<BHHBBx", tail)
        return cls(data[:-TAIL_BYTES], kind % KINDS, at, count, value, base)


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`."""
    trial = SalvageTrial.of(data)
    if trial.kind == SAVEFILE:
        check_savefile(trial.content)
    elif trial.kind == BY_HEADER:
        check_by_header(trial.content, headers()[trial.base % len(headers())])
    else:
        check_damage(trial)


def salvaged(content: bytes, file_header: bytes | None = None) -> Salvage | None:
    """What is found in a savefile, each time."""
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        found = salvage(fd, file_header)
        assert salvage(fd, file_header) == found
    finally:
        os.close(fd)
    return found


def check_savefile(content: bytes) -> None:
    """Records are whole, in order, and all of those of a savefile that is not damaged."""
    savefile = read_classic(content)
    found = salvaged(content)
    order = order_of(content)
    if savefile is None or order is None:
        assert found is None
        return
    assert found is not None
    check_ranges(content, found, order, savefile.linktype, savefile.version)
    if savefile.whole and not any(record.zero for record in savefile.records):
        count = len(savefile.records)
        assert found.ranges == ([Range(FILE_HEADER_BYTES, len(content), count)] if count else [])
    check_rewritten(content, content[:FILE_HEADER_BYTES], found)


def check_by_header(content: bytes, header: bytes) -> None:
    """The same of one that is read by the header of another."""
    found = salvaged(content, header)
    order = order_of(header)
    assert found is not None
    assert order is not None
    check_ranges(content, found, order, linktype=1)
    check_rewritten(content, header, found)


def check_ranges(
    content: bytes,
    found: Salvage,
    order: str,
    linktype: int,
    version: tuple[int, int] = (2, 4),
) -> None:
    """Ranges are of whole records that a reader would take, and follow each other."""
    assert found.size_bytes == len(content)
    assert found.complete
    limit = max_caplen(linktype)
    before = FILE_HEADER_BYTES
    for begin, end, packets in found.ranges:
        assert before <= begin < end <= len(content)
        at, count = begin, 0
        while at < end:
            header = content[at : at + RECORD_HEADER_BYTES]
            assert any(header)
            caplen = in_order(*struct.unpack(f"{order}8xII", header), version)[0]
            assert caplen <= limit
            at += RECORD_HEADER_BYTES + caplen
            count += 1
        assert (at, count) == (end, packets)
        before = end


def check_rewritten(content: bytes, header: bytes, found: Salvage) -> None:
    """What a repair makes of it is whole, and nothing is left to be repaired."""
    made = header + b"".join(content[one.begin : one.end] for one in found.ranges)
    packets = sum(one.packets for one in found.ranges)
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    try:
        os.write(fd, made)
        walked = walk(fd)
    finally:
        os.close(fd)
    assert (walked.damage, walked.packets, walked.end_offset) == (None, packets, len(made))
    assert salvaged(made) == Salvage(
        [Range(FILE_HEADER_BYTES, len(made), packets)] if packets else [], len(made), True
    )


def check_damage(trial: SalvageTrial) -> None:
    """Records that damage does not touch stay."""
    order, whole = known()[trial.base % len(known())]
    starts = starts_of(whole, order)
    at = FILE_HEADER_BYTES + trial.at % (len(whole) - FILE_HEADER_BYTES)
    count = min(trial.count, len(whole) - at)
    longer = 0
    damaged = bytearray(whole)
    if trial.kind == WRITTEN_OVER:
        damaged[at : at + len(trial.content)] = trial.content
        count = len(trial.content)
    elif trial.kind == FILLED:
        damaged[at : at + count] = pick(FILLS, trial.value) * count
    elif trial.kind == FLIPPED:
        count = 1
        damaged[at] ^= 1 << (trial.value & 7)
    elif trial.kind == PUT_IN:
        longer, count = count, 0
        damaged[at:at] = pick(FILLS, trial.value) * longer
    else:
        del damaged[at : at + count]
    content = bytes(damaged)
    found = salvaged(content)
    assert found is not None
    check_ranges(content, found, order, linktype=1)
    check_rewritten(content, content[:FILE_HEADER_BYTES], found)
    kept = {begin for one in found.ranges for begin in range_starts(content, order, one)}
    before = [begin for begin, end in starts if end <= at]
    assert kept.issuperset(before[:-1]), (at, count)
    savefile = read_classic(content)
    # A length may have become that of several records: nobody can see that.
    unseen = savefile is not None and savefile.whole
    if trial.kind in (WRITTEN_OVER, CUT_OUT) or unseen:
        return
    if trial.kind == PUT_IN and not before:
        return  # what the first record seems to be is what others are measured by
    behind = [begin + longer for begin, _ in starts if begin >= at + count]
    assert kept.issuperset(before + behind), (at, count)


def range_starts(content: bytes, order: str, one: Range) -> list[int]:
    """Where its records begin."""
    starts, at = [], one.begin
    while at < one.end:
        starts.append(at)
        at += RECORD_HEADER_BYTES + struct.unpack_from(f"{order}I", content, at + 8)[0]
    return starts


def starts_of(savefile: bytes, order: str) -> list[tuple[int, int]]:
    """Where each record of a whole savefile begins and ends."""
    places, at = [], FILE_HEADER_BYTES
    for record in read_records(savefile, order, max_caplen(1))[0]:
        end = at + RECORD_HEADER_BYTES + record.caplen
        places.append((at, end))
        at = end
    return places


def order_of(content: bytes) -> str | None:
    """The byte order of a savefile that is read; None: it is not one, or a modified one."""
    for order in "<>":
        if len(content) >= FILE_HEADER_BYTES:
            magic = struct.unpack_from(f"{order}I", content)[0]
            if magic in (MICROSECONDS, NANOSECONDS):
                return order
            if magic == MODIFIED:
                return None
    return None


@cache
def headers() -> list[bytes]:
    """Headers of savefiles."""
    return [
        struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, 1)
        for order in "<>"
        for magic in (MICROSECONDS, NANOSECONDS)
        for snaplen in (0, 65_535)
    ]


@cache
def known() -> list[tuple[str, bytes]]:
    """Byte order and content of whole savefiles, as recorders write them."""
    made = []
    for number, header in enumerate(headers()):
        dice = random.Random(number)
        order = order_of(header) or "<"
        written = [header]
        for at in range(RECORDS):
            size = SIZES_BYTES[(at + number) % len(SIZES_BYTES)]
            stamp = struct.pack(f"{order}IIII", SECONDS + at // 3, at, size, size)
            written += [stamp, dice.randbytes(size) if at % 2 else bytes(size)]
        made.append((order, b"".join(written)))
    return made
