"""`dlctl extract` beside `tcpdump -r` of every file of the same ring: wall time, same cache state.

Each tool runs once untimed before it is measured: that brings the ring into the page cache as far
as it fits, and its output is compared, byte for byte, with tcpdump's. Timed runs write to
/dev/null, both tools. How the ring's size, its index and its recorder bear on it is left to
archive_index.py, archive_many.py and archive_live.py.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ToolError, interleaved, run
from bench.peers import Tool, find_ours
from bench.results import OURS, Curve, Goal, Row
from bench.ring_load import MARK, SAVEFILES, Ring
from bench.session import Session

NAMES = (OURS, "tcpdump")
LIMIT_S = 600
CURVE = (20, 60, 200, 600, 2_000)
NOWHERE = Path(os.devnull)
SCANS = {
    "archive-scan-flags": "tcp[13] & 4 != 0",
    "archive-scan-length": "len > 1000",
    "archive-scan-payload": f"udp[8:2] = {MARK:#x}",
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for: the filter, and for ours options of the span."""

    ring: Ring
    listing: Path
    words: str
    span: tuple[str, ...] = ()

    def command(self, tool: Tool, out: Path) -> Sequence[str]:
        """Return the command line of a tool; tcpdump knows no span."""
        if tool.search is None:
            return []
        argv = tool.search(self.ring.folder, self.listing, out, self.words)
        return [*argv, *self.span] if tool.name == OURS else argv


def run_flow(session: Session) -> Iterator[Row | Curve]:
    """Yield one flow of 100 packets, near together and all along the ring; and the curve."""
    ring = prepared(session)
    for name, words, where in (
        ("archive-flow", ring.needle, "within five savefiles"),
        ("archive-long-flow", ring.long_needle, "all along the ring"),
    ):
        title = f"one flow of 100 packets {where}"
        yield _row(session, name, title, _search(session, ring, words), Goal(1 / 50, "tcpdump"))
    yield _curve(session, ring)


