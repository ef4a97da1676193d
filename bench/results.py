"""What a run found: every value of every tool, goals and their verdicts. Pure but for load/save.

Medians and ratios are computed here and nowhere else; how they look is left to report.py and
plots.py.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Figure:
    """The values of one tool in one row, one a round; none where it could not run (see note)."""

    tool: str
    values: tuple[float, ...]
    command: str = ""
    note: str = ""

    @property
    def median(self) -> float | None:
        """Return the median, None without values."""
        return statistics.median(self.values) if self.values else None


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for one tool: of its median itself, or of its ratio to a peer's median.

    than: limit is met when the value is "<=", "<" or ">=" to it.
    """

    limit: float
    peer: str = ""
    than: str = "<="
    tool: str = OURS

    @property
    def text(self) -> str:
        """Return the goal in words for a table."""
        whose = "" if self.tool == OURS else f"{self.tool}: "
        limit = f"{self.limit:,g}" if self.limit < 1000 else f"{self.limit:,.0f}"
        return (
            f"{whose}{self.than} {limit} x {self.peer}"
            if self.peer
            else (f"{whose}{self.than} {limit}")
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal with what was reached; met is None where one side has no value."""

    goal: Goal
    value: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work, one metric, all tools."""

    name: str
    title: str
    unit: str
    figures: tuple[Figure, ...]
    goals: tuple[Goal, ...] = ()
    note: str = ""
    measured: str = ""

    def figure(self, tool: str) -> Figure | None:
        """Return the figure of this tool, None if the row has none."""
        return next((figure for figure in self.figures if figure.tool == tool), None)

    def median(self, tool: str) -> float | None:
        """Return the median of this tool, None without values."""
        figure = self.figure(tool)
        return figure.median if figure else None

    def verdicts(self) -> list[Verdict]:
        """Judge every goal of the row."""
        return [judge(goal, self) for goal in self.goals]


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost against work: for each tool a series of (x, values of all rounds)."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[tuple[float, tuple[float, ...]], ...]]
    log_x: bool = False
    log_y: bool = False
    note: str = ""
    measured: str = ""

    def medians(self, tool: str) -> list[tuple[float, float]]:
        """Return (x, median) of this tool, points without values left out."""
        return [(x, statistics.median(values)) for x, values in self.series[tool] if values]


@dataclass(slots=True)
class Results:
    """All rows and curves measured on one machine."""

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    rounds: int = 0
    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def add(self, found: Row | Curve) -> None:
        """Take in a row or a curve, in place of an earlier one of the same name."""
        kept: list[Any] = self.rows if isinstance(found, Row) else self.curves
        for place, known in enumerate(kept):
            if known.name == found.name:
                kept[place] = found
                return
        kept.append(found)


def ratio(value: float | None, to: float | None) -> float | None:
    """Return value / to; None where a side is missing or there is nothing to divide by."""
    return value / to if value is not None and to else None


def judge(goal: Goal, row: Row) -> Verdict:
    """Compare the median, or its ratio to the peer's, with the goal's limit."""
    value = row.median(goal.tool)
    if goal.peer:
        value = ratio(value, row.median(goal.peer))
    if value is None:
        return Verdict(goal, None, None)
    met = {"<=": value <= goal.limit, "<": value < goal.limit, ">=": value >= goal.limit}
    return Verdict(goal, value, met[goal.than])


def per_unit(longer: float, shorter: float, units: float) -> float:
    """Return the cost of one unit of work from two runs that differ by so many units."""
    return (longer - shorter) / units


def save(results: Results, path: Path) -> None:
    """Write everything as JSON, so that a table can be made again without measuring."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what save() wrote. Raises OSError, ValueError or KeyError where that is not it."""
    raw = json.loads(path.read_text())
    rows = [
        Row(
            **{
                **row,
                "figures": tuple(
                    Figure(**{**figure, "values": tuple(figure["values"])})
                    for figure in row["figures"]
                ),
                "goals": tuple(Goal(**goal) for goal in row["goals"]),
            }
        )
        for row in raw["rows"]
    ]
    curves = [
        Curve(
            **{
                **curve,
                "series": {
                    tool: tuple((x, tuple(values)) for x, values in points)
                    for tool, points in curve["series"].items()
                },
            }
        )
        for curve in raw["curves"]
    ]
    return Results(**{**raw, "rows": rows, "curves": curves})
