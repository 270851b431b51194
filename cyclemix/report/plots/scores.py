"""Box plots and levels: the scores of every patient and method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from cyclemix.evaluation.statistics import AVERAGE, bootstrap_interval, patient_means
from cyclemix.report.plots import style

LEVELS = ("base", "middle", "apex")

METRIC_NAMES = {"dice": "Dice  (higher is better)", "hd95_mm": "HD95, mm  (lower is better, log scale)"}


def boxplot(
    per_case: pd.DataFrame, methods: Sequence[str], colours: dict[str, str], heading: tuple[str, str]
) -> Figure:
    """Dice and HD95 over patients: one column per structure, one line per method, one point per patient.

    Args:
        per_case: columns of ``per_case.csv``.
        methods: labels, top to bottom.
    """
    patients = patient_means(per_case)
    structures = [*dict.fromkeys(per_case["structure"]), AVERAGE]
    row_height = 0.19 * len(methods) + 0.16
    figure, grid = style.panels(
        2 * row_height + 1.75, heading, 2, len(structures), left=_label_width(methods), right=0.955,
        bottom_in=0.45, hspace=0.62 / row_height, wspace=0.24,
    )  # fmt: skip
    for row, metric in enumerate(METRIC_NAMES):
        for column, structure in enumerate(structures):
            axes = figure.add_subplot(grid[row, column])
            _panel(axes, patients[metric], structure, methods, colours, first=column == 0)
            if row == 0:
                axes.set_title("Average" if structure == AVERAGE else structure, pad=6)
            if column == 0:
                _name_metric(axes, metric)
    return figure


def structure_boxplot(
    per_case: pd.DataFrame,
    methods: Sequence[str],
    colours: dict[str, str],
    structure: str,
    heading: tuple[str, str],
) -> Figure:
    """Dice and HD95 of one structure side by side, on the axes common to all structures.

    Args:
        per_case: columns of ``per_case.csv``, all structures.
        methods: labels, top to bottom.
        structure: one of the table's, or the average.
    """
    patients = patient_means(per_case)
    figure, grid = style.panels(
        0.24 * len(methods) + 1.45, heading, 1, 2, left=_label_width(methods), right=0.955,
        top_in=0.65, bottom_in=0.5, wspace=0.2,
    )  # fmt: skip
    for column, metric in enumerate(METRIC_NAMES):
        axes = figure.add_subplot(grid[0, column])
        _panel(axes, patients[metric], structure, methods, colours, first=column == 0)
        _name_metric(axes, metric)
    return figure


def _label_width(methods: Sequence[str]) -> float:
    """Width of the methods' names as a fraction of the figure."""
    return (0.25 + 0.068 * max(map(len, methods))) / style.WIDTH_IN


def _panel(
    axes: Axes,
    scores: pd.Series,
    structure: str,
    methods: Sequence[str],
    colours: dict[str, str],
    first: bool,
) -> None:
    """Boxes of one structure and metric, on limits common to all structures; names at the first panel."""
    metric = str(scores.name)
    values = [scores.loc[(label, structure)].to_numpy() for label in methods]
    limits = _limits(scores.to_numpy(), metric)
    _boxes(axes, values, [colours[label] for label in methods], metric, limits)
    axes.set_yticks(range(len(methods)), methods if first else [])


def _name_metric(axes: Axes, metric: str) -> None:
    axes.set_xlabel(METRIC_NAMES[metric], loc="left", color=style.QUIET, labelpad=2)


def _limits(values: np.ndarray, metric: str) -> tuple[float, float]:
    if metric == "dice":
        return max(0.0, np.floor(float(np.nanmin(values)) * 20) / 20 - 0.02), 1.005
    positive = values[values > 0]
    if positive.size == 0:
        return 0.5, 2.0
    return float(positive.min()) / 1.25, float(positive.max()) * 1.3


