"""A capture of complete HTTP conversations, and the truth about each stream and body in it.

The capture is streamed to disk, so that it may be of any size; every flow repeats one of a few
plans of conversations.py with addresses, ports, sequence numbers, times and a token of its own.
Checksums are right. What a row makes of it is left to rows/.
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.conversations import ACK, CLIENT, RST, SERVER, SYN, TOKEN, Dice, Plan, Traffic, plan
from bench.load import EPOCH, FILE_HEADER, RECORD_HEADER

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]

PLANS = 64
_FLUSHED_BYTES = 32 << 20
_LEAST_FRAME = 60
_WORD = 0xFFFF
_SYN_OPTIONS = bytes.fromhex("020405b40402080a000000000000000001030307")
_OPTIONS = bytes.fromhex("0101080a0000000000000000")
_SYN_TIME_AT, _TIME_AT = 8, 4
_WINDOW = 64_240
_MAC = (bytes.fromhex("02000000c001"), bytes.fromhex("02000000c002"))


class StreamTruth(NamedTuple):
    """What one side of one flow said."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    size_bytes: int
    md5: str

    @property
    def file_name(self) -> str:
        """Return the name that tcpflow's default template gives it."""
        ends = (self.source, self.source_port), (self.destination, self.destination_port)
        return "-".join(f"{_padded(address)}.{port:05}" for address, port in ends)


class BodyTruth(NamedTuple):
    """A decoded body; number counts the messages of its stream, from 1."""

    stream: StreamTruth
    number: int
    size_bytes: int
    md5: str
    content_type: str
    encoding: str
    is_request: bool


@dataclass(slots=True)
class Capture:
    """A savefile on disk, with the truth about it."""

    path: Path
    packets: int = 0
    file_bytes: int = 0
    streams: list[StreamTruth] = field(default_factory=list)
    bodies: list[BodyTruth] = field(default_factory=list)


