"""-R: a savefile is read and written again, all of it or what a filter accepts; wall time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.count import packets_in
from bench.load import Load
from bench.measure import ToolError, interleaved, run
from bench.peers import Tool
from bench.results import OURS, Goal, Row
from bench.session import Session

PACKETS = 3_000_000
SLICE = 300_000
"""python-libpcap copies a slice; its time is scaled up, as it is many times slower."""

COPYING = (
    OURS,
    "tcpdump",
    "daemonlogger",
    "netsniff-ng",
    "editcap",
    "tcpslice",
    "cp",
    "python-libpcap",
)
FILTERING = (OURS, "tcpdump", "daemonlogger", "netsniff-ng", "python-libpcap")
ALL_GOALS = (Goal(0.5, "tcpdump"), Goal(0.35, "daemonlogger"))
UDP_GOALS = (Goal(1.0, "tcpdump", "<"), Goal(1.0, "daemonlogger", "<"))


def run_all(session: Session) -> Iterator[Row]:
    """Yield the row without a filter."""
    yield _row(session, "replay", "", COPYING, ALL_GOALS)


def run_udp(session: Session) -> Iterator[Row]:
    """Yield the row with the filter udp, which 18 % of the packets pass."""
    yield _row(session, "replay-udp", "udp", FILTERING, UDP_GOALS)


def _row(
    session: Session, name: str, words: str, names: Sequence[str], goals: tuple[Goal, ...]
) -> Row:
    packets, part = session.scaled(PACKETS), session.scaled(SLICE)
    whole = session.load(packets)
    piece = session.load(part, keep=True)
    tools = session.present(names)
    notes = _check(session, tools, piece, words)
    notes["python-libpcap"] = (
        f"measured on {part:,} packets and scaled; it stamps packets with the present time"
    )

    def once(tool: Tool) -> float:
        load = piece if tool.needs_poke else whole
        cost = session.timed(
            lambda out: _argv(tool, load, out, words),
            2 * (load.file_bytes // 4 if words else load.file_bytes),
        )
        return cost.wall_s * whole.packets / load.packets

    values, failures = interleaved(tools, session.rounds, once)
    filtered = f", filter `{words}`" if words else ", everything"
    return Row(
        name,
        f"`-R` of {packets:,} packets ({whole.file_bytes / 1e9:.3f} GB){filtered}: wall, tmpfs",
        "s",
        session.figures(
            names,
            values,
            failures,
            lambda tool: _argv(tool, whole, session.work / "out", words),
            notes,
        ),
        goals,
    )


def _argv(tool: Tool, load: Load, out: Path, words: str) -> Sequence[str]:
    return tool.replay(load.path, out, words) if tool.replay else []


def _check(session: Session, tools: Sequence[Tool], load: Load, words: str) -> dict[str, str]:
    """Let every tool copy the slice once, untimed; note those that do not keep every packet."""
    notes, expected = {}, load.packets * 18 // 100 if words else load.packets
    for tool in tools:
        with session.output() as out:
            try:
                run(_argv(tool, load, out, words), session.log)
            except ToolError:
                continue  # the timed run says why
            kept = packets_in(out.iterdir())
        if kept != expected:
            notes[tool.name] = f"kept {kept:,} of {expected:,} packets"
    return notes
