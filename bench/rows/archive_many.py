"""What the number of savefiles does: 1,000 and 100,000 of them, each of one packet.

Nothing may become dearer for a file that is touched: `ls` touches every savefile, an extraction
from the whole ring too, a recorder that starts adopts them all, and a roll-over opens one and
prunes one. What a process costs before it touches the first one is that of a ring of one savefile,
and is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.lab import Lab, Sending
from bench.load import Load
from bench.measure import run
from bench.peers import find_ours
from bench.results import Figure, Goal, Row, per_unit
from bench.ring_load import NEEDLE_HOST
from bench.rows.archive import NOWHERE, make_archive
from bench.rows.ring_size import PREFIX, SIZES, fill
from bench.session import Session

ONE, FEW, MANY = 1, 1_000, 100_000
QUICK_MANY = 5_000
LIMIT = 1.5
LIMIT_S = 600
ROLLS = 2_000
ROLL_PACKETS = 10
READINGS = 3  # of the short runs, a round: little is left of them once a start is taken off
PACED = 5_000
READY = "Logging packets to "

Costs = dict[int, list[float]]


def run_many(session: Session) -> Iterator[Row]:
    """Yield `ls`, `extract`, start and roll-over, each with both numbers of savefiles."""
    sizes = (ONE, FEW, QUICK_MANY if session.quick else MANY)
    listing: Costs = {size: [] for size in sizes}
    searching: Costs = {size: [] for size in sizes}
    starting: Costs = {size: [] for size in sizes}
    rolling: Costs = {size: [] for size in sizes}
    load = session.load(session.scaled(ROLLS) * ROLL_PACKETS, SIZES)
    for size in sizes:
        with session.output() as out, Lab(session.work).up() as lab:
            fill(out, size)
            make_archive(session, out)
            for _ in range(READINGS * session.rounds):
                listing[size].append(_wall_s(session, list_command(out)))
                searching[size].append(_wall_s(session, search_command(out)))
            for _ in range(session.rounds):
                begun_s, per_roll_s = _record(lab, out, size, load)
                starting[size] += begun_s
                rolling[size].append(per_roll_s)
    shown = Path("out")
    yield _row(session, "ls", "`dlctl ls`", per_savefile_us(listing), list_command(shown))
    yield _row(
        session,
        "extract",
        "`dlctl extract` of one flow that is not there",
        per_savefile_us(searching),
        search_command(shown),
    )
    yield _row(
        session, "start", "a start of the recorder", per_savefile_us(starting), record(shown, MANY)
    )
    words = "a roll-over that prunes, CPU of the recorder and its catalog"
    del rolling[ONE]
    per_roll = {size: [value * 1e6 for value in values] for size, values in rolling.items()}
    yield _row(session, "roll", words, per_roll, record(shown, MANY), unit="us")


def list_command(folder: Path) -> list[str]:
    """Return the command line that lists a ring."""
    return [*find_ours("dlctl"), "ls", "--ring", str(folder)]


def search_command(folder: Path) -> list[str]:
    """Return the command line that looks for a flow in a whole ring."""
    argv = [*find_ours("dlctl"), "extract", "--ring", str(folder), "-w", str(NOWHERE)]
    return [*argv, "host", NEEDLE_HOST]


def record(folder: Path, savefiles: int) -> list[str]:
    """Return the command line that records into a ring of so many savefiles."""
    argv = [*find_ours(), "-i", "vb", "-l", str(folder), "-n", PREFIX, "-r", "-m", str(savefiles)]
    return [*argv, "--roll-packets", str(ROLL_PACKETS)]


def _wall_s(session: Session, argv: Sequence[str]) -> float:
    return run(argv, session.log, LIMIT_S).wall_s


def _record(lab: Lab, out: Path, savefiles: int, load: Load) -> tuple[list[float], float]:
    """Return the seconds until a recorder records, and those of CPU that one roll-over takes."""
    argv = record(out, max(2, savefiles))
    # What an earlier run pruned is adopted by this one; the next finds everything known.
    lab.drive(argv, READY)
    idle = [lab.drive(argv, READY) for _ in range(READINGS)]
    busy = lab.drive(argv, READY, Sending(load.path, load.packets, 1, PACED))
    rolls = load.packets / ROLL_PACKETS
    idle_s = sorted(start.cost.cpu_s for start in idle)[READINGS // 2]
    return [start.began_s for start in idle], per_unit(busy.cost.cpu_s, idle_s, rolls)


def per_savefile_us(costs: Costs) -> Costs:
    """Return microseconds a savefile, without what a ring of one takes."""
    base = sorted(costs[ONE])[len(costs[ONE]) // 2]
    return {
        size: [1e6 * (value - base) / size for value in values]
        for size, values in costs.items()
        if size > ONE
    }


def _row(
    session: Session,
    name: str,
    words: str,
    costs: Costs,
    argv: Sequence[str],
    unit: str = "us/savefile",
) -> Row:
    few, many = (f"{size:,} savefiles" for size in costs)
    return Row(
        f"archive-many-{name}",
        f"{words}, {few} and {many}",
        unit,
        tuple(
            Figure(f"{size:,} savefiles", tuple(values), session.plain(argv))
            for size, values in costs.items()
        ),
        (Goal(LIMIT, few, tool=many),),
    )
