"""How the flow engine is driven with one input: frames, and numbers from the input's last bytes.

Frames are framed loosely, so that whatever a fuzzer does to the bytes is a sequence of frames
again. What the values lead to is flow_target.py's affair.
"""

import struct
from dataclasses import dataclass

from .trial import NEVER_NS, SECOND_NS, pick

TAIL_BYTES = 12
FRAME_HEADER = struct.Struct("<HBB")  # caplen, flags, what happens between this frame and the last
EPOCH_NS = 1_700_000_000 * SECOND_NS

# Of a frame's flags.
ENDS_FEED = 1
SHORTER = 2  # fewer bytes are said to have been sent than were captured
LONGER = 0xF0  # times 100 bytes that were not captured

# The first is what most captures have; each that is decoded is there, and one that is not.
LINKTYPES = (
    1, 1, 1, 1, 0, 6, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 192, 204, 228, 229,
    276, 147,
)  # fmt: skip
SINKS = ("collector", "report", "files", "several", "collector", "files", "packets")
TIME_STEPS_NS = (0, 1000, 1_000_000, SECOND_NS, 40 * SECOND_NS, 300 * SECOND_NS, -SECOND_NS)
MAX_FLOWS = (1000, 1, 2, 3)
MEMORY_BYTES = (1 << 30, 1, 2000, 20_000)
SKIP_BYTES = (1 << 16, 0, 1, 1000)  # what files hold in between is sparse, but not all of it
IDLE_NS = (0, SECOND_NS, 60 * SECOND_NS)
SPANS_NS = ((0, NEVER_NS), (EPOCH_NS + SECOND_NS, NEVER_NS), (0, EPOCH_NS + 30 * SECOND_NS), (9, 9))
HELD_BYTES = (1 << 22, 1, 200, 5000)
EVENT_BYTES = (65_536, 1, 100)
MAX_BYTES = (None, 0, 1, 1000)


@dataclass(frozen=True, slots=True)
class FlowTrial:
    """Frames in several feeds, and the engine and sink they are fed to."""

    feeds: tuple[tuple[bytes, ...], ...]  # records as in a savefile of this machine
    linktypes: tuple[int, int]  # of feeds in turn
    nanosecond: bool
    tunnels: bool
    datagrams: bool
    purge: bool
    only_known: bool  # every third feed adds to what others began
    apart: bool  # each record in memory of its own, where a read beyond it is seen
    last_wins: bool
    findx: bool
    prompt: bool
    sink: str
    max_flows: int
    memory_bytes: int
    skip_bytes: int
    idle_ns: int
    span_ns: tuple[int, int]
    stream_bytes: int
    held_bytes: int
    event_bytes: int
    max_bytes: int | None
    max_open: int

    @classmethod
    def of(cls, data: bytes) -> "FlowTrial":
        """Take an input apart; whatever is too short has nothing but the tail."""
        tail = data[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
        nanosecond = bool(tail[2] & 1)
        return cls(
            feeds=feeds_of(data[:-TAIL_BYTES], nanosecond=nanosecond),
            linktypes=(pick(LINKTYPES, tail[0]), pick(LINKTYPES, tail[1])),
            nanosecond=nanosecond,
            tunnels=bool(tail[2] & 2),
            datagrams=bool(tail[2] & 4),
            purge=not tail[2] & 8,
            only_known=bool(tail[2] & 16),
            apart=not tail[2] & 32,
            last_wins=not tail[2] & 64,
            findx=bool(tail[2] & 128),
            prompt=bool(tail[3] & 128),
            sink=pick(SINKS, tail[3] & 127),
            max_flows=pick(MAX_FLOWS, tail[4]),
            memory_bytes=pick(MEMORY_BYTES, tail[5]),
            skip_bytes=pick(SKIP_BYTES, tail[6]),
            idle_ns=pick(IDLE_NS, tail[7]),
            span_ns=pick(SPANS_NS, tail[8]),
            stream_bytes=pick(HELD_BYTES, tail[9]),
            held_bytes=pick(HELD_BYTES, tail[9] >> 4),
            event_bytes=pick(EVENT_BYTES, tail[10]),
            max_bytes=pick(MAX_BYTES, tail[11]),
            max_open=1 + (tail[11] >> 4),
        )


def feeds_of(body: bytes, *, nanosecond: bool) -> tuple[tuple[bytes, ...], ...]:
    """Read the frames as records, feed by feed."""
    feeds: list[tuple[bytes, ...]] = []
    records: list[bytes] = []
    time_ns = EPOCH_NS
    at = 0
    while len(body) - at > FRAME_HEADER.size:
        caplen, flags, step = FRAME_HEADER.unpack_from(body, at)
        at += FRAME_HEADER.size
        frame = body[at : at + caplen]
        at += len(frame)
        time_ns += pick(TIME_STEPS_NS, step)
        origlen = len(frame) + 100 * ((flags & LONGER) >> 4)
        if flags & SHORTER:
            origlen = len(frame) // 2
        fraction = time_ns % SECOND_NS // (1 if nanosecond else 1000)
        header = struct.pack("=IIII", time_ns // SECOND_NS, fraction, len(frame), origlen)
        records.append(header + frame)
        if flags & ENDS_FEED:
            feeds.append(tuple(records))
            records = []
    return (*feeds, tuple(records))


def framed(frames: list[bytes], flags: int = 0, step: int = 2) -> bytes:
    """Frames as an input has them."""
    return b"".join(FRAME_HEADER.pack(len(frame), flags, step) + frame for frame in frames)
