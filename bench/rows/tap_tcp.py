"""The soft tap on a TCP transfer with offloaded frames: how much of the stream gets through."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.lab import Lab
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

BYTES = 1_000_000_000
RATE = "2G"
NAMES = (OURS, "daemonlogger", "netsniff-ng")

_RECORD = struct.Struct("<8xII")
_IPV4, _TCP = 0x0800, 6


def run(session: Session) -> Iterator[Row]:
    """Yield the share of the stream that is there."""
    amount = session.scaled(BYTES)
    with Lab(session.work).up() as lab, lab.tap() as out:

        def command(tool: Tool) -> list[str]:
            return tool.tap(lab.interface, out) if tool.tap else []

        def once(tool: Tool) -> float:
            judge = session.work / "judge.pcap"
            try:
                lab.transfer(command(tool), amount, RATE, judge)
                # iperf3 puts a cookie of 37 bytes before what it was asked to send.
                return 100 * min(amount, arrived_bytes(judge)) / amount
            finally:
                judge.unlink(missing_ok=True)

        found, failures = interleaved(session.present(NAMES), session.rounds, once)
        yield Row(
            "tap-tcp",
            f"soft tap of an iperf3 transfer of {amount:,} bytes, offloads on, {RATE}bit/s: "
            "share of the stream that arrived",
            "%",
            session.figures(NAMES, found, failures, command),
            (Goal(100, than=">="),),
        )


def arrived_bytes(judge: Path) -> int:
    """Return how many bytes of the largest TCP stream are in a savefile of Ethernet headers."""
    segments: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for flow, sequence, length in _segments(judge.read_bytes()):
        segments[flow].append((sequence, length))
    return max((_covered(found) for found in segments.values()), default=0)


def _segments(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    offset = 24
    while offset + _RECORD.size <= len(data):
        caplen, _ = _RECORD.unpack_from(data, offset)
        frame = offset + _RECORD.size
        offset = frame + caplen
        if (
            caplen < 54
            or data[frame + 12 : frame + 14] != _IPV4.to_bytes(2)
            or (data[frame + 23] != _TCP)
        ):
            continue
        tcp = frame + 14 + (data[frame + 14] & 15) * 4
        total = int.from_bytes(data[frame + 16 : frame + 18])
        length = total - (tcp - frame - 14) - (data[tcp + 12] >> 4) * 4
        if length > 0:
            yield data[tcp : tcp + 4], int.from_bytes(data[tcp + 4 : tcp + 8]), length


def _covered(segments: list[tuple[int, int]]) -> int:
    """Return the bytes that segments cover, each once; sequence numbers wrap, streams do not."""
    first = segments[0][0] - (1 << 31)
    spans = sorted(((sequence - first) & 0xFFFFFFFF, length) for sequence, length in segments)
    total = end = 0
    for begin, length in spans:
        total += max(0, begin + length - max(begin, end))
        end = max(end, begin + length)
    return total