def write_capture(
    path: Path, total_bytes: int, traffic: Traffic | None = None, *, plans: int = PLANS
) -> Capture:
    """Write conversations to path until the file has total_bytes or a few more."""
    traffic = traffic or Traffic()
    cast = [_Cast(plan(number, traffic), traffic) for number in range(plans)]
    apart_us = max(1, sum(one.duration_us for one in cast) // plans // traffic.active)
    made = Capture(path, file_bytes=len(FILE_HEADER))
    waiting = _Waiting()
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        number = 0
        while made.file_bytes < total_bytes:
            begin_us = EPOCH * 1_000_000 + number * apart_us
            if waiting.size_bytes > _FLUSHED_BYTES:
                file.writelines(waiting.taken(before_us=begin_us))
            flow = cast[number % plans].flow(number, begin_us)
            waiting.add(flow.times_us, flow.records)
            made.packets += len(flow.records)
            made.file_bytes += sum(len(record) for record in flow.records)
            made.streams += flow.streams
            made.bodies += flow.bodies
            number += 1
        file.writelines(waiting.taken())
    return made


class _Waiting:
    """Packets of flows that go on at the same time, until they are written in order of time."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._times: list[Index] = []
        self._records: list[memoryview] = []

    def add(self, times_us: Index, records: list[memoryview]) -> None:
        self._times.append(times_us)
        self._records += records
        self.size_bytes += sum(len(record) for record in records)

    def taken(self, before_us: int | None = None) -> list[memoryview]:
        """Take out what came before that time, in order."""
        times: Index = np.concatenate(self._times) if self._times else np.zeros(0, np.int64)
        order = np.argsort(times, kind="stable")
        count = len(order)
        if before_us is not None:
            count = int(np.searchsorted(times[order], before_us))
        given = [self._records[place] for place in order[:count].tolist()]
        kept = np.sort(order[count:])
        self._times = [times[kept]]
        self._records = [self._records[place] for place in kept.tolist()]
        self.size_bytes = sum(len(record) for record in self._records)
        return given


class _Flow(NamedTuple):
    times_us: Index
    records: list[memoryview]
    streams: list[StreamTruth]
    bodies: list[BodyTruth]


class _Cast:
    """A plan as it is performed by flow after flow."""

    def __init__(self, script: Plan, traffic: Traffic) -> None:
        self._plan, self._traffic = script, traffic
        self._shapes: dict[int, _Shape] = {}
        self._delays_us = np.cumsum([one.delay_us for one in script.segments]).astype(np.int64)
        self.duration_us = int(self._delays_us[-1])

    def flow(self, number: int, begin_us: int) -> _Flow:
        """Perform the plan as this flow."""
        dice = Dice(self._traffic.seed * 7919 + number)
        version = 6 if dice.below(100) < self._traffic.ipv6_percent else 4
        if version not in self._shapes:
            self._shapes[version] = _Shape(self._plan, version, padded=self._traffic.padded)
        addresses = _addresses(version, number, dice)
        # Apart enough that only the streams meant to wrap do.
        isn = [dice.below((1 << 32) - (1 << 25)) for _ in (CLIENT, SERVER)]
        if dice.below(100) < self._traffic.wrapping_percent:
            isn[SERVER] = (1 << 32) - 1 - dice.below(20_000)
        ports = 1024 + number % 60_013, 8080 if number % 4 == 3 else 80
        times_us = begin_us + self._delays_us
        records = self._shapes[version].records(number, times_us, addresses, ports, isn)
        streams = self._truth(number, addresses, ports)
        return _Flow(times_us, records, [truth for truth, _ in streams], self._bodies(streams))

    def _truth(
        self, number: int, addresses: tuple[bytes, bytes], ports: tuple[int, int]
    ) -> list[tuple[StreamTruth, bytes]]:
        names = [str(ipaddress.ip_address(address)) for address in addresses]
        found = []
        for side, said in enumerate(self._plan.streams):
            said = said.replace(TOKEN, b"%010d" % number)
            ends = (names[side], ports[side], names[1 - side], ports[1 - side])
            digest = hashlib.md5(said, usedforsecurity=False).hexdigest()
            found.append((StreamTruth(*ends, len(said), digest), said))
        return found

    def _bodies(self, streams: list[tuple[StreamTruth, bytes]]) -> list[BodyTruth]:
        found = []
        for body in self._plan.bodies:
            truth, said = streams[body.side]
            digest = body.md5
            if not digest:
                form = said[body.offset : body.offset + body.size_bytes]
                digest = hashlib.md5(form, usedforsecurity=False).hexdigest()
            about = body.content_type, body.encoding, body.side == CLIENT
            found.append(BodyTruth(truth, body.number, body.size_bytes, digest, *about))
        return found


def _addresses(version: int, number: int, dice: Dice) -> tuple[bytes, bytes]:
    """Return client and server: with the client's port, no pair occurs twice in 15 million."""
    client, server = number % 251 + 1, dice.below(60) + 1
    if version == 4:
        return bytes([10, 9, 8, client]), bytes([172, 16, 5, server])
    prefix = bytes.fromhex("20010db8")
    return prefix + struct.pack(">HQH", 1, 0, client), prefix + struct.pack(">HQH", 2, 0, server)


class _Shape:
    """The records of a plan in one IP version, and the columns that differ from flow to flow."""

    def __init__(self, script: Plan, version: int, *, padded: bool) -> None:
        self._version = version
        self._ip_at = RECORD_HEADER + 14
        self._tcp_at = self._ip_at + (20 if version == 4 else 40)
        frames = [_frame(script, place, version, padded) for place in range(len(script.segments))]
        self._template: Bytes = np.frombuffer(b"".join(frame.record for frame in frames), np.uint8)
        lengths = np.array([len(frame.record) for frame in frames], np.int64)
        self._ends = np.cumsum(lengths)
        self._starts: Index = self._ends - lengths
        self._tcp_sums = np.array([frame.tcp_sum for frame in frames], np.int64)
        self._time_at = np.array([frame.time_at for frame in frames], np.int64)
        self._identification = np.arange(len(frames), dtype=np.int64)
        self._total_lengths = np.array([frame.ip_bytes for frame in frames], np.int64)
        segments = script.segments
        self._sides = np.array([one.side for one in segments], np.int64)
        self._offsets = np.array([one.offset for one in segments], np.int64)
        self._acknowledged = np.array([one.acknowledged for one in segments], np.int64)
        self._acks = np.array([bool(one.flags & ACK) for one in segments])
        self._slices = list(zip(self._starts.tolist(), self._ends.tolist(), strict=True))
        self._find_tokens(frames)

    def _find_tokens(self, frames: list[_Frame]) -> None:
        """Note where the digits of tokens are: a segment may hold a part of one."""
        packet, column, digit, weight = [], [], [], []
        for place, frame in enumerate(frames):
            for at, which in frame.digits:
                packet.append(place)
                column.append(int(self._starts[place]) + frame.payload_at + at)
                digit.append(which)
                weight.append(1 if at % 2 else 256)
        self._token_packet = np.array(packet, np.int64)
        self._token_column = np.array(column, np.int64)
        self._token_digit = np.array(digit, np.int64)
        self._token_weight = np.array(weight, np.int64)

    def records(
        self,
        number: int,
        times_us: Index,
        addresses: tuple[bytes, bytes],
        ports: tuple[int, int],
        isn: list[int],
    ) -> list[memoryview]:
        """Return the records of one flow, one after the other."""
        data = self._template.copy()
        digits = np.frombuffer(b"%010d" % number, np.uint8).astype(np.int64) - 48
        here = digits[self._token_digit]
        data[self._token_column] += here.astype(np.uint8)
        sums = self._tcp_sums + np.bincount(
            self._token_packet, here * self._token_weight, len(self._starts)
        ).astype(np.int64)
        _put(data, self._starts, times_us // 1_000_000, 4, little=True)
        _put(data, self._starts + 4, times_us % 1_000_000, 4, little=True)
        tcp = self._starts + self._tcp_at
        ports_of, isn_of = np.array(ports), np.array(isn)
        _put(data, tcp, ports_of[self._sides], 2)
        _put(data, tcp + 2, ports_of[1 - self._sides], 2)
        sequence = (isn_of[self._sides] + 1 + self._offsets) & 0xFFFFFFFF
        other = (isn_of[1 - self._sides] + 1 + self._acknowledged) & 0xFFFFFFFF
        acknowledged = np.where(self._acks, other, 0)
        _put(data, tcp + 4, sequence, 4)
        _put(data, tcp + 8, acknowledged, 4)
        sums += sum(ports) + _halves(sequence) + _halves(acknowledged)
        sums += self._stamp(data, tcp, times_us)
        sums += self._address(data, number, addresses)
        _put(data, tcp + 16, _folded(sums), 2)
        view = memoryview(data)
        return [view[begin:end] for begin, end in self._slices]

    def _stamp(self, data: Bytes, tcp: Index, times_us: Index) -> Index:
        """Fill in TCP time stamps; return what they add to the checksums."""
        stamped = self._time_at > 0
        if not stamped.any():
            return np.zeros(len(tcp), np.int64)
        clock = (times_us // 1000) & 0xFFFFFFFF
        _put(data, tcp + 20 + self._time_at, clock, 4)
        return _halves(clock)

    def _address(self, data: Bytes, number: int, addresses: tuple[bytes, bytes]) -> int:
        """Fill in the IP headers; return what the addresses add to the TCP checksums."""
        ip = self._starts + self._ip_at
        at, width = (12, 4) if self._version == 4 else (8, 16)
        rows = np.frombuffer(b"".join(addresses), np.uint8).reshape(2, width)
        place = np.arange(width)
        data[(ip + at)[:, None] + place] = rows[self._sides]
        data[(ip + at + width)[:, None] + place] = rows[1 - self._sides]
        both = _word_sum(addresses[0]) + _word_sum(addresses[1])
        if self._version == 4:
            identification = (number * 31 + self._identification) & _WORD
            _put(data, ip + 4, identification, 2)
            fixed = 0x4500 + 0x4000 + 0x4006
            header = fixed + self._total_lengths + identification + both
            _put(data, ip + 10, _folded(header), 2)
        return both


class _Frame(NamedTuple):
    record: bytes
    payload_at: int
    ip_bytes: int
    tcp_sum: int  # of the words that all flows share, pseudo header included
    time_at: int  # of the time stamp in the options; 0: none
    digits: list[tuple[int, int]]  # place in the payload, which digit of the token


def _frame(script: Plan, place: int, version: int, padded: bool) -> _Frame:
    """Make one record; what differs from flow to flow is zero."""
    one = script.segments[place]
    options, time_at = (_SYN_OPTIONS, _SYN_TIME_AT) if one.flags & SYN else (_OPTIONS, _TIME_AT)
    if padded:
        options, time_at = (_SYN_OPTIONS[:4] if one.flags & SYN else b""), 0
    window = 0 if one.flags & RST else _WINDOW
    payload = script.streams[one.side][one.offset : one.offset + one.length] if one.length else b""
    offset_flags = (20 + len(options)) << 10 | one.flags
    tcp = struct.pack(">HHIIHHHH", 0, 0, 0, 0, offset_flags, window, 0, 0) + options
    length = len(tcp) + len(payload)
    if version == 4:
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0, 0, 0)
        ether = b"\x08\x00"
    else:
        ip = struct.pack(">IHBB32x", 6 << 28, length, 6, 64)
        ether = b"\x86\xdd"
    frame = _MAC[1 - one.side] + _MAC[one.side] + ether + ip + tcp + payload
    if padded:
        frame = frame.ljust(_LEAST_FRAME, b"\0")
    header = struct.pack("<IIII", 0, 0, len(frame), len(frame))
    payload_at = RECORD_HEADER + 14 + len(ip) + len(tcp)
    total = _word_sum(tcp) + _word_sum(payload) + 6 + length
    digits = list(_digits(script.streams[one.side], one.offset, one.length))
    return _Frame(header + frame, payload_at, len(ip) + length, total, time_at, digits)


def _digits(stream: bytes, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the places of token digits in a segment, and which digit each is."""
    last = offset + length + len(TOKEN) - 1
    at = stream.find(TOKEN, max(0, offset - len(TOKEN) + 1), last)
    while at >= 0:
        for which in range(len(TOKEN)):
            if offset <= at + which < offset + length:
                yield at + which - offset, which
        at = stream.find(TOKEN, at + len(TOKEN), last)


def _word_sum(data: bytes) -> int:
    """Return the sum of big-endian 16-bit words, an odd tail padded with zero."""
    return int(np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").sum(dtype=np.int64))


def _halves(value: Index) -> Index:
    """Return the sum of the two 16-bit halves of 32-bit values."""
    return (value >> 16) + (value & _WORD)


def _folded(total: Index) -> Index:
    """Return the Internet checksum of sums of 16-bit words."""
    for _ in range(3):
        total = (total & _WORD) + (total >> 16)
    return total ^ _WORD


def _put(
    data: Bytes, columns: Index, values: npt.NDArray[Any], width: int, *, little: bool = False
) -> None:
    """Store values as unsigned integers of width bytes at the columns."""
    for place in range(width):
        shift = 8 * (place if little else width - 1 - place)
        data[columns + place] = (values >> shift) & 0xFF


def _padded(address: str) -> str:
    """Return an address as file names have it: octets of IPv4 with three digits."""
    if ":" in address:
        return address
    return ".".join(f"{int(octet):03}" for octet in address.split("."))
