"""Mean Dice of every row with its interval: one panel per data set, rows grouped by supervision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cyclemix.report.plots import style
from cyclemix.report.wording import LEARNED_FROM

COLOURS = {"scribble": "#0072B2", "scribble+masks": "#009E73", "full": "#3d4450"}
ROW_IN, HEAD_IN, FOOT_IN = 0.165, 0.75, 0.6
GAP = 0.9
"""Empty rows between two groups, for the group's name."""
MARGIN = 0.02
"""Free space, in Dice, on both sides of the axes."""
FAR_OUT = 3.0
"""Means this many interquartile ranges below the lower quartile (Tukey) do not stretch the axes."""
LEGEND = (
    "filled: test-time augmentation and largest component, as in the tables; hollow: as predicted; "
    "bars: 95 % intervals over patients"
)


@dataclass(frozen=True)
class Panel:
    """A data set.

    Attributes:
        title: its full name.
        table: ``supervision, mean, ci_low, ci_high, n_runs, as_predicted`` (mean Dice without clean-up) by
            method.
        trainings: mean Dice of every training, by method.
        published: name and Dice of the best published row, None where there is none.
    """

    title: str
    table: pd.DataFrame
    trainings: pd.Series
    published: tuple[str, float] | None


def draw(panels: Sequence[Panel]) -> Figure:
    """All rows, the best of each group on top by its mean over the data sets; the panels share the rows."""
    places, groups = positions(panels)
    height = ROW_IN * (max(places.values()) + 1.5) + HEAD_IN + FOOT_IN
    heading = ("Mean Dice of every row", LEGEND)
    left = (0.15 + 0.066 * max(map(len, places))) / style.WIDTH_IN
    figure, grid = style.panels(
        height,
        heading,
        1,
        len(panels),
        left=left,
        top_in=HEAD_IN,
        bottom_in=FOOT_IN,
        right=0.975,
        wspace=0.08,
    )
    limits = _limits(panels)
    for column, panel in enumerate(panels):
        axes = figure.add_subplot(grid[0, column])
        _rows(axes, panel, places, limits[0])
        _published(axes, panel)
        axes.set_title(panel.title, pad=6)
        axes.set_xlim(*limits)
        axes.set_ylim(max(places.values()) + 0.7, -1.4)
        axes.set_yticks(list(places.values()), list(places) if column == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        if column == 0:
            if any((each.table["n_runs"] > 1).any() for each in panels):
                _note(axes, "×n: mean of n trainings \nticks: each of them ", 0)
            for kind, top in groups.items():
                axes.text(limits[0], top - 0.75, f" {LEARNED_FROM[kind]}", color=COLOURS[kind], weight="bold")
    return figure


def positions(panels: Sequence[Panel]) -> tuple[dict[str, float], dict[str, float]]:
    """Vertical position of every row by label, and of each group's first row by supervision."""
    whole = pd.concat([panel.table for panel in panels])
    means = whole.groupby(level=0).agg({"supervision": "first", "mean": "mean"})
    places: dict[str, float] = {}
    groups: dict[str, float] = {}
    following = 0.0
    for kind in LEARNED_FROM:
        rows = means[means["supervision"] == kind].sort_values("mean", ascending=False, kind="stable")
        if rows.empty:
            continue
        groups[kind] = following
        for label in rows.index:
            places[str(label)] = following
            following += 1
        following += GAP
    return places, groups


def _rows(axes: Axes, panel: Panel, places: dict[str, float], left: float) -> None:
    for label, row in panel.table.iterrows():
        y, colour = places[str(label)], COLOURS[row["supervision"]]
        axes.hlines(y, row["ci_low"], row["ci_high"], color=colour, lw=1.2, alpha=0.5)
        axes.plot(row["as_predicted"], y, "o", ms=3, mfc="white", mec=colour, mew=0.8)
        axes.plot(row["mean"], y, "o", ms=4, color=colour)
        if row["n_runs"] > 1:
            each = panel.trainings[panel.trainings.index == label]
            axes.plot(each, [y] * len(each), "|", ms=6, mew=0.9, color=colour)
            number = axes.text(1.008, y, f"×{row['n_runs']:.0f}", color=style.QUIET, size=6.5, va="center")
            number.set_transform(axes.get_yaxis_transform())
        if row["mean"] < left:
            _at_left(axes, y, f"◂ {style.number(row['mean'])}", colour)
    for label in set(places) - set(panel.table.index):
        _at_left(axes, places[label], "n/a", style.QUIET)


def _at_left(axes: Axes, y: float, words: str, colour: str) -> None:
    axes.text(0.01, y, words, transform=axes.get_yaxis_transform(), color=colour, va="center")


def _published(axes: Axes, panel: Panel) -> None:
    if panel.published is not None:
        name, value = panel.published
        axes.axvline(value, color=style.QUIET, lw=0.8, ls=(0, (3, 2)))
        _note(axes, f"dashed: best published from these scribbles\n{name}, {style.number(value)}", 1)


def _note(axes: Axes, words: str, side: int) -> None:
    """Grey words below the axis, up to its left (0) or right (1) end."""
    axes.annotate(
        words, (side, 0), xycoords="axes fraction", xytext=(0, -17), textcoords="offset points",
        color=style.QUIET, size=6.5, ha="right", va="top",
    )  # fmt: skip


def _limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """Range of the Dice axes, the same for all panels: the twentieths around all values, and a margin.

    Far below the other means nothing counts: such a mean is a number at the left edge.
    """
    means = pd.concat([panel.table[["mean", "as_predicted"]].stack() for panel in panels])
    lower, upper = np.quantile(means, [0.25, 0.75])
    fence = lower - FAR_OUT * (upper - lower)
    values = [*means[means >= fence], *(panel.published[1] for panel in panels if panel.published)]
    for panel in panels:
        shown, each = panel.table[panel.table["mean"] >= fence], panel.trainings
        values += [*shown["ci_low"], *shown["ci_high"], *each[each.index.isin(shown.index)]]
    # One patient gives no interval.
    low, high = np.nanmin(values), np.nanmax(values)
    return max(0.0, np.floor(20 * low) / 20 - MARGIN), np.ceil(20 * high) / 20 + MARGIN
