"""How the code is driven with one input: a savefile, and numbers from the input's last bytes.

A fuzzer changes these bytes as any others, and so finds the buffers, budgets and filters for
which a savefile is troublesome. What the values lead to is target.py's affair.
"""

from dataclasses import dataclass
from typing import TypeVar

from .model import FAR_BYTE, SHORT

Choice = TypeVar("Choice")

TAIL_BYTES = 16
NEVER_NS = (1 << 63) - 1
SECOND_NS = 1_000_000_000

# The smallest hold less than one read, all but the last less than the longest ordinary record. The
# last is the recorder's own; the first is what costs least.
CAPACITIES = (65_536, 4096, 16_384, 69_632, 131_072, 262_144, 524_304)
BYTE_BUDGETS = (NEVER_NS, 1, 17, 100, 1500, 70_000)
PACKET_BUDGETS = (NEVER_NS, 1, 2, 3, 17)
TIME_STEPS_NS = (0, 1, 1000, SECOND_NS, 3600 * SECOND_NS)  # 0: no time budget
SNAPLENS = (0, 1, 14, 64, 262_144)
STRETCHES = (*(0,) * 10, 1000, 65_520, 200_000, 300_000, 600_000, 1_048_552)
FILTERS = (
    "",
    SHORT,
    FAR_BYTE,
    "tcp",
    "udp port 53 or vlan",
    "ip6 proto 17",
    "link[0] & 1 = 0",
    "ip[2:2] > 576 and len - 14 > ip[2:2]",
    "not",
)
SOURCES = ("file", "file", "file", "file", "chunks", "file", "late", "file")


@dataclass(frozen=True, slots=True)
class Trial:
    """One savefile and the way it is recorded."""

    savefile: bytes
    capacity: int  # of the buffer, at first
    bytes_left: int  # budgets of each fill
    packets_left: int
    time_step_ns: int
    snaplen: int
    nanosecond: bool
    clear_always: bool  # else a buffer is filled until it is full
    lead: bool  # the file header goes before the records, as into a recorder's first buffer
    many_buffers: bool  # a new buffer after each that is emptied, else one for all
    filter: str
    second_filter: str
    refilter_at: int  # before which fill; 0: never
    finish_at: int
    wake_at: int
    source: str  # "file"; "chunks": a pipe with all of it; "late": a pipe that is filled slowly
    chunk_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "Trial":
        """Take an input apart; whatever is too short has nothing but the tail."""
        tail = data[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
        return cls(
            savefile=stretch(data[:-TAIL_BYTES], tail[0], tail[1] | tail[2] << 8),
            capacity=pick(CAPACITIES, tail[3]),
            bytes_left=pick(BYTE_BUDGETS, tail[4]),
            packets_left=pick(PACKET_BUDGETS, tail[5]),
            time_step_ns=pick(TIME_STEPS_NS, tail[6]),
            snaplen=pick(SNAPLENS, tail[7]),
            nanosecond=bool(tail[8] & 1),
            clear_always=bool(tail[8] & 2),
            lead=bool(tail[8] & 4),
            many_buffers=bool(tail[8] & 8),
            filter=pick(FILTERS, tail[9]),
            second_filter=pick(FILTERS, tail[10]),
            refilter_at=tail[11] % 16,
            finish_at=tail[12] % 16,
            wake_at=tail[13] % 16,
            source=pick(SOURCES, tail[14]),
            chunk_bytes=1 + tail[15] * 5,
        )


def pick(choices: tuple[Choice, ...], value: int) -> Choice:
    """Choose by a byte."""
    return choices[value % len(choices)]


def stretch(savefile: bytes, value: int, at: int) -> bytes:
    """Put bytes into a savefile, so that a short input can hold the longest records."""
    at = min(at, len(savefile))
    return savefile[:at] + bytes([value | 1]) * pick(STRETCHES, value) + savefile[at:]
