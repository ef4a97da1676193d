"""Deterministic packets whose payload carries their number, so order and loss are exact.

A frame is Ethernet, IPv4, UDP, then TAG and the packet's number. It is addressed to a station
that does not exist, so the receiving kernel never answers. Leaves sending to ``senders.py`` and
judging to ``records.py``.
"""

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TAG = b"DLAB"
TAG_OFFSET = 42  # Ethernet 14, IPv4 20, UDP 8
TAGGED_BYTES = TAG_OFFSET + len(TAG) + 8  # the least caplen that still shows the number
IMIX = (60, 590, 1514)
IMIX_SHARES = (58, 34, 8)
PORT = 5001
FIRST_NS = 1_700_000_000 * 10**9
STEP_US = 5  # 200,000 packets a second
FILLER = bytes(range(251)) * 7

_record_header = struct.Struct("<IIII").pack
_number = struct.Struct("<Q").pack


@dataclass(frozen=True)
class Load:
    """A savefile of numbered packets: 0, 1, 2, ... count - 1."""

    path: Path
    count: int


def sizes(count: int, *, choice: Sequence[int] = IMIX, shares: Sequence[int] = ()) -> list[int]:
    """Return the frame length of each packet, the same on every call."""
    weights = shares or (IMIX_SHARES if choice is IMIX else [1] * len(choice))
    return random.Random(20070410).choices(choice, weights, k=count)


def frame(number: int, size: int = 60, *, port: int = PORT) -> bytes:
    """Return one Ethernet frame of size bytes that carries the number."""
    return _head(size, port) + TAG + _number(number) + FILLER[: size - TAGGED_BYTES]


def frames(count: int) -> Iterator[bytes]:
    """Yield the frames of a load of count packets, in order."""
    yield from (frame(number, size) for number, size in enumerate(sizes(count)))


def write_load(path: Path, count: int, *, choice: Sequence[int] = IMIX) -> Load:
    """Write count packets, STEP_US apart, as a microsecond savefile."""
    heads = {size: _head(size, PORT) + TAG for size in choice}
    tails = {size: FILLER[: size - TAGGED_BYTES] for size in choice}
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        parts: list[bytes] = []
        for number, size in enumerate(sizes(count, choice=choice)):
            seconds, micro = divmod(number * STEP_US, 1_000_000)
            parts += (
                _record_header(FIRST_NS // 10**9 + seconds, micro, size, size),
                heads[size],
                _number(number),
                tails[size],
            )
            if len(parts) >= 40_000:
                out.write(b"".join(parts))
                parts.clear()
        out.write(b"".join(parts))
    return Load(path, count)


def _head(size: int, port: int) -> bytes:
    ethernet = bytes.fromhex("02000000000b02000000000a0800")
    addresses = bytes([192, 0, 2, 10, 192, 0, 2, 11])
    unsummed = struct.pack(">BBHHHBBH", 0x45, 0, size - 14, 0, 0x4000, 64, 17, 0) + addresses
    total = sum(struct.unpack(">10H", unsummed))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    internet = unsummed[:10] + struct.pack(">H", checksum) + unsummed[12:]
    return ethernet + internet + struct.pack(">HHHH", 40000, port, size - 34, 0)
