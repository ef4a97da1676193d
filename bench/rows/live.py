"""Live to ext4, recorder and sender on a core each: CPU seconds of the recorder, and drops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.lab import Lab, Recorded, Sending, ext4_volume
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PART = 1_000_000
LOOPS = 3
"""The sender plays a third of the load three times: loading it whole takes longer than sending."""
PACED = 500_000
VOLUME_BYTES = 3 << 30

BUFFERED, DIRECT = "tcpdump -B 65536", "ours --direct"
NAMES = (
    OURS,
    DIRECT,
    BUFFERED,
    "daemonlogger",
    "dumpcap",
    "netsniff-ng",
    "python-libpcap",
)
PACED_NAMES = tuple(name for name in NAMES if name not in ("dumpcap", "netsniff-ng"))
"""At the paced rate the two that no goal names are left out, to stay in the time of the run."""
CPU_GOALS = (
    Goal(1.0, BUFFERED),
    Goal(0.65, "daemonlogger"),
    Goal(0.65, BUFFERED, tool=DIRECT),
)
DROP_GOALS = (Goal(0), Goal(0, tool=DIRECT))


def run_paced(session: Session) -> Iterator[Row]:
    """Yield CPU and drops at a rate every tool but one can follow."""
    yield from _rows(session, "live-paced", PACED, f"{PACED:,} packets/s", PACED_NAMES)


def run_topspeed(session: Session) -> Iterator[Row]:
    """Yield CPU and drops at the highest rate the sender reaches."""
    yield from _rows(session, "live-top", None, "topspeed", NAMES)


def _rows(
    session: Session, name: str, rate: int | None, words: str, names: Sequence[str]
) -> Iterator[Row]:
    load = session.load(session.scaled(PART))
    sending = Sending(load.path, load.packets, LOOPS, rate)
    tools = session.present(names)
    with Lab(session.work).up() as lab, ext4_volume(session.work, VOLUME_BYTES) as volume:

        def once(tool: Tool) -> Recorded:
            with session.output(volume) as out:
                return lab.record(
                    tool.live(lab.interface, out) if tool.live else [],
                    out,
                    sending,
                    needs_poke=tool.needs_poke,
                    ballast_bytes=load.file_bytes * (LOOPS + 1),
                )

        found, failures = interleaved(tools, session.rounds, once)

        def command(tool: Tool) -> list[str]:
            return tool.live(lab.interface, volume / "out") if tool.live else []

        title = f"live to ext4, {sending.packets * LOOPS:,} packets at {words}"
        reached = [run.sent_per_s for runs in found.values() for run in runs]
        speed = f"the sender reached {min(reached):,.0f} to {max(reached):,.0f} packets/s" * bool(
            reached
        )
        cpu = {tool: [run.cost.cpu_s for run in runs] for tool, runs in found.items()}
        lost = {tool: [float(run.lost) for run in runs] for tool, runs in found.items()}
        yield Row(
            f"{name}-cpu",
            f"{title}: CPU of the recorder",
            "s",
            session.figures(names, cpu, failures, command, _partial(found)),
            CPU_GOALS,
            note=speed,
        )
        yield Row(
            f"{name}-drops",
            f"{title}: packets lost",
            "packets",
            session.figures(names, lost, failures, command),
            DROP_GOALS,
            note=speed,
        )


def _partial(found: dict[Tool, list[Recorded]]) -> dict[str, str]:
    """Note the tools whose CPU is that of fewer packets, because they lost some."""
    notes = {}
    for tool, runs in found.items():
        lost, all_of_them = sum(run.lost for run in runs), sum(run.delivered for run in runs)
        if lost:
            notes[tool.name] = f"lost {lost / all_of_them:.1%} of the packets, and the work of them"
    return notes