def run_minute(session: Session) -> Iterator[Row]:
    """Yield everything within a minute; tcpdump, which knows no time, looks for the flow."""
    ring = prepared(session)
    begin, end = (str(us // 1_000_000) for us in ring.minute_us)
    minute = _search(session, ring, "", ("--from", begin, "--to", end))
    flow = _search(session, ring, ring.needle)
    yield _row(
        session,
        "archive-minute",
        "all packets of one minute (tcpdump, which has no option for a time, reads everything and "
        "writes one flow)",
        minute,
        Goal(1 / 100, "tcpdump"),
        peers=flow,
    )


def run_scans(session: Session) -> Iterator[Row]:
    """Yield the filters that ask for what no index holds."""
    ring = prepared(session)
    for name, words in SCANS.items():
        search = _search(session, ring, words)
        yield _row(session, name, f"`{words}`, which no index holds", search, Goal(1.1, "tcpdump"))


def prepared(session: Session) -> Ring:
    """Return the ring, with its catalog and its index."""
    ring = session.ring(session.scaled(SAVEFILES))
    make_archive(session, ring.folder)
    return ring


def make_archive(session: Session, folder: Path) -> None:
    """Give a ring its catalog and its index, as far as it has none yet."""
    for verb in (["verify", "--rebuild", "--no-progress"], ["index", "--no-progress"]):
        if verb[0] == "verify" and list(folder.glob("*.catalog")):
            continue
        run([*find_ours("dlctl"), *verb, "--ring", str(folder)], session.log, LIMIT_S)


def listed(paths: Sequence[Path], listing: Path) -> Path:
    """Write the names of savefiles into a file for tcpdump's -V."""
    listing.write_text("".join(f"{path}\n" for path in paths))
    return listing


def _search(session: Session, ring: Ring, words: str, span: tuple[str, ...] = ()) -> Search:
    return Search(ring, listed(ring.paths, session.work / "savefiles"), words, span)


def _row(
    session: Session,
    name: str,
    title: str,
    search: Search,
    goal: Goal,
    *,
    peers: Search | None = None,
) -> Row:
    def asked(tool: Tool) -> Search:
        return search if tool.name == OURS or peers is None else peers

    verdict = _minute_verdict(search) if peers else _verdict(session, search)

    def once(tool: Tool) -> float:
        return run(asked(tool).command(tool, NOWHERE), session.log, LIMIT_S).wall_s

    values, failures = interleaved(session.present(NAMES), session.rounds, once)
    ring = search.ring
    return Row(
        name,
        f"`dlctl extract` from {len(ring.paths):,} savefiles, {ring.total_bytes / 1e9:.1f} GB, "
        f"{ring.flows:,} flows: {title}: wall",
        "s",
        session.figures(
            NAMES,
            values,
            failures,
            lambda tool: asked(tool).command(tool, NOWHERE),
            {OURS: verdict},
        ),
        (goal,),
    )


def _verdict(session: Session, search: Search) -> str:
    """Say whether both tools' outputs are the same bytes."""
    found = {
        _digest(search.command(tool, Path("-")), session.log) for tool in session.present(NAMES)
    }
    if len(found) > 1:
        return f"the output is not tcpdump's: {sorted(found)}"
    ((_, size),) = found
    return f"the same {size:,} bytes"


def _minute_verdict(search: Search) -> str:
    """Say whether the output is what the savefiles of the minute hold of it."""
    begin_us, end_us = search.ring.minute_us
    expected = hashlib.sha256()
    size = 0
    for number, path in enumerate(search.ring.paths):
        if path.stat().st_mtime_ns // 1000 < begin_us or int(path.suffix[1:]) * 10**6 >= end_us:
            expected.update(path.read_bytes()[:24] if not number else b"")
            continue
        data = path.read_bytes()
        kept = records_between(data, begin_us, end_us)
        expected.update((data[:24] if not number else b"") + kept)
        size += len(kept)
    tool = Tool(OURS, find_ours("dlctl"))
    argv = [*tool.program, "extract", "--ring", str(search.ring.folder), "-w", "-", *search.span]
    digest, got = _digest(argv, None)
    if digest != expected.hexdigest():
        return f"not what the savefiles hold: {got:,} bytes instead of {size + 24:,}"
    return f"the same {got:,} bytes as a reading of the savefiles"


def records_between(data: bytes, begin_us: int, end_us: int) -> bytes:
    """Return the records of a little-endian microsecond savefile from one time up to another.

    Times in the savefile grow.
    """
    at, begin, end = 24, None, len(data)
    while at < len(data):
        seconds, micros, caplen = (
            int.from_bytes(data[at + place : at + place + 4], "little") for place in (0, 4, 8)
        )
        when_us = seconds * 1_000_000 + micros
        if begin is None and when_us >= begin_us:
            begin = at
        if when_us >= end_us:
            end = at
            break
        at += 16 + caplen
    return b"" if begin is None else data[begin:end]


def _digest(argv: Sequence[str], log: Path | None) -> tuple[str, int]:
    """Run a tool that writes to standard output; return SHA-256 and size of what it wrote."""
    digest, size = hashlib.sha256(), 0
    with (log or NOWHERE).open("wb") as errors:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        with process.stdout as pipe:
            while chunk := pipe.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        status = process.wait(LIMIT_S)
    if status:
        raise ToolError(f"exit status {status}: {' '.join(argv)}")
    return digest.hexdigest(), size


def _curve(session: Session, ring: Ring) -> Curve:
    """Return the wall time for the flow in the ring's middle, against savefiles around it."""
    points: dict[str, list[tuple[float, tuple[float, ...]]]] = {name: [] for name in NAMES}
    for count in (session.scaled(many) for many in CURVE):
        if count < CURVE[0]:
            continue
        with session.output(ring.folder.parent) as folder:
            search = _search(session, middle_of(ring, count, folder), ring.needle)
            make_archive(session, folder)

            def once(tool: Tool) -> float:
                argv = search.command(tool, NOWHERE)  # noqa: B023
                return run(argv, session.log, LIMIT_S).wall_s

            once(session.tools[OURS])
            samples, _ = interleaved(session.present(NAMES), session.rounds, once)
        for tool, values in samples.items():
            points[tool.name].append((count, tuple(values)))
    ratios = ", ".join(
        f"{statistics.median(theirs) / statistics.median(ours):.0f} x at {count:,g}"
        for (count, ours), (_, theirs) in zip(points[OURS], points["tcpdump"], strict=False)
    )
    return Curve(
        "archive-flow-savefiles",
        "`dlctl extract` of one flow of 100 packets: wall",
        "savefiles of 10 MB",
        "s",
        {name: tuple(measured) for name, measured in points.items()},
        log_x=True,
        log_y=True,
        note=f"faster by {ratios} savefiles" if ratios else "",
    )


def middle_of(ring: Ring, count: int, folder: Path) -> Ring:
    """Link so many savefiles of a ring's middle, and their indexes, into another directory."""
    first = (len(ring.paths) - count) // 2
    paths = []
    for path in ring.paths[first : first + count]:
        os.link(path, folder / path.name)
        paths.append(folder / path.name)
    prefix = ring.paths[0].name.partition(".")[0]
    own, other = ring.folder / f"{prefix}.index", folder / f"{prefix}.index"
    other.mkdir()
    for path in paths:
        os.link(own / f"{path.name}.npz", other / f"{path.name}.npz")
    share = count / len(ring.paths)
    return Ring(
        folder,
        tuple(paths),
        int(ring.packets * share),
        int(ring.total_bytes * share),
        int(ring.flows * share),
        ring.first_us,
        ring.last_us,
    )
