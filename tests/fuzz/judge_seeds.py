"""The first inputs of the judge's fuzzer: compiled filters beside frames, and small savefiles."""

import struct
from collections.abc import Iterator

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError

from . import flow_seeds, seeds
from .judge_target import FILTERS, TAIL_BYTES

MASKS = {
    "all": (b"\xff", 0, 0),
    "addresses": (b"\xff", 26, 34),
    "half": (b"\xf0", 0, 0),
    "nothing": (b"\0", 0, 0),
}
DICTIONARY = {
    f"code_{code:02x}": struct.pack("=H", code)
    for code in (
        0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xB1, 0x02, 0x03,
        0x04, 0x0C, 0x14, 0x24, 0x34, 0x3C, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xA4, 0x05, 0x15,
        0x1D, 0x25, 0x35, 0x45, 0x06, 0x16, 0x07, 0x87,
    )
} | {
    "ethertype": struct.pack("=I", 0x0800),
    "far": struct.pack("=I", 0xFFFFF000),
    "minus": struct.pack("=I", 0xFFFFFFFF),
    "half_way": struct.pack("=I", 0x80000000),
}  # fmt: skip


def tail(
    *,
    savefile: bool = False,
    instructions: int = 0,
    known_bytes: int = 0,
    prefix_bytes: int = 0,
    fill: int = 0,
    origlen: int = 60,
    filter_number: int = 0,
) -> bytes:
    """Numbers of judge_target.py."""
    numbers = (savefile, instructions, known_bytes, prefix_bytes, fill, origlen & 255, origlen >> 8)
    return bytes([*numbers, filter_number]).rjust(TAIL_BYTES, b"\0")


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name."""
    for number, text in enumerate(FILTERS):
        try:
            code = compile_for(1, 262144, text).code
        except FilterError:
            continue
        for name, (mask, begin, end) in MASKS.items():
            frame = seeds.PACKETS[number % len(seeds.PACKETS)][:60]
            count = len(frame)
            known = frame + bytes(begin) + mask * ((end or count) - begin)
            yield (
                f"filter-{number}-{name}",
                code
                + known.ljust(2 * count, b"\0")[: 2 * count]
                + tail(instructions=len(code) // 8, known_bytes=count, prefix_bytes=14, fill=9),
            )
    for number, (name, savefile) in enumerate(savefiles()):
        for further in range(3):
            which = (number + 5 * further) % len(FILTERS)
            yield f"{name}-{further}", savefile + tail(savefile=True, filter_number=which)
    yield "empty", b""


def savefiles() -> Iterator[tuple[str, bytes]]:
    """Classic savefiles of packets of every kind that the flow engine's seeds have."""
    for order in "<>":
        yield f"classic-{order}", seeds.classic(seeds.MICROSECONDS, order)
    for name, packets in flow_seeds.conversations():
        written = [seeds.classic(seeds.MICROSECONDS, "<")[:24]]
        for at, packet in enumerate(packets):
            frame = flow_seeds.ethernet(packet)[: flow_seeds.LONGEST_BYTES]
            written.append(struct.pack("<IIII", 1 + at, 0, len(frame), len(frame)) + frame)
        yield name, b"".join(written)
