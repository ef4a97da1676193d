"""`python -m bench`: measure rows, and write the report after each of them.

    python -m bench                       everything, 5 rounds, to docs/bench
    python -m bench replay live-top       these rows only; others are kept from the last run
    python -m bench --quick               small loads, one round, to build/bench
    python -m bench --render              no measuring: the report again from results.json

Live rows need root (network namespaces, loop mounts).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import lab, machine, plots, report, results
from bench.measure import ToolError
from bench.peers import all_tools
from bench.results import Results
from bench.rows import ROWS
from bench.session import Session

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "docs" / "bench"
ROUNDS = 5
NEEDED = (
    "ip",
    "taskset",
    "setpriv",
    "tcpreplay",
    "mkfs.ext4",
    "mount",
    "fsfreeze",
    "sysctl",
    "iperf3",
    "tcpdump",
)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    listed = "\n".join(f"  {name:<18} {words}" for name, (_, words) in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the recorder beside its peers.",
        epilog=f"rows:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure (default: all)")
    parser.add_argument("-n", "--rounds", type=int, help=f"rounds of each row ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="small loads, one round")
    parser.add_argument("--out", type=Path, help="where the report goes (docs/bench)")
    parser.add_argument(
        "--work", type=Path, default=Path("/dev/shm"), help="loads and outputs; about 9 GB"
    )
    parser.add_argument(
        "--ring-home", type=Path, help="the ring of the archive rows, 21 GB (default: --work)"
    )
    parser.add_argument("--render", action="store_true", help="write the report again, only")
    options = parser.parse_args(argv)
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; rows are: {', '.join(ROWS)}")
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.out = options.out or (ROOT / "build/bench" if options.quick else PUBLISHED)
    return options


def earlier(path: Path, fresh: Results) -> Results:
    """Return the results of an earlier run if they are of this machine, else fresh ones."""
    try:
        known = results.load(path)
    except (OSError, ValueError, KeyError, TypeError):
        return fresh
    if known.machine != fresh.machine or known.rounds != fresh.rounds:
        return fresh
    return dataclasses.replace(fresh, rows=known.rows, curves=known.curves)


def publish(found: Results, options: argparse.Namespace) -> None:
    """Write tables, plots and raw values."""
    # Only what goes to its published place is shown to readers: not a trial with --out or --quick.
    published = options.out.resolve() == PUBLISHED
    report.write(found, options.out, ROOT / "README.md" if published else None)
    plots.draw(found, options.out)
    results.save(found, options.out / "results.json")


def ring_home(parent: Path | None) -> contextlib.AbstractContextManager[Path | None]:
    """Make a directory for the ring where one was asked for; else it goes with the loads."""
    if parent is None:
        return contextlib.nullcontext()
    lab.sweep_leftovers(parent)
    return lab.work_directory(parent)


def measure_all(options: argparse.Namespace) -> int:
    """Measure the rows asked for; return 1 if one of them could not be measured."""
    status = 0
    tools = all_tools()
    lab.sweep_leftovers(options.work)
    with lab.work_directory(options.work) as work, ring_home(options.ring_home) as rings:
        session = Session(tools, work, options.rounds, options.quick, rings)
        fresh = Results(machine.describe(work), machine.versions(tools), options.command)
        fresh.rounds = options.rounds
        found = earlier(options.out / "results.json", fresh)
        for name in options.rows or ROWS:
            measure, words = ROWS[name]
            began = time.monotonic()
            session.say(f"{name}: {words}")
            try:
                for one in measure(session):
                    found.add(dataclasses.replace(one, measured=time.strftime("%Y-%m-%d")))
            except ToolError as error:
                status = 1
                session.say(f"{name}: failed: {error}")
            session.say(f"{name}: {time.monotonic() - began:.0f} s")
            publish(found, options)
    print(report.snippet(found))
    return status


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; return its exit status."""
    options = arguments(argv)
    # Rows may come from several calls, each naming some of them.
    options.command = "python -m bench"
    if options.render:
        publish(results.load(options.out / "results.json"), options)
        return 0
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        why = f"not installed: {', '.join(missing)}" if missing else "root is needed"
        print(f"python -m bench: {why}", file=sys.stderr)
        return 2
    # What Ctrl-C does, so that the lab is taken down in either case.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return measure_all(options)
    except KeyboardInterrupt:
        print("interrupted; the rows finished so far are written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
