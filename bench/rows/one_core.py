"""Sender and recorder share one core, the sender sends as fast as it can: packets lost."""

from __future__ import annotations

from collections.abc import Iterator

from bench.lab import Lab, Sending
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PART = 1_000_000
LOOPS = 1
NAMES = (OURS, "tcpdump", "tcpdump -B 65536", "daemonlogger", "dumpcap", "netsniff-ng")


def run(session: Session) -> Iterator[Row]:
    """Yield the drops on one core."""
    load = session.load(session.scaled(PART))
    sending = Sending(load.path, load.packets, LOOPS)
    with Lab(session.work).up() as lab:

        def once(tool: Tool) -> float:
            with session.output() as out:
                argv = tool.live(lab.interface, out) if tool.live else []
                ballast = load.file_bytes * (LOOPS + 1)
                return lab.record(argv, out, sending, one_core=True, ballast_bytes=ballast).lost

        lost, failures = interleaved(session.present(NAMES), session.rounds, once)
        yield Row(
            "one-core-drops",
            f"live to tmpfs, sender and recorder on one core, {load.packets * LOOPS:,} packets at "
            "topspeed: packets lost",
            "packets",
            session.figures(
                NAMES,
                lost,
                failures,
                lambda tool: tool.live("vb", session.work / "out") if tool.live else [],
            ),
            (Goal(0),),
        )
