"""One roll-over against the number of files in the ring: prune and adopt must not be linear.

A directory is filled with as many small savefiles as the ring may have, so every roll-over prunes
one. Two runs that differ only in how often they roll give the cost of one roll-over; a run that
writes one packet gives the cost of adopting what is there, start of Python included.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from bench.load import FILE_HEADER, Load
from bench.measure import ToolError, run
from bench.results import OURS, Curve, per_unit
from bench.session import Session

FILES = (10, 100, 1_000, 10_000, 100_000)
ROLLS = 2_000
PER_FILE = 10
FIRST_EPOCH = 1_600_000_000
PREFIX = "t"
SIZES = ((60, 100),)


def run_ring(session: Session) -> Iterator[Curve]:
    """Yield the cost of a roll-over and of the start, against the files in the ring."""
    tool = session.tools[OURS]
    rolling: list[tuple[float, tuple[float, ...]]] = []
    starting: list[tuple[float, tuple[float, ...]]] = []
    rolls = session.scaled(ROLLS)
    load = session.load(rolls * PER_FILE + 1, SIZES)
    for files in FILES if tool.installed else ():
        if session.quick and files > 10_000:
            break
        with session.output() as out:
            per_roll, begin = [], []
            for _ in range(session.rounds):
                few, many, none = (
                    _wall_s(session, load, out, files, count) for count in (rolls // 2, rolls, 0)
                )
                per_roll.append(per_unit(many, few, rolls - rolls // 2) * 1e6)
                begin.append(none * 1e3)
        rolling.append((files, tuple(per_roll)))
        starting.append((files, tuple(begin)))
    x_label = "savefiles in the ring"
    yield Curve(
        "ring",
        f"one roll-over with pruning, `-R -r -m N --roll-packets {PER_FILE}`, tmpfs",
        x_label,
        "us/roll-over",
        {OURS: tuple(rolling)},
        log_x=True,
        note=f"from the difference of {rolls:,} and {rolls // 2:,} roll-overs",
    )
    yield Curve(
        "ring-start",
        "a whole run that adopts the ring and writes one packet, wall",
        x_label,
        "ms",
        {OURS: tuple(starting)},
        log_x=True,
        log_y=True,
    )


def _wall_s(session: Session, load: Load, out: Path, files: int, rolls: int) -> float:
    """Fill the ring up, run with so many roll-overs, return the wall time."""
    fill(out, files)
    argv = [*session.tools[OURS].program, "-R", str(load.path), "-l", str(out), "-n", PREFIX]
    argv += ["-r", "-m", str(files), "--roll-packets", str(PER_FILE)]
    argv += ["-c", str(rolls * PER_FILE + 1)]
    wall_s = run(argv, session.log).wall_s
    left = len(os.listdir(out))
    if left != files:
        raise ToolError(f"{left} files are left in a ring of {files}: {' '.join(argv)}")
    return wall_s


def fill(folder: Path, files: int) -> None:
    """Put the directory in the state of a ring of so many one-packet savefiles."""
    wanted = {f"{PREFIX}.{FIRST_EPOCH + number}" for number in range(files)}
    present = set(os.listdir(folder))
    for name in present - wanted:
        os.unlink(folder / name)
    record = struct.pack("<IIII", FIRST_EPOCH, 0, 60, 60) + bytes(60)
    for name in wanted - present:
        (folder / name).write_bytes(FILE_HEADER + record)
