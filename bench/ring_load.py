"""A ring of savefiles to search in: the same bytes on every machine, whatever is made at once.

Packets are those of load.py, sizes IMIX. What a search depends on is made here: flows begin and
end all along the ring (of any moment, 2,000 are alive and a few of them carry most packets), both
directions occur, times grow so that a savefile spans about 7 seconds, and two flows of 100 packets
stand out by an address that nothing else has: one within five savefiles, one all along the ring.
Some packets carry what the filters of a scan ask for. Each savefile can be made by itself, so two
processes make a ring faster than one. Catalog and indexes are left to the tools that are measured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench.load import (
    BLOCK_PACKETS,
    EPOCH,
    FILE_HEADER,
    ICMP,
    IMIX,
    SERVER_PORTS,
    TCP,
    UDP,
    Block,
    Index,
    Words,
    blank_record,
    mean_record_bytes,
    scramble,
)

PREFIX = "ring"
SAVEFILES = 2_000
SAVEFILE_BYTES = 10_000_000
SAVEFILE_US = 7_200_000
BIRTHS = 500
"""Flows that begin in each savefile: 1,000,000 in a ring of 2,000."""
ALIVE_SAVEFILES = 4
"""A flow lives as long as it takes to fill so many savefiles."""
GROUP = 50
"""Flows come in groups of which 40 are TCP, 9 UDP and 1 ICMP: about the shares of the packets."""
MEMBERS = {TCP: (0, 40), UDP: (40, 9), ICMP: (49, 1)}
"""(first member, how many) of a group's flows by protocol."""
_SPACING = 40
"""Packets from one to the next of a flow that stands out, at the least; most of them are TCP."""
_ALONE_BYTES = 100_000_000
"""A smaller ring is made sooner than a second process has started."""

NEEDLE_PACKETS = 100
NEEDLE_SAVEFILES = 5
NEEDLE_PORT = 6667
NEEDLE_HOST, LONG_HOST, NEEDLE_SERVER = "192.0.2.77", "192.0.2.78", "198.51.100.9"

RST_EVERY, MARKED_EVERY = 97, 11
"""Of the TCP packets of a block every so manieth is a reset, of the UDP ones one carries MARK."""
MARK = 0x1234
_FLAGS_AT, _UDP_PAYLOAD_AT = 16 + 14 + 20 + 13, 16 + 14 + 20 + 8


@dataclass(frozen=True, slots=True)
class Ring:
    """Savefiles on disk, oldest first, with what a row must know of them."""

    folder: Path
    paths: tuple[Path, ...]
    packets: int
    total_bytes: int
    flows: int
    first_us: int
    last_us: int

    @property
    def needle(self) -> str:
        """Return the filter that one flow of 100 packets within five savefiles passes."""
        return f"host {NEEDLE_HOST} and port {NEEDLE_PORT}"

    @property
    def long_needle(self) -> str:
        """Return the filter that one flow of 100 packets all along the ring passes."""
        return f"host {LONG_HOST} and port {NEEDLE_PORT}"

    @property
    def minute_us(self) -> tuple[int, int]:
        """Return a minute in the ring's middle: its first microsecond, and the one behind it."""
        middle_s = (self.first_us + self.last_us) // 2_000_000
        return (middle_s - 30) * 1_000_000, (middle_s + 30) * 1_000_000


def packets_of(savefile_bytes: int) -> int:
    """Return how many packets are in a savefile of about so many bytes."""
    return max(1, round((savefile_bytes - len(FILE_HEADER)) / mean_record_bytes(IMIX)))


def write_ring(
    folder: Path,
    savefiles: int = SAVEFILES,
    savefile_bytes: int = SAVEFILE_BYTES,
    *,
    processes: int | None = None,
) -> Ring:
    """Fill a directory with a ring of so many savefiles; return what is in it.

    A savefile's modification time is that of its last packet, as a recorder leaves it. Raises
    ValueError where the ring is too short for its flows of 100 packets.
    """
    packets = packets_of(savefile_bytes)
    maker = _maker(savefiles, packets)
    work = partial(_write, str(folder), savefiles, packets)
    processes = processes or len(os.sched_getaffinity(0))
    if processes == 1 or savefiles * savefile_bytes < _ALONE_BYTES:
        sizes = [work(number) for number in range(savefiles)]
    else:
        # Not forked: the caller may have threads.
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            sizes = list(pool.map(work, range(savefiles), chunksize=8))
    last = savefiles * packets - 1
    return Ring(
        folder,
        tuple(folder / maker.name(number) for number in range(savefiles)),
        last + 1,
        sum(sizes),
        (savefiles - 1 + ALIVE_SAVEFILES) * BIRTHS,
        maker.when_us(0),
        maker.when_us(last),
    )


@lru_cache(1)
def _maker(savefiles: int, packets: int) -> _Maker:
    """Return this process's maker, whose template is worth keeping."""
    return _Maker(savefiles, packets)


def _write(folder: str, savefiles: int, packets: int, number: int) -> int:
    return _maker(savefiles, packets).write(folder, number)


