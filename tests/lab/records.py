"""Walks savefiles record by record and says what they hold; the lab's own judge.

Shares no code with the project, on purpose. Knows the classic pcap format, little-endian (what
a recorder on this machine writes), and the packet numbers that ``load.py`` puts into payloads.
"""

import mmap
import re
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .load import TAG, TAG_OFFSET, TAGGED_BYTES

FILE_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
MICROSECONDS = 0xA1B2C3D4
NANOSECONDS = 0xA1B23C4D

_record = struct.Struct("<IIII")
_numbered = struct.Struct(f"<IIII{TAG_OFFSET}x{len(TAG)}sQ")


class Record(NamedTuple):
    """One packet of a savefile."""

    time_ns: int
    caplen: int
    origlen: int
    data: bytes


@dataclass
class Walk:
    """What one savefile holds; ``damage`` is None for a file that is whole to its last byte."""

    path: Path
    size_bytes: int
    magic: int = 0
    snaplen: int = 0
    linktype: int = 0
    packets: int = 0
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    foreign: int = 0  # packets that are not the load's
    end_offset: int = FILE_HEADER_BYTES  # end of the last whole record
    last_record_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    damage: str | None = None


def walk(path: Path) -> Walk:
    """Check every header of a savefile; reads a million packets in about a second."""
    with path.open("rb") as handle:
        size = path.stat().st_size
        found = Walk(path, size)
        if size < FILE_HEADER_BYTES:
            found.damage = f"{size} bytes are no file header"
            return found
        with mmap.mmap(handle.fileno(), size, prot=mmap.PROT_READ) as data:
            _walk_header(found, data[:FILE_HEADER_BYTES])
            if found.damage is None:
                _walk_records(found, data)
    return found


def _walk_header(found: Walk, header: bytes) -> None:
    found.magic, major, minor, zone, sigfigs, found.snaplen, found.linktype = struct.unpack(
        "<IHHiIII", header
    )
    if found.magic not in (MICROSECONDS, NANOSECONDS):
        found.damage = f"magic {found.magic:x}"
    elif (major, minor, zone, sigfigs) != (2, 4, 0, 0):
        found.damage = f"file header {major}.{minor}, zone {zone}, sigfigs {sigfigs}"


def _walk_records(found: Walk, data: mmap.mmap) -> None:
    # One unpack a record: the loop runs a million times a test, so locals and no calls.
    size, snaplen = found.size_bytes, found.snaplen
    units = 10**9 if found.magic == NANOSECONDS else 10**6
    numbered, bare = _numbered.unpack_from, _record.unpack_from
    numbered_bytes, numbers = _numbered.size, found.numbers
    offset = FILE_HEADER_BYTES
    previous = offset
    first: tuple[int, int] | None = None
    seconds = fraction = packets = 0
    while offset < size:
        if size - offset < RECORD_HEADER_BYTES:
            found.damage = f"{size - offset} bytes of a record header at {offset}"
            break
        tag, number = b"", 0
        if size - offset >= numbered_bytes:
            seconds, fraction, caplen, origlen, tag, number = numbered(data, offset)
        else:
            seconds, fraction, caplen, origlen = bare(data, offset)
        if fraction >= units or caplen > snaplen or caplen > origlen:
            found.damage = f"record header {seconds}.{fraction} {caplen}/{origlen} at {offset}"
            break
        end = offset + RECORD_HEADER_BYTES + caplen
        if end > size:
            found.damage = f"{size - offset} of {end - offset} bytes of a record at {offset}"
            break
        if tag == TAG and caplen >= TAGGED_BYTES:
            numbers.append(number)
        else:
            found.foreign += 1
        if first is None:
            first = (seconds, fraction)
        packets += 1
        previous, offset = offset, end
    found.packets, found.end_offset, found.last_record_bytes = packets, offset, offset - previous
    if first is not None:
        scale = 10**9 // units
        found.first_ns = first[0] * 10**9 + first[1] * scale
        found.last_ns = seconds * 10**9 + fraction * scale


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a whole little-endian savefile one by one."""
    data = path.read_bytes()
    (magic,) = struct.unpack_from("<I", data)
    scale = {MICROSECONDS: 1000, NANOSECONDS: 1}[magic]
    offset = FILE_HEADER_BYTES
    while offset < len(data):
        seconds, fraction, caplen, origlen = _record.unpack_from(data, offset)
        offset += RECORD_HEADER_BYTES
        packet = data[offset : offset + caplen]
        assert len(packet) == caplen, f"{path}: the record that ends at {offset} is cut"
        yield Record(seconds * 10**9 + fraction * scale, caplen, origlen, packet)
        offset += caplen


def savefiles(directory: Path, prefix: str = "daemonlogger.pcap") -> list[Path]:
    """Return the regular files named PREFIX.EPOCH[.SERIAL], oldest first, as numbers order them."""
    grammar = re.compile(re.escape(prefix) + r"\.([0-9]+)(?:\.([0-9]+))?")
    found = []
    for path in directory.iterdir():
        match = grammar.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            found.append((int(match[1]), int(match[2] or 0), path))
    return [path for _, _, path in sorted(found)]


def bytes_in(directory: Path) -> int:
    """Return the bytes of all savefiles, the open one included; 0 while there is none."""
    return sum(path.stat().st_size for path in savefiles(directory))


def packets_in(directory: Path) -> int:
    """Return the whole records of all savefiles, the open one included."""
    return sum(walk(path).packets for path in savefiles(directory))


def walk_all(paths: Iterable[Path]) -> list[Walk]:
    """Walk several savefiles; each must be whole and hold the load's packets alone."""
    walks = [walk(path) for path in paths]
    damaged = [f"{w.path.name}: {w.damage}" for w in walks if w.damage]
    assert not damaged, damaged[:5]
    strangers = [f"{w.path.name}: {w.foreign} packets" for w in walks if w.foreign]
    assert not strangers, strangers[:5]
    return walks


def numbers_of(walks: Sequence[Walk]) -> "array[int]":
    """Return the packet numbers of several savefiles in their order."""
    joined = array("Q")
    for found in walks:
        joined.extend(found.numbers)
    return joined


def assert_run(numbers: "array[int]", first: int, last: int, *, period: int | None = None) -> None:
    """Assert that the numbers are first, first + 1, ... last: none lost, doubled or out of order.

    With period, the sender sent the numbers 0 .. period - 1 over and over.
    """
    expected = array("Q", range(first, last + 1))
    if period is not None:
        expected = array("Q", (number % period for number in expected))
    if numbers == expected:
        return
    differs = next(
        (i for i, (a, b) in enumerate(zip(numbers, expected, strict=False)) if a != b),
        min(len(numbers), len(expected)),
    )
    raise AssertionError(
        f"{len(numbers)} packets in the files, {len(expected)} expected; at {differs}: "
        f"{list(numbers[differs : differs + 3])} for {list(expected[differs : differs + 3])}"
    )


def assert_closed_at(walks: Sequence[Walk], limit_bytes: int, *, last: bool = False) -> None:
    """Assert that each file was closed by the record that passed the limit; the last if told."""
    for found in walks if last else walks[:-1]:
        over = found.size_bytes - limit_bytes
        assert 0 <= over < found.last_record_bytes, f"{found.path.name}: {over} bytes over"
