"""A capture of very many flows that are all open at once: what a flow table must hold.

Each flow is a SYN, its answer, and one segment with data from each side; none is ever closed, and
each of the four comes for all flows before the next one comes for any.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.conversations import ACK, PSH, SYN
from bench.load import EPOCH, FILE_HEADER, RECORD_HEADER, Load

MOST_FLOWS = 1 << 24
PAYLOAD_BYTES = 64
_BATCH = 100_000
_IP_AT = RECORD_HEADER + 14
_TCP_AT = _IP_AT + 20
_STEPS = ((0, SYN, 0, 0), (1, SYN | ACK, 0, 1), (0, PSH | ACK, 1, 1), (1, PSH | ACK, 1, 1))
"""(side, flags, what the sequence number grew by, what the acknowledged one did)"""


def write_half_open(path: Path, flows: int) -> Load:
    """Write a savefile of so many flows. Raises ValueError for more than 2^24."""
    if not 0 < flows <= MOST_FLOWS:
        raise ValueError(f"from 1 to {MOST_FLOWS} flows: {flows}")
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        for step in range(len(_STEPS)):
            for first in range(0, flows, _BATCH):
                numbers = np.arange(first, min(flows, first + _BATCH))
                file.write(_records(step, numbers, flows).data)
    return Load(path, len(_STEPS) * flows, path.stat().st_size)


def _records(step: int, numbers: npt.NDArray[np.int64], flows: int) -> npt.NDArray[np.uint8]:
    """Return one packet of each of these flows, a row each."""
    side, flags, grown, other_grown = _STEPS[step]
    template = np.frombuffer(_template(flags), np.uint8)
    data: npt.NDArray[np.uint8] = np.tile(template, (len(numbers), 1))
    times_us = (step * flows + numbers) * 2
    _put(data, 0, EPOCH + times_us // 1_000_000, 4, little=True)
    _put(data, 4, times_us % 1_000_000, 4, little=True)
    client = 0x0A000000 | numbers & 0xFFFFFF, 1024 + numbers % 50_000
    server = 0xAC100000 | numbers % 1000, np.full_like(numbers, 443)
    source, destination = (client, server) if side == 0 else (server, client)
    _put(data, _IP_AT + 12, source[0], 4)
    _put(data, _IP_AT + 16, destination[0], 4)
    _put(data, _TCP_AT, source[1], 2)
    _put(data, _TCP_AT + 2, destination[1], 2)
    _put(data, _TCP_AT + 4, numbers * 64 + side + grown, 4)
    if flags & ACK:
        _put(data, _TCP_AT + 8, numbers * 64 + (1 - side) + other_grown, 4)
    return data


def _template(flags: int) -> bytes:
    """Return a record without addresses, numbers and checksums."""
    payload = b"%-63s\n" % b"half open" if flags & PSH else b""
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0, 0, 0)
    tcp = struct.pack(">HHIIBBHHH", 0, 0, 0, 0, 5 << 4, flags, 64_240, 0, 0)
    frame = bytes.fromhex("02000000c00102000000c0020800") + ip + tcp + payload
    return struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame


def _put(
    data: npt.NDArray[np.uint8],
    column: int,
    values: npt.NDArray[Any],
    width: int,
    *,
    little: bool = False,
) -> None:
    """Store a value of each row as an unsigned integer of width bytes at the column."""
    for place in range(width):
        shift = 8 * (place if little else width - 1 - place)
        data[:, column + place] = (values >> shift) & 0xFF
