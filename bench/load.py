"""Deterministic savefiles to replay: the same bytes on every machine and numpy version.

The load is built from a block of 5,000 packets in which sizes and protocols stand in a fixed
shuffled order and in exact shares. Blocks repeat; addresses, ports, sequence numbers, time stamps
and checksums differ from packet to packet. That keeps generation at memory speed. What is done
with a load is left to the rows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]
FlowOf = Callable[[Index, Index], "dict[str, Words]"]
"""(numbers of packets, protocol of each slot) -> columns named as in FlowTable."""

BLOCK_PACKETS = 5_000
CHUNK_BYTES = 32 << 20
"""Blocks are patched and written about this many bytes at a time."""

IMIX = ((60, 58), (590, 34), (1514, 8))
"""(caplen in bytes, share in per cent): the load of the recorder's figures."""

PROTOCOLS = ((6, 80), (17, 18), (1, 2))
"""(IP protocol, share in per cent): TCP, UDP, ICMP."""

FLOWS = 10_000
EPOCH = 1_700_000_000
INTERVAL_US = 5
RECORD_HEADER = 16
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
TCP, UDP, ICMP = 6, 17, 1
SERVER_PORTS = {TCP: (443, 80, 22, 25), UDP: (53, 123, 443, 5060), ICMP: (0,)}


@dataclass(frozen=True, slots=True)
class Load:
    """A savefile on disk, with what a row must know of it."""

    path: Path
    packets: int
    file_bytes: int

    @property
    def record_bytes(self) -> int:
        """Return the size of all records with their headers, without the file header."""
        return self.file_bytes - len(FILE_HEADER)


def mean_record_bytes(mix: tuple[tuple[int, int], ...]) -> float:
    """Return the mean size of a record, its 16-byte header included."""
    return sum(caplen * share for caplen, share in mix) / 100 + RECORD_HEADER


def packets_for(total_bytes: int, mix: tuple[tuple[int, int], ...]) -> int:
    """Return how many packets of this mix make a savefile of about total_bytes."""
    return max(1, round((total_bytes - len(FILE_HEADER)) / mean_record_bytes(mix)))


def write_load(
    path: Path, packets: int, mix: tuple[tuple[int, int], ...] = IMIX, *, flows: int = FLOWS
) -> Load:
    """Write a savefile of so many packets to path.

    Shares are exact when packets is a multiple of 5,000. Time stamps start at EPOCH and grow by
    5 to 8 microseconds a packet. Raises ValueError where shares do not add up to 100 or a size is
    not between 60 and 1514 bytes.
    """
    block = Block(mix, FlowTable(flows))
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        for chunk in block.chunks(packets):
            file.write(chunk.data)
    return Load(path, packets, path.stat().st_size)


def scramble(numbers: Words | Index, salt: int) -> Words:
    """Return 64 well-mixed bits for each number (splitmix64); numpy's own streams may change."""
    golden, first, second = (
        np.uint64(0x9E3779B97F4A7C15),
        np.uint64(0xBF58476D1CE4E5B9),
        np.uint64(0x94D049BB133111EB),
    )
    state: Words = (numbers.astype(np.uint64) + np.uint64(salt << 32)) * golden
    state = (state ^ (state >> np.uint64(30))) * first
    state = (state ^ (state >> np.uint64(27))) * second
    return state ^ (state >> np.uint64(31))


