"""How long it takes until a recorder has said its version: the start of Python included."""

from __future__ import annotations

from collections.abc import Iterator

from bench import measure
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

ROUNDS = 20
NAMES = (OURS, "tcpdump", "daemonlogger", "dumpcap")


def start_ms(session: Session, tool: Tool) -> float:
    """Return the milliseconds of one start."""
    return measure.run([*tool.program, *tool.version], session.log, 20).wall_s * 1000


def run(session: Session) -> Iterator[Row]:
    """Yield the median of twenty starts."""
    values, failures = measure.interleaved(
        session.present(NAMES), ROUNDS, lambda tool: start_ms(session, tool)
    )
    yield Row(
        "start",
        f"start: print the version and exit, {ROUNDS} starts: wall",
        "ms",
        session.figures(NAMES, values, failures, lambda tool: [*tool.program, *tool.version]),
        (Goal(80),),
    )