class _Maker:
    """Makes any savefile of one ring."""

    def __init__(self, savefiles: int, packets: int) -> None:
        self._packets = packets
        self._interval_us = max(1, SAVEFILE_US // packets)
        total = savefiles * packets
        span = min(NEEDLE_SAVEFILES * packets, total)
        if span < _SPACING * NEEDLE_PACKETS:
            raise ValueError(f"{span} packets are too few for a flow of {NEEDLE_PACKETS}")
        self._flows = _Flows(packets)
        self._block = Block(IMIX, self._flows, self._stamp, _record)
        far = self._spread(0, total, ())
        near = self._spread((total - span) // 2, span, far)
        self._flows.needles = {LONG_HOST: far, NEEDLE_HOST: near}

    def name(self, number: int) -> str:
        """Return a savefile's name, which is the second of its first packet."""
        return f"{PREFIX}.{self.when_us(number * self._packets) // 1_000_000}"

    def when_us(self, number: int) -> int:
        """Return the time of a packet in microseconds since 1970."""
        return EPOCH * 1_000_000 + int(self._stamp(np.array([number]))[0])

    def _stamp(self, number: Index) -> Index:
        # Less than the interval, so that times never go back.
        jitter = scramble(number, salt=3) % np.uint64(self._interval_us)
        return number * self._interval_us + jitter.astype(np.int64)

    def _spread(self, first: int, span: int, taken: Sequence[int]) -> list[int]:
        """Return the numbers of 100 TCP packets that are not taken, evenly spread from first on."""
        starts = range(first, first + span, span // NEEDLE_PACKETS)[:NEEDLE_PACKETS]
        return [self._tcp_packet(start, taken) for start in starts]

    def _tcp_packet(self, first: int, taken: Sequence[int]) -> int:
        """Return the number of the first TCP packet from one on that is not taken."""
        protocols = self._block.protocols
        return next(
            number
            for number in range(first, first + _SPACING)
            if number not in taken and protocols[number % self._packets % BLOCK_PACKETS] == TCP
        )

    def write(self, folder: str, number: int) -> int:
        """Write one savefile; return its size in bytes."""
        path = Path(folder, self.name(number))
        first = number * self._packets
        with path.open("xb", buffering=0) as file:
            size = file.write(FILE_HEADER)
            for chunk in self._block.chunks(self._packets, first):
                size += file.write(chunk)
        last_ns = self.when_us(first + self._packets - 1) * 1000
        os.utime(path, ns=(last_ns, last_ns))
        return size


class _Flows:
    """Which flow a packet belongs to, and its addresses and ports in the packet's direction."""

    def __init__(self, packets: int) -> None:
        self._packets = packets
        self.needles: dict[str, list[int]] = {}

    def __call__(self, number: Index, protocols: Index) -> dict[str, Words]:
        chance = scramble(number, salt=5)
        mixed = scramble(self._flow(number, protocols, chance), salt=4)
        ends = {
            "source": np.uint64(0x0A000000) + (mixed & np.uint64(0xFFFF)),
            "destination": np.uint64(0xAC100000) + (mixed >> np.uint64(16)) % np.uint64(20_000),
            "source_port": np.uint64(32_768) + (mixed >> np.uint64(32)) % np.uint64(28_000),
            "destination_port": _server_port(mixed >> np.uint64(48), protocols),
        }
        for host, numbers in self.needles.items():
            here = np.isin(number, numbers)
            ends["source"][here] = _address(host)
            ends["destination"][here] = _address(NEEDLE_SERVER)
            ends["source_port"][here] = 40_000
            ends["destination_port"][here] = NEEDLE_PORT
        back = (chance >> np.uint64(62)).astype(bool) & (protocols != ICMP)
        other = {
            "source": "destination",
            "destination": "source",
            "source_port": "destination_port",
            "destination_port": "source_port",
        }
        return {name: np.where(back, ends[other[name]], ends[name]) for name in ends}

    def _flow(self, number: Index, protocols: Index, chance: Words) -> Words:
        """Return the number of each packet's flow."""
        groups = BIRTHS // GROUP
        newest = (number * groups // self._packets).astype(np.uint64)
        group = newest + (chance & np.uint64(0xFFFF)) % np.uint64(groups * ALIVE_SAVEFILES)
        # Cubed, the draw favours a group's first members: one carries 30 % of its packets.
        draw = (chance >> np.uint64(16)) & np.uint64(0xFFFF)
        first, members = np.zeros(protocols.shape, np.uint64), np.ones(protocols.shape, np.uint64)
        for protocol, (begin, count) in MEMBERS.items():
            first[protocols == protocol], members[protocols == protocol] = begin, count
        member = first + (draw * draw * draw * members >> np.uint64(48))
        return group * np.uint64(GROUP) + member


def _server_port(chance: Words, protocols: Index) -> Words:
    """Return the well-known port of each packet's flow."""
    port = np.zeros(chance.shape, np.uint64)
    for protocol, ports in SERVER_PORTS.items():
        slots = protocols == protocol
        port[:, slots] = np.array(ports, np.uint64)[chance[:, slots] % np.uint64(len(ports))]
    return port


def _address(dotted: str) -> np.uint64:
    return np.uint64(int(ip_address(dotted)))


def _record(slot: int, caplen: int, protocol: int) -> bytes:
    """Return load.py's record, some of them with what a filter of payload or flags looks for."""
    made = blank_record(slot, caplen, protocol)
    if protocol == TCP and slot % RST_EVERY == 0:
        return made[:_FLAGS_AT] + b"\x14" + made[_FLAGS_AT + 1 :]
    if protocol == UDP and slot % MARKED_EVERY == 0:
        return made[:_UDP_PAYLOAD_AT] + MARK.to_bytes(2, "big") + made[_UDP_PAYLOAD_AT + 2 :]
    return made
