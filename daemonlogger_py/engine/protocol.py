"""The contract between the recorder's loop and a source of packets.

The loop is policy and knows sources only through this; `live` and `offline` are the native ones.
"""

from enum import IntEnum
from typing import NamedTuple, Protocol

from daemonlogger_py.engine.buffer import Buffer

NEVER_NS = (1 << 63) - 1
"""A time that is not reached: no time budget, no deadline."""


class Stop(IntEnum):
    """Why `Source.fill` came back. The values are shared with the native code (stop.pxd)."""

    FULL = 1  # the buffer may not hold one more record
    SIZE = 2  # the last record used up the byte budget
    PACKETS = 3  # the last record used up the packet budget
    TIME = 4  # the next record is stamped at or after the time budget; it is kept for later
    DEADLINE = 5  # the deadline or the longest hold has passed
    WAKE = 6  # the wake-up descriptor is readable
    END = 7  # nothing will come any more
    DAMAGED = 8  # the savefile is damaged here; what came before is whole
    FAILED = 9  # the source failed; `Source.failure` says how


class Counters(NamedTuple):
    """What became of packets before they reached a buffer; 64-bit, never wrapping."""

    received: int  # accepted by the filter and handed to a buffer
    dropped: int  # by the kernel, its capture buffer being full
    if_dropped: int  # by the interface or its driver


class Source(Protocol):
    """Where packets come from. Configured and opened by its constructor; no setters after."""

    linktype: int
    snaplen: int
    nanosecond: bool
    file_header: bytes  # the 24 bytes that begin each savefile of these packets
    live: bool
    failure: str | None  # after Stop.DAMAGED or Stop.FAILED: what happened, and where

    @property
    def next_ns(self) -> int | None:
        """Time of the record that Stop.TIME kept back, in ns since 1970."""

    @property
    def record_bytes(self) -> int:
        """Most bytes that one record takes in a buffer, header included."""

    def fill(
        self,
        buffer: Buffer,
        bytes_left: int,
        packets_left: int,
        until_ns: int,
        hold_ns: int,
        deadline_ns: int,
    ) -> int:
        """Append records to `buffer` until one of the reasons in `Stop`, which is returned.

        `bytes_left` and `packets_left` count what this call may add; the record that reaches a
        budget is the last one. `until_ns` (since 1970) is compared with the records' own time.
        A record waits at most `hold_ns` in the buffer for company; `deadline_ns` is absolute.
        Both are of CLOCK_MONOTONIC.
        """

    def counters(self) -> Counters:
        """Totals since the source was opened."""

    def refilter(self, text: str) -> None:
        """Replace the filter without losing a packet. Raises FilterError, keeping the old one."""

    def finish(self) -> None:
        """Take nothing new; `fill` hands out what was received until now, then Stop.END."""

    def close(self) -> None:
        """Free everything; may be called twice."""