def _boxes(
    axes: Axes, values: Sequence[np.ndarray], colours: Sequence[str], metric: str, limits: tuple[float, float]
) -> None:
    """Horizontal boxes (quartiles, whiskers to 1.5 IQR) over jittered patients; a diamond marks the mean."""
    drawn = [np.maximum(v, limits[0]) for v in values]  # a distance of 0 has no place on a log axis
    means = [float(np.mean(each)) for each in drawn]
    axes.set_xscale("linear" if metric == "dice" else "log")
    box: dict[str, Any] = {"widths": 0.56, "orientation": "horizontal", "showfliers": False}
    parts = axes.boxplot(drawn, positions=range(len(drawn)), manage_ticks=False, patch_artist=True, **box)
    for i, colour in enumerate(colours):
        parts["boxes"][i].set(facecolor=colour, alpha=0.28, linewidth=0)
        parts["medians"][i].set(color=colour, linewidth=1.6)
        for line in (*parts["whiskers"][2 * i : 2 * i + 2], *parts["caps"][2 * i : 2 * i + 2]):
            line.set(color=colour, linewidth=0.7)
        text = style.number(means[i]) if metric == "dice" else _millimetres(float(np.mean(values[i])))
        axes.text(1.02, i, text, transform=axes.get_yaxis_transform(), size=7, va="center")
    places = np.concatenate([i + 0.36 * (_spread(len(each)) - 0.5) for i, each in enumerate(drawn)])
    ink = np.repeat(colours, [len(each) for each in drawn])
    axes.scatter(np.concatenate(drawn), places, s=5, c=ink, alpha=0.75, linewidths=0, zorder=3)
    diamonds: dict[str, Any] = {"marker": "D", "facecolor": "white", "edgecolor": style.INK}
    axes.scatter(means, range(len(means)), s=11, linewidths=0.7, zorder=4, **diamonds)
    axes.set_ylim(len(drawn) - 0.45, -0.55)
    axes.set_xlim(*limits)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if metric != "dice":
        wide = limits[1] / limits[0] > 20
        steps = (0.3, 1, 3, 10, 30, 100, 300) if wide else (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
        ticks = [tick for tick in steps if limits[0] <= tick <= limits[1]]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.tick_params(axis="x", which="minor", length=0)


def _millimetres(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _spread(count: int) -> np.ndarray:
    """``count`` quasi-random numbers in 0..1 (golden ratio)."""
    return (np.arange(count) * 0.6180339887498949 + 0.5) % 1.0


def levels(
    table: pd.DataFrame, methods: Sequence[str], structures: Sequence[str], colours: dict[str, str],
    heading: tuple[str, str],
) -> Figure:  # fmt: skip
    """Mean Dice over patients at base, middle, apex with 95 % bootstrap intervals; one panel per structure.

    Args:
        table: ``metrics_by_level.csv`` of all runs with the columns method, fold and seed.
        colours: by label; methods without one are lines in grey, without intervals.
    """
    keys = ["method", "structure", "level", "subject"]
    cases = table.groupby([*keys, "case"], sort=True)["dice"].mean()
    patients = cases.groupby(keys).mean()
    shown = [label for label in methods if label in colours]
    figure, grid = style.panels(3.1, heading, 1, len(structures), left=0.065, bottom_in=0.62, wspace=0.08)
    lowest, panels = 1.0, []
    for column, structure in enumerate(structures):
        axes = figure.add_subplot(grid[0, column])
        panels.append(axes)
        axes.set_title(structure, pad=6)
        for label in sorted(methods, key=shown.__contains__):
            shift = 0.34 * ((shown.index(label) + 0.5) / len(shown) - 0.5) * 2 if label in shown else 0.0
            lowest = min(lowest, _level_line(axes, patients, label, structure, shift, colours.get(label, "")))
        axes.set_xticks(range(3), LEVELS)
        axes.set_xlim(-0.5, 2.5)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        if column:
            axes.set_yticklabels([])
    for axes in panels:
        axes.set_ylim(max(0.0, np.floor(lowest * 20) / 20 - 0.02), 1.005)
    panels[0].set_ylabel("Dice")
    named, others = {label: colours[label] for label in shown}, len(methods) - len(shown)
    style.method_legend(figure, panels[0], named, others, marker="o", ms=4, lw=1.2)
    return figure


def _level_line(
    axes: Axes, patients: pd.Series, label: str, structure: str, shift: float, colour: str
) -> float:
    known = set(patients.reset_index("subject").index)
    shown = [place for place, level in enumerate(LEVELS) if (label, structure, level) in known]
    values = [patients.loc[(label, structure, LEVELS[place])].to_numpy() for place in shown]
    places, means = [place + shift for place in shown], [float(each.mean()) for each in values]
    if not colour:
        axes.plot(places, means, "-", lw=0.8, color=style.OTHERS)
        return min(means, default=1.0)
    lows, highs = np.array([bootstrap_interval(each) for each in values]).reshape(-1, 2).T
    axes.plot(places, means, "-", lw=0.8, color=colour, alpha=0.45)
    axes.vlines(places, lows, highs, color=colour, lw=1.4)
    axes.plot(places, means, "o", ms=4, color=colour)
    return float(np.nanmin([*lows, *means])) if means else 1.0
