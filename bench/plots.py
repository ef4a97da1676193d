"""Results as pictures (PNG): one of all rows, one for each curve."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.report import number
from bench.results import OURS, Curve, Results, Row

_OURS_COLOUR, _PEER_COLOUR = "#c0392b", "#7f8c8d"
_COLUMNS = 2


def draw(results: Results, out: Path) -> None:
    """Draw everything into out."""
    if results.rows:
        _draw_rows(results.rows, out / "goals.png")
    for curve in results.curves:
        _draw_curve(curve, out / f"{curve.name}.png")


def _draw_rows(rows: list[Row], path: Path) -> None:
    lines = -(-len(rows) // _COLUMNS)
    figure, axes = plt.subplots(
        lines, _COLUMNS, figsize=(13, 2.6 * lines), squeeze=False, layout="constrained"
    )
    for place, row in enumerate(rows):
        _bars(axes[place // _COLUMNS][place % _COLUMNS], row)
    for place in range(len(rows), lines * _COLUMNS):
        axes[place // _COLUMNS][place % _COLUMNS].set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axis: Axes, row: Row) -> None:
    """Draw medians as bars with their range, and every limit that a goal sets."""
    shown = [figure for figure in reversed(row.figures) if figure.values]
    medians = [figure.median or 0.0 for figure in shown]
    below = [max(0.0, middle - min(f.values)) for middle, f in zip(medians, shown, strict=True)]
    above = [max(0.0, max(f.values) - middle) for middle, f in zip(medians, shown, strict=True)]
    colours = [_OURS_COLOUR if f.tool.startswith(OURS) else _PEER_COLOUR for f in shown]
    bars = axis.barh(
        [f.tool for f in shown], medians, xerr=[below, above], color=colours, capsize=2
    )
    labels = [number(middle, row.unit) for middle in medians]
    axis.bar_label(bars, labels, padding=3, fontsize=7)
    axis.margins(x=0.12)
    for goal in row.goals:
        peer = row.median(goal.peer) if goal.peer else 1.0
        if goal.tool == OURS and peer is not None:
            axis.axvline(goal.limit * peer, color="black", linestyle="--", linewidth=0.8)
    axis.set_title(row.title.replace("`", ""), fontsize=8, loc="left", wrap=True)
    axis.set_xlabel(row.unit, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.set_xlim(left=0)


def _draw_curve(curve: Curve, path: Path) -> None:
    figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for tool in curve.series:
        points = [(x, values) for x, values in curve.series[tool] if values]
        if not points:
            continue
        medians = [middle for _, middle in curve.medians(tool)]
        places = [x for x, _ in points]
        (line,) = axis.plot(places, medians, marker="o", label=tool)
        if tool == OURS:
            line.set(color=_OURS_COLOUR, linewidth=2.2)
        axis.fill_between(
            places,
            [min(values) for _, values in points],
            [max(values) for _, values in points],
            alpha=0.15,
            color=line.get_color(),
        )
    if curve.log_x:
        axis.set_xscale("log")
    if curve.log_y:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.set_title(curve.title.replace("`", ""), fontsize=10)
    axis.set_xlabel(curve.x_label)
    axis.set_ylabel(curve.y_label)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
