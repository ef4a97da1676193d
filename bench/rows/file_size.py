"""-R against the size of the savefile: where Python's start no longer counts."""

from __future__ import annotations

from collections.abc import Iterator

from bench.load import IMIX, packets_for
from bench.measure import interleaved
from bench.peers import Tool
from bench.results import OURS, Curve
from bench.session import Session

GIGABYTES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
NAMES = (OURS, "tcpdump", "cp")
ROUNDS = 3
BALLAST_LIMIT_BYTES = 4 << 30
"""Load, output and touched memory together must stay below 10 GB."""


def run(session: Session) -> Iterator[Curve]:
    """Yield wall time against file size."""
    points: dict[str, list[tuple[float, tuple[float, ...]]]] = {name: [] for name in NAMES}
    for size in GIGABYTES:
        total = session.scaled(int(size * 1e9))
        load = session.load(packets_for(total, IMIX))

        def once(tool: Tool) -> float:
            cost = session.timed(
                lambda out: tool.replay(load.path, out, "") if tool.replay else [],  # noqa: B023
                min(2 * load.file_bytes, BALLAST_LIMIT_BYTES),  # noqa: B023
            )
            return cost.wall_s

        rounds = min(ROUNDS, session.rounds)
        samples, _ = interleaved(session.present(NAMES), rounds, once)
        for tool, values in samples.items():
            points[tool.name].append((load.file_bytes / 1e9, tuple(values)))
    yield Curve(
        "file-size",
        "`-R` of a whole savefile, tmpfs: wall",
        "GB of the savefile",
        "s",
        {name: tuple(measured) for name, measured in points.items()},
        log_x=True,
        log_y=True,
    )
