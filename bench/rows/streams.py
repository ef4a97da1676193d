"""`dlctl streams` beside tcpflow, on the same capture of HTTP conversations: wall time.

Each tool runs once untimed, and what it made is compared with the truth that the load comes with;
what is wrong, and the memory it took, stands beside its figure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import ToolError, interleaved, peak_bytes
from bench.peers import Tool
from bench.results import OURS, Curve, Goal, Row
from bench.session import Session
from bench.streams_load import Capture, StreamTruth

CAPTURE_BYTES = 305_700_000
GIGABYTES = (0.3, 1.0, 4.0)
NAMES = (OURS, "tcpflow")
SAMPLED = 7  # every so manieth stream and body is compared byte by byte
REPORT = "report.xml"
LIMIT_S = 300

Options = tuple[str, ...]


def run_store(session: Session) -> Iterator[Row]:
    """Yield the row of storing every stream."""
    yield _row(session, "streams-store", "every stream into a file", (), 0.8)


def run_all(session: Session) -> Iterator[Row]:
    """Yield the row with MD5 and HTTP."""
    yield _row(session, "streams-all", "`-a`: files, MD5, HTTP bodies", ("-a",), 0.5)


def run_findx(session: Session) -> Iterator[Row]:
    """Yield the row with an index of times beside each file."""
    yield _row(session, "streams-findx", "`-I`: files, each with a .findx", ("-I",), 0.5)


def run_report(session: Session) -> Iterator[Row | Curve]:
    """Yield the row of the report alone, and how it grows with the capture."""
    options = ("-FX",)
    yield _row(session, "streams-report", "`-FX`: the report alone", options, 1.0)
    points: dict[str, list[tuple[float, tuple[float, ...]]]] = {name: [] for name in NAMES}
    for size in GIGABYTES:
        load = session.capture(session.scaled(int(size * 1e9)))
        for tool, values in _timed(session, load, options)[0].items():
            points[tool.name].append((load.file_bytes / 1e9, tuple(values)))
    yield Curve(
        "streams-report-size",
        "`dlctl streams -FX`, the report alone, tmpfs: wall",
        "GB of the savefile",
        "s",
        {name: tuple(measured) for name, measured in points.items()},
    )


def command(tool: Tool, load: Path, out: Path, options: Options) -> Sequence[str]:
    """Return the command line of a tool."""
    return tool.streams(load, out, options) if tool.streams else []


def _row(session: Session, name: str, words: str, options: Options, limit: float) -> Row:
    load = session.capture(session.scaled(CAPTURE_BYTES))
    notes = {tool.name: _check(session, tool, load, options) for tool in session.present(NAMES)}
    values, failures = _timed(session, load, options)
    megabytes = load.file_bytes / 1e6
    return Row(
        name,
        f"`dlctl streams` of {megabytes:.1f} MB, {len(load.streams):,} streams, {words}: wall, "
        "tmpfs",
        "s",
        session.figures(
            NAMES,
            values,
            failures,
            lambda tool: command(tool, load.path, session.work / "out", options),
            notes,
        ),
        (Goal(limit, "tcpflow"),),
    )


def _timed(
    session: Session, load: Capture, options: Options
) -> tuple[dict[Tool, list[float]], dict[Tool, str]]:
    ballast = 64 << 20 if "-FX" in options else 3 * load.file_bytes

    def once(tool: Tool) -> float:
        cost = session.timed(
            lambda out: command(tool, load.path, out, options), ballast, limit_s=LIMIT_S
        )
        return cost.wall_s

    return interleaved(session.present(NAMES), session.rounds, once)


def _check(session: Session, tool: Tool, load: Capture, options: Options) -> str:
    """Run a tool untimed; return its memory, and how much of what it made is wrong."""
    with session.output() as out:
        try:
            peak = peak_bytes(command(tool, load.path, out, options), session.log, LIMIT_S)
        except ToolError:
            return ""  # the timed run says why
        wrong = verdicts(load, out, options)
    return ", ".join([f"{peak / 1e6:.0f} MB of memory", *wrong])


def verdicts(load: Capture, out: Path, options: Options) -> list[str]:
    """Compare what is in a directory with the truth; return a phrase for each difference."""
    reported = (out / REPORT).read_text(errors="replace").count("<tcpflow ")
    found = [_differ("reported streams", reported, len(load.streams))]
    if "-FX" not in options:
        found += _stream_verdicts(load, out)
    if "-I" in options:
        wrong = sum(not _is_indexed(out, stream) for stream in load.streams[::SAMPLED])
        found.append(f"{wrong} indexes wrong" if wrong else "")
    if "-a" in options:
        found.append(_body_verdict(load, out))
        digests = set(re.findall(r">([0-9a-f]{32})<", (out / REPORT).read_text(errors="replace")))
        missing = sum(stream.md5 not in digests for stream in load.streams)
        found.append(f"{missing} MD5 not reported" if missing else "")
    return [phrase for phrase in found if phrase]


def _differ(what: str, count: int, expected: int) -> str:
    return "" if count == expected else f"{count:,} {what} instead of {expected:,}"


def _stream_verdicts(load: Capture, out: Path) -> list[str]:
    names = {path.name for path in out.iterdir()} - {REPORT}
    made = {name for name in names if not name.endswith(".findx") and "HTTPBODY" not in name}
    expected = {stream.file_name for stream in load.streams}
    missing, spurious = len(expected - made), len(made - expected)
    some = [stream for stream in load.streams[::SAMPLED] if stream.file_name in made]
    wrong = sum(_md5(out / stream.file_name) != stream.md5 for stream in some)
    return [
        f"{missing:,} streams missing" if missing else "",
        f"{spurious:,} files too many" if spurious else "",
        f"{wrong:,} of {len(some):,} streams wrong" if wrong else "",
    ]


def _body_verdict(load: Capture, out: Path) -> str:
    """Judge the bodies of responses, which both tools name alike."""
    stored = [path for path in out.iterdir() if "-HTTPBODY-" in path.name]
    by_stem = {re.sub(r"(-HTTPBODY-\d{3})\..*", r"\1", path.name): path for path in stored}
    some = [body for body in load.bodies if not body.is_request][::SAMPLED]
    wrong = 0
    for body in some:
        path = by_stem.get(f"{body.stream.file_name}-HTTPBODY-{body.number:03}")
        wrong += path is None or _md5(path) != body.md5
    return f"{wrong:,} of {len(some):,} bodies wrong" if wrong else ""


def _is_indexed(out: Path, stream: StreamTruth) -> bool:
    """Whether the index of a stream covers it from its first byte to its last."""
    path = out / f"{stream.file_name}.findx"
    if not path.exists():
        return False
    rows = [line.split("|") for line in path.read_text().splitlines()]
    at = 0
    for offset, length in sorted((int(row[0]), int(row[2])) for row in rows):
        if offset > at:
            return False
        at = max(at, offset + length)
    return at == stream.size_bytes


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
