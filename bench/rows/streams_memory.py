"""Memory of `dlctl streams` beside tcpflow: with a million flows open at once, and by file size."""

from __future__ import annotations

from collections.abc import Iterator

from bench.half_open import write_half_open
from bench.measure import interleaved, peak_bytes
from bench.peers import Tool
from bench.results import Curve, Goal, Row
from bench.rows.streams import GIGABYTES, LIMIT_S, NAMES, command
from bench.session import Session

FLOWS = 1_000_000
LIMIT_MB = 1000
OPTIONS = ("-FX",)
ROUNDS = 2
"""Memory hardly differs from run to run, and tcpflow takes half a minute for a million flows."""


def run(session: Session) -> Iterator[Row | Curve]:
    """Yield the row of many flows, then the curve."""
    yield _open_flows(session)
    points: dict[str, list[tuple[float, tuple[float, ...]]]] = {name: [] for name in NAMES}
    for size in GIGABYTES:
        load = session.capture(session.scaled(int(size * 1e9)))

        def once(tool: Tool) -> float:
            with session.output() as out:
                argv = command(tool, load.path, out, ())  # noqa: B023
                return peak_bytes(argv, session.log, LIMIT_S) / 1e6

        samples, _ = interleaved(session.present(NAMES), min(ROUNDS, session.rounds), once)
        for tool, values in samples.items():
            points[tool.name].append((load.file_bytes / 1e9, tuple(values)))
    yield Curve(
        "streams-memory-size",
        "`dlctl streams`, every stream into a file: most memory held",
        "GB of the savefile",
        "MB",
        {name: tuple(measured) for name, measured in points.items()},
    )


def _open_flows(session: Session) -> Row:
    flows = session.scaled(FLOWS)
    session.drop_loads()
    load = write_half_open(session.work / "half-open.pcap", flows)

    def once(tool: Tool) -> float:
        with session.output() as out:
            argv = command(tool, load.path, out, OPTIONS)
            return peak_bytes(argv, session.log, LIMIT_S) / 1e6

    try:
        values, failures = interleaved(session.present(NAMES), min(ROUNDS, session.rounds), once)
    finally:
        load.path.unlink()
    return Row(
        "streams-open-flows",
        f"`dlctl streams -FX`, {flows:,} flows open at once, {load.packets:,} packets: "
        "most memory held",
        "MB",
        session.figures(
            NAMES,
            values,
            failures,
            lambda tool: command(tool, load.path, session.work / "out", OPTIONS),
        ),
        (Goal(LIMIT_MB),),
    )
