"""The first inputs of salvage's fuzzer: savefiles of every kind, whole and damaged."""

import struct
from collections.abc import Iterator

from . import seeds
from .salvage_target import (
    BY_HEADER,
    CUT_OUT,
    FILLED,
    FLIPPED,
    PUT_IN,
    SAVEFILE,
    SECONDS,
    WRITTEN_OVER,
    headers,
    known,
)

DICTIONARY = {
    f"{name}{swapped}": struct.pack(f"{order}{layout}", *values)
    for order, swapped in (("<", ""), (">", "_swapped"))
    for name, layout, values in (
        ("microseconds", "I", (0xA1B2C3D4,)),
        ("nanoseconds", "I", (0xA1B23C4D,)),
        ("seconds", "I", (SECONDS,)),
        ("next_day", "I", (SECONDS + 86_400,)),
        ("empty_record", "IIII", (SECONDS, 1, 0, 0)),
        ("record", "IIII", (SECONDS, 1, 16, 16)),
        ("largest", "I", (262_144,)),
        ("too_large", "I", (262_145,)),
        ("fraction", "I", (999_999,)),
    )
}


def tail(kind: int, at: int = 0, count: int = 0, value: int = 0, base: int = 0) -> bytes:
    """Numbers of salvage_target.py."""
    return struct.pack("<BHHBBx", kind, at, count, value, base)


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name."""
    for name, capture in seeds.captures():
        yield name, capture + tail(SAVEFILE)
    for number, (order, whole) in enumerate(known()):
        part = whole[:3000]
        yield f"known-{number}", part + tail(SAVEFILE)
        torn = part[:700] + b"\xff" * 20 + part[720:]
        yield f"torn-{number}", torn + tail(SAVEFILE)
        yield f"by-header-{number}", bytes(24) + part[24:] + tail(BY_HEADER, base=number)
        made_up = struct.pack(f"{order}IIII", SECONDS, 1, 4, 4) + b"abcd"
        yield f"made-up-{number}", made_up * 7 + tail(WRITTEN_OVER, at=500, base=number)
        for at in (0, 8, 11, 90, 1700):
            yield f"filled-{number}-{at}", tail(FILLED, at, 40, number, number)
            yield f"flipped-{number}-{at}", tail(FLIPPED, at, 0, at & 7, number)
            yield f"put-in-{number}-{at}", tail(PUT_IN, at, 1, number, number)
            yield f"cut-out-{number}-{at}", tail(CUT_OUT, at, 300, 0, number)
    chain = struct.pack("<IIII", SECONDS, 1, 0, 0)
    yield "many", headers()[0] + (chain * 6 + b"\xff" * 9) * 100 + tail(SAVEFILE)
    yield "empty", b""
