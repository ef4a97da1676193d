"""Live with many roll-overs a second: how many of the packets are in the files at the end."""

from __future__ import annotations

from collections.abc import Iterator

from bench.lab import Lab, Sending
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PACKETS = 1_000_000
RATE = 200_000
NAMES = (OURS, "daemonlogger", "tcpdump", "dumpcap", "netsniff-ng")


def run(session: Session) -> Iterator[Row]:
    """Yield the packets kept."""
    load = session.load(session.scaled(PACKETS))
    sending = Sending(load.path, load.packets, rate=RATE)
    with Lab(session.work).up() as lab:

        def once(tool: Tool) -> float:
            with session.output() as out:
                return lab.record(
                    tool.rolling(lab.interface, out) if tool.rolling else [], out, sending
                ).kept

        kept, failures = interleaved(session.present(NAMES), session.rounds, once)
        yield Row(
            "rolls-kept",
            f"live to tmpfs, a new savefile every 10 MB, {load.packets:,} packets at {RATE:,}/s: "
            "packets kept",
            "packets",
            session.figures(
                NAMES,
                kept,
                failures,
                lambda tool: tool.rolling("vb", session.work / "out") if tool.rolling else [],
            ),
            (Goal(load.packets, than=">="),),
        )