def _deal(shares: tuple[tuple[int, int], ...], salt: int) -> Index:
    """Return one value for each slot of a block, in exact shares and shuffled order."""
    if sum(share for _, share in shares) != 100:
        raise ValueError(f"shares must add up to 100: {shares}")
    values = np.repeat(
        [value for value, _ in shares], [share * BLOCK_PACKETS // 100 for _, share in shares]
    )
    order = np.argsort(scramble(np.arange(BLOCK_PACKETS), salt), kind="stable")
    return values[order].astype(np.int64)


def _fold(total: Words) -> Words:
    """Return the Internet checksum of sums of 16-bit words."""
    for _ in range(3):
        total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    return total ^ np.uint64(0xFFFF)


def _word_sum(data: bytes) -> int:
    """Return the sum of big-endian 16-bit words, an odd tail padded with zero."""
    padded = data + b"\0" * (len(data) % 2)
    return int(np.frombuffer(padded, ">u2").sum(dtype=np.uint64))


def stamp_us(number: Index) -> Index:
    """Return the time of the packets with these numbers, in microseconds since EPOCH."""
    jitter = (scramble(number, salt=3) & np.uint64(3)).astype(np.int64)
    # The step is the interval plus what jitter can add, so that time stamps always increase.
    return number * (INTERVAL_US + 3) + jitter


class Block:
    """The template of 5,000 records, and the columns that differ from block to block.

    flow_of tells addresses and ports of packets by their numbers and protocols, stamp their times.
    """

    def __init__(
        self,
        mix: tuple[tuple[int, int], ...],
        flow_of: FlowOf,
        stamp: Callable[[Index], Index] = stamp_us,
        make_record: Callable[[int, int, int], bytes] | None = None,
    ) -> None:
        make_record = make_record or blank_record
        if any(not 60 <= caplen <= 1514 for caplen, _ in mix):
            raise ValueError(f"packet sizes must be 60 to 1514 bytes: {mix}")
        self.caplens = _deal(mix, salt=1)
        self.protocols = _deal(PROTOCOLS, salt=2)
        self.ends = np.cumsum(self.caplens + RECORD_HEADER)
        self.starts = self.ends - self.caplens - RECORD_HEADER
        records = [
            make_record(slot, int(caplen), int(protocol))
            for slot, (caplen, protocol) in enumerate(
                zip(self.caplens, self.protocols, strict=True)
            )
        ]
        self.template: Bytes = np.frombuffer(b"".join(records), np.uint8)
        self.ip_sums = np.array([_word_sum(record[30:50]) for record in records], np.uint64)
        self.payload_sums = np.array([_word_sum(record[50:]) for record in records], np.uint64)
        self.flow_of = flow_of
        self.stamp = stamp

    def chunks(self, packets: int, first: int = 0) -> Iterator[Bytes]:
        """Yield the records of so many packets from number first on, a few blocks at a time."""
        step = max(1, CHUNK_BYTES // len(self.template))
        for done in range(0, packets, step * BLOCK_PACKETS):
            here = min(packets - done, step * BLOCK_PACKETS)
            yield self._patched(first + done, -(-here // BLOCK_PACKETS))[: self.size_bytes(here)]

    def size_bytes(self, packets: int) -> int:
        """Return the size of so many records."""
        whole, rest = divmod(packets, BLOCK_PACKETS)
        return whole * len(self.template) + (int(self.ends[rest - 1]) if rest else 0)

    def _patched(self, first: int, blocks: int) -> Bytes:
        data: Bytes = np.tile(self.template, (blocks, 1))
        number = (first + np.arange(blocks * BLOCK_PACKETS)).reshape(blocks, BLOCK_PACKETS)
        self._time(data, number)
        tuples = self.flow_of(number, self.protocols)
        addresses = self._address(data, number, tuples)
        self._transport(data, number, tuples, addresses)
        return data.reshape(-1)

    def _time(self, data: Bytes, number: Index) -> None:
        when_us = self.stamp(number)
        _put(data, self.starts, EPOCH + when_us // 1_000_000, 4, little=True)
        _put(data, self.starts + 4, when_us % 1_000_000, 4, little=True)

    def _address(self, data: Bytes, number: Index, tuples: dict[str, Words]) -> Words:
        identification = number.astype(np.uint64) & np.uint64(0xFFFF)
        _put(data, self.starts + 34, identification, 2)
        _put(data, self.starts + 42, tuples["source"], 4)
        _put(data, self.starts + 46, tuples["destination"], 4)
        addresses = _halves(tuples["source"]) + _halves(tuples["destination"])
        _put(data, self.starts + 40, _fold(self.ip_sums + identification + addresses), 2)
        return addresses

    def _transport(
        self, data: Bytes, number: Index, tuples: dict[str, Words], addresses: Words
    ) -> None:
        ports = tuples["source_port"] + tuples["destination_port"]
        sequence = number.astype(np.uint64) & np.uint64(0xFFFFFFFF)
        sums = self.payload_sums + ports
        for protocol, port_at in ((TCP, 50), (UDP, 50), (ICMP, 54)):
            slots = np.flatnonzero(self.protocols == protocol)
            at = self.starts[slots]
            _put(data, at + port_at, tuples["source_port"][:, slots], 2)
            if protocol != ICMP:
                _put(data, at + port_at + 2, tuples["destination_port"][:, slots], 2)
            if protocol == TCP:
                _put(data, at + 54, sequence[:, slots], 4)
                pseudo = np.uint64(TCP) + (self.caplens[slots] - 34).astype(np.uint64)
                total = sums[:, slots] + addresses[:, slots] + _halves(sequence[:, slots]) + pseudo
                _put(data, at + 66, _fold(total), 2)
            elif protocol == ICMP:
                _put(data, at + 52, _fold(sums[:, slots]), 2)


class FlowTable:
    """Which flow a packet belongs to, and that flow's addresses and ports."""

    def __init__(self, flows: int) -> None:
        numbers = np.arange(flows)
        mixed = scramble(numbers, salt=4)
        self.source = np.uint64(0x0A000000) + numbers.astype(np.uint64)
        self.destination = np.uint64(0xAC100000) + (mixed & np.uint64(0xFFFFF))
        self.source_port = np.uint64(1024) + (mixed >> np.uint64(20)) % np.uint64(64_000)
        self.destination_port = np.zeros(flows, np.uint64)
        self.share: dict[int, tuple[int, int]] = {}
        begin = 0
        for protocol, share in PROTOCOLS:
            mine = max(1, flows * share // 100)
            choice = (mixed[begin : begin + mine] >> np.uint64(40)) % len(SERVER_PORTS[protocol])
            ports = np.array(SERVER_PORTS[protocol], np.uint64)[choice]
            self.destination_port[begin : begin + mine] = ports
            self.share[protocol] = begin, mine
            begin += mine

    def __call__(self, number: Index, protocols: Index) -> dict[str, Words]:
        """Return addresses and ports of the packets with these numbers and protocols."""
        first = np.zeros(protocols.shape, np.uint64)
        count = np.ones(protocols.shape, np.uint64)
        for protocol, (begin, mine) in self.share.items():
            first[protocols == protocol] = begin
            count[protocols == protocol] = mine
        flow = first + scramble(number, salt=5) % count
        return {
            "source": self.source[flow],
            "destination": self.destination[flow],
            "source_port": self.source_port[flow],
            "destination_port": self.destination_port[flow],
        }


def blank_record(slot: int, caplen: int, protocol: int) -> bytes:
    """Return one record with every field that differs between blocks still zero."""
    ethernet = bytes.fromhex("0200000000020200000000010800")
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, caplen - 14, 0, 0x4000, 64, protocol, 0, 0, 0)
    transport = {
        TCP: struct.pack(">HHIIBBHHH", 0, 0, 0, 1, 0x50, 0x10, 0xFFFF, 0, 0),
        UDP: struct.pack(">HHHH", 0, 0, caplen - 34, 0),
        ICMP: struct.pack(">BBHHH", 8, 0, 0, 0, 1),
    }[protocol]
    payload = caplen - 34 - len(transport)
    words = scramble(np.arange(payload // 8 + 1) + slot * 256, salt=6)
    header = struct.pack("<IIII", 0, 0, caplen, caplen)
    return header + ethernet + ip + transport + words.astype("<u8").tobytes()[:payload]


def _halves(value: Words) -> Words:
    """Return the sum of the two 16-bit halves of 32-bit values."""
    return (value >> np.uint64(16)) + (value & np.uint64(0xFFFF))


def _put(
    data: Bytes, columns: Index, values: npt.NDArray[Any], width: int, *, little: bool = False
) -> None:
    """Store values (one a block and slot) as unsigned integers of width bytes at the columns."""
    for place in range(width):
        shift = 8 * (place if little else width - 1 - place)
        data[:, columns + place] = (values >> values.dtype.type(shift)) & values.dtype.type(0xFF)
