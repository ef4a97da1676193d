"""The soft tap, live from one interface to another: CPU of the process, and frames lost."""

from __future__ import annotations

from collections.abc import Iterator

from bench.lab import Lab, Recorded, Sending
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PACKETS = 1_000_000
NAMES = (OURS, "daemonlogger", "netsniff-ng")


def run(session: Session) -> Iterator[Row]:
    """Yield CPU and loss at the highest rate the sender reaches."""
    load = session.load(session.scaled(PACKETS))
    sending = Sending(load.path, load.packets)
    with Lab(session.work).up() as lab, lab.tap() as out:

        def once(tool: Tool) -> Recorded:
            with session.output() as folder:
                argv = tool.tap(lab.interface, out) if tool.tap else []
                return lab.record(argv, folder, sending, tapped=True)

        found, failures = interleaved(session.present(NAMES), session.rounds, once)

        def command(tool: Tool) -> list[str]:
            return tool.tap(lab.interface, out) if tool.tap else []

        title = f"soft tap, {load.packets:,} packets at topspeed"
        # A frame that is lost on the way costs nothing more: only those that arrived count.
        cpu = {
            tool: [run.cost.cpu_s * load.packets / max(1, run.kept) for run in runs]
            for tool, runs in found.items()
        }
        lost = {tool: [float(run.lost) for run in runs] for tool, runs in found.items()}
        yield Row(
            "tap-cpu",
            f"{title}: CPU of the process for as many that arrived",
            "s",
            session.figures(NAMES, cpu, failures, command),
            (Goal(0.8, "daemonlogger"),),
        )
        yield Row(
            "tap-lost",
            f"{title}: packets lost",
            "packets",
            session.figures(NAMES, lost, failures, command),
            (Goal(0),),
        )
