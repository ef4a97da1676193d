"""Results as Markdown: the full report, and the short table of the README. Pure but for write().

Every number here is computed in results.py; the pictures are drawn by plots.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.results import OURS, Curve, Figure, Results, Row, Verdict, ratio

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
README_PEERS = ("tcpdump", "tcpdump -B 65536", "daemonlogger")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def number(value: float | None, unit: str = "") -> str:
    """Return a value with as many digits as it deserves; a dash where there is none."""
    if value is None:
        return "-"
    if unit == "packets" or abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return f"{text} {unit}" if unit and unit != "packets" else text


def verdict_words(verdict: Verdict) -> str:
    """Return met, NOT met, or that it could not be judged."""
    return {True: "met", False: "**not met**", None: "not measured"}[verdict.met]


def reached(verdict: Verdict) -> str:
    """Return what was reached, as a ratio where the goal is one."""
    if verdict.value is None:
        return "-"
    if verdict.goal.peer:
        return f"{verdict.value:.2f} x"
    return number(verdict.value, "packets" if verdict.value == int(verdict.value) else "")


def _spread(figure: Figure, unit: str) -> str:
    if not figure.values:
        return "-"
    return f"{number(min(figure.values), unit)} to {number(max(figure.values), unit)}"


def row_section(row: Row) -> str:
    """Return a row as a section: figures of every tool, then goals."""
    ours = row.median(OURS)
    figures = [
        [
            figure.tool,
            number(figure.median, row.unit),
            _spread(figure, row.unit),
            str(len(figure.values)),
            "" if (by := ratio(ours, figure.median)) is None else f"{by:.2f}",
            f"`{figure.command}`" if figure.command else "",
            figure.note,
        ]
        for figure in row.figures
    ]
    header = ["tool", f"median ({row.unit})", "range", "runs", "ours / tool", "command", "note"]
    goals = [
        [verdict.goal.text, reached(verdict), verdict_words(verdict)] for verdict in row.verdicts()
    ]
    parts = [f"## {row.title}", table(header, figures)]
    if goals:
        parts.append(table(["goal", "reached", "verdict"], goals))
    parts.append(f"Measured {row.measured}." + (f" Note: {row.note}." if row.note else ""))
    return "\n\n".join(parts)


def curve_section(curve: Curve) -> str:
    """Return a curve as a section: its plot, and its medians as a table."""
    places = sorted({x for points in curve.series.values() for x, _ in points})
    medians = {tool: dict(curve.medians(tool)) for tool in curve.series}
    rows = [[f"{x:,g}", *(number(medians[tool].get(x)) for tool in curve.series)] for x in places]
    header = [curve.x_label, *(f"{tool} ({curve.y_label})" for tool in curve.series)]
    parts = [f"## {curve.title}", f"![{curve.title}]({curve.name}.png)", table(header, rows)]
    parts.append(f"Measured {curve.measured}." + (f" Note: {curve.note}." if curve.note else ""))
    return "\n\n".join(parts)


def document(results: Results) -> str:
    """Return the whole report."""
    made = (
        f"Made by `{results.command}`; values are medians of {results.rounds} interleaved rounds, "
        "or of as many as a row's column `runs` says (round 1 runs every tool once, then round 2 "
        "...), so ratios are of one run. The raw values are in [results.json](results.json)."
    )
    about = [
        "# Benchmark: ours beside its peers",
        made,
        table(["machine", ""], [[f"{key}", value] for key, value in results.machine.items()]),
        table(["tool", "version"], [[key, value] for key, value in results.versions.items()]),
        METHOD,
    ]
    if results.rows:
        about.append("![goals](goals.png)")
    sections = [row_section(row) for row in results.rows]
    sections += [curve_section(curve) for curve in results.curves]
    return "\n\n".join([*about, *sections]) + "\n"


METHOD = """\
How it is measured:

- Wall is the monotonic clock from the start of the process to its end; CPU is user and system
  time of the process as the kernel accounts it (`wait4`), start and imports included.
- Live rows: two network namespaces and a veth pair, IPv6 off, no addresses. `tcpreplay -K` sends
  from one core, the recorder is pinned to the other (where the row does not say that they share
  one). It is stopped by SIGINT once it takes no more packets. Lost = packets that reached its
  interface minus packets in its files, as `capinfos` counts them.
- Rows of `dlctl streams` read complete HTTP conversations, made with the truth about them; every
  tool also runs once untimed, and what it made is compared with that truth. A figure of a tool
  that got something wrong says so. Memory is the resident size of the process and its children,
  sampled every 2 ms, or the peak that the kernel keeps of the process, if that is more.
- Rows of `dlctl extract` search a ring whose index and catalog are there, in the page cache as far
  as it fits. Every tool first runs once untimed, and its output is compared byte by byte with
  tcpdump's; timed runs write to /dev/null. tcpdump is given the names of all savefiles (`-V`).
- Before a run memory is touched and given back, so that a tool does not pay for pages which a
  virtual machine's host has to find first; short runs during which the host took memory away are
  repeated (where the kernel tells)."""


def snippet(results: Results) -> str:
    """Return the short table for the README."""
    rows = []
    for row in results.rows:
        others = [
            f"{figure.tool} {number(figure.median)}"
            for figure in row.figures
            if figure.tool not in (OURS, *README_PEERS) and figure.median is not None
        ]
        verdicts = row.verdicts()
        rows.append(
            [
                row.title,
                row.unit,
                f"**{number(row.median(OURS))}**",
                *(number(row.median(peer)) for peer in README_PEERS),
                ", ".join(others),
                "; ".join(f"{v.goal.text}: {reached(v)}, {verdict_words(v)}" for v in verdicts),
            ]
        )
    header = ["work", "unit", OURS, *README_PEERS, "others", "goal: reached"]
    where = "; ".join(results.machine.get(key, "") for key in ("Processor", "Memory", "Kernel"))
    made = f"Medians of {results.rounds} runs, where the report says no other number, on {where}."
    return f"{table(header, rows)}\n\n{made}"


def put_between_markers(text: str, inserted: str) -> str:
    """Return text with what stands between the markers replaced; unchanged without markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return text
    return f"{head}{BEGIN}\n{inserted}\n{END}{tail}"


def write(results: Results, out: Path, readme: Path | None) -> None:
    """Write the report into out, and the short table into the README if it has the markers."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.md").write_text(document(results))
    if readme is not None and readme.exists():
        before = readme.read_text()
        after = put_between_markers(before, snippet(results))
        if after != before:
            readme.write_text(after)
