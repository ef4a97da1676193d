"""What happened on streams, for consumers in Python: what `Collector.take` gives.

Each stream is told as StreamOpened, then Data and Gap in the order of its bytes, without an
overlap and without a hole between them, then StreamClosed. The first offset is 0, or negative
where bytes came before the one that offsets count from (flow.pxd) and none had been told yet.
Events of different streams come in the order in which they were complete. Values only: nothing
here reads or computes.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Why(IntEnum):
    """Why a stream was closed; numbered as in flow.pxd."""

    FIN = 1  # every byte up to the FIN was seen
    RST = 2
    REUSED = 3  # a SYN with another sequence number: a new connection of the same addresses
    SKIPPED = 4  # a jump of more than the limit: the segment begins another stream
    IDLE = 5
    EVICTED = 6  # a limit in flows or memory
    END = 7  # the input ended


class What(IntEnum):
    """What a `Noted` tells; up to VIOLATION numbered as `Event` in flow.pxd."""

    GAP = 1  # a segment begins behind the bytes received until now; it may be filled later
    FILLED = 2  # bytes that a gap lacked
    RETRANSMISSION = 3  # bytes received before
    KEEPALIVE = 4
    ZERO_WINDOW = 5
    VIOLATION = 6  # SYN with data, bytes before the SYN, bytes behind the FIN
    LATE = 7  # bytes that were told as a Gap before, or belong before the first byte told
    DIFFERS = 8  # bytes that came again as others, while they waited for those before them


class StreamInfo(NamedTuple):
    """One direction of a flow, as it was known when its first packet came."""

    number: int  # of streams, in order of their first packets; from 0
    session: int  # of flows: the streams of both directions have the same
    protocol: int  # IP protocol number
    source: str  # address, as inet_ntop writes it
    source_port: int
    destination: str
    destination_port: int
    to_server: bool
    guessed: bool  # no SYN told which side is the server
    syn: bool  # the beginning was seen
    vlans: tuple[int, ...]  # VLAN identifiers, outermost first
    first_ns: int  # since 1970


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The first packet of a stream came."""

    stream: StreamInfo


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of a stream."""

    stream: StreamInfo
    offset: int  # of the first one
    data: bytes
    time_ns: int  # when the first one could be read, with all before it


@dataclass(frozen=True, slots=True)
class Gap:
    """The next bytes of a stream were not captured, or came too late."""

    stream: StreamInfo
    offset: int
    count: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Datagram:
    """A packet of a protocol without streams, where the engine was asked to track these."""

    stream: StreamInfo
    data: bytes  # as far as captured
    length: int  # as sent
    time_ns: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that changes no byte, where the collector was asked for notes."""

    stream: StreamInfo
    what: What
    offset: int
    count: int  # bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Nothing more comes of a stream."""

    stream: StreamInfo
    why: Why
    end: int  # offset behind the last byte seen, whether all before it were or not
    packets: int  # those without data included
    last_ns: int  # time of the last packet


StreamEvent = StreamOpened | Data | Gap | Datagram | Noted | StreamClosed
