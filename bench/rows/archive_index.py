"""What index and catalog cost: size beside the savefiles, and the time that making them takes.

Three kinds of traffic: the ring of ring_load.py, whose flows come and go; packets of 10,000 flows
at random, of which nearly all are in each savefile; and bulk, a few flows in packets of 1,514
bytes. The index is made by `dlctl index`, the catalog by `dlctl verify --rebuild`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.load import EPOCH, IMIX, packets_for, write_load
from bench.measure import interleaved, run
from bench.peers import Tool, find_ours
from bench.results import OURS, Figure, Goal, Row
from bench.ring_load import PREFIX, SAVEFILE_BYTES
from bench.session import Mix, Session

SAVEFILES = 100
BULK: Mix = ((1514, 100),)
BULK_FLOWS, RANDOM_FLOWS = 50, 10_000
IMIX_LIMIT, BULK_LIMIT = 2.0, 0.5
LIMIT_S = 300


def run_index(session: Session) -> Iterator[Row]:
    """Yield the sizes, then what making index and catalog takes."""
    ring = session.ring(session.scaled(20 * SAVEFILES) if session.quick else SAVEFILES)
    for name, words, limit, make in (
        ("ring", "IMIX, flows that come and go", IMIX_LIMIT, None),
        ("random", "IMIX, 10,000 flows at random", IMIX_LIMIT, _random),
        ("bulk", "bulk", BULK_LIMIT, _bulk),
    ):
        yield _size(session, name, words, limit, make, ring.folder)
    index, digest = (
        _command("index", "--rebuild", "--no-progress"),
        Tool("sha256sum", ("sha256sum",)),
    )
    yield _speed(session, "index", "every savefile indexed anew", index, [], ring.folder)
    catalog = _command("verify", "--rebuild", "--no-progress")
    yield _speed(session, "catalog", "the catalog made anew", catalog, [digest], ring.folder)


def _command(*words: str) -> list[str]:
    return [*find_ours("dlctl"), *words, "--ring"]


def _random(path: Path) -> None:
    write_load(path, packets_for(SAVEFILE_BYTES, IMIX), IMIX, flows=RANDOM_FLOWS)


def _bulk(path: Path) -> None:
    write_load(path, packets_for(SAVEFILE_BYTES, BULK), BULK, flows=BULK_FLOWS)


def _size(
    session: Session,
    name: str,
    words: str,
    limit: float,
    make: Callable[[Path], None] | None,
    folder: Path,
) -> Row:
    """Return the size of an index in per cent of its savefiles."""
    with session.output() as out:
        if make is not None:
            folder = out
            make(folder / f"{PREFIX}.{EPOCH}")
        argv = [*_command("index", "--no-progress"), str(folder)]
        run(argv, session.log, LIMIT_S)
        savefiles = [path for path in folder.iterdir() if path.is_file()]
        savefiles = [path for path in savefiles if ".catalog" not in path.name]
        indexes = list((folder / f"{PREFIX}.index").iterdir())
        share = 100 * _bytes(indexes) / _bytes(savefiles)
        note = f"{len(indexes):,} of {len(savefiles):,} savefiles have one"
    return Row(
        f"archive-index-size-{name}",
        f"size of the index, {words}, savefiles of {SAVEFILE_BYTES / 1e6:.0f} MB: share of the "
        "savefiles",
        "%",
        (Figure(OURS, (share,), session.plain(argv), note),),
        (Goal(limit),),
    )


def _bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _speed(
    session: Session, name: str, words: str, argv: list[str], peers: list[Tool], folder: Path
) -> Row:
    """Return how long it takes to read a whole ring once, and what a peer takes for its share."""
    ours = session.tools[OURS]
    savefiles = sorted(str(path) for path in folder.glob(f"{PREFIX}.[0-9]*"))

    def command(tool: Tool) -> list[str]:
        return [*argv, str(folder)] if tool is ours else [*tool.program, *savefiles]

    tools = [tool for tool in (ours, *peers) if tool.installed and shutil.which(tool.program[0])]
    values, failures = interleaved(
        tools, session.rounds, lambda tool: run(command(tool), session.log, LIMIT_S).wall_s
    )
    total = sum(Path(path).stat().st_size for path in savefiles)
    return Row(
        f"archive-{name}-time",
        f"{words}, {len(savefiles):,} savefiles, {total / 1e9:.2f} GB: wall",
        "s",
        tuple(
            Figure(
                tool.name,
                tuple(values[tool]),
                session.plain(command(tool)[:8]),
                f"failed: {failures[tool]}" if tool in failures else "",
            )
            for tool in tools
        ),
    )
