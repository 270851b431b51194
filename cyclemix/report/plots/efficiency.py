"""Dice against the annotation budget: one line per method and kept part of its scribbles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullFormatter, NullLocator

from cyclemix.report.plots import style

BUDGETS = {"subjects": "training subjects", "labelled_pixels": "labelled pixels, background included"}

MARKERS = "osD^v<>p"
"""One marker per part of the scribbles, whole scribbles first."""


def draw(points: pd.DataFrame, colours: dict[str, str], heading: tuple[str, str]) -> Figure:
    """Two panels: Dice by training subjects and by labelled pixels, both on a logarithmic axis.

    Args:
        points: ``efficiency.csv``: method, supervision, subjects, scribble_fraction, labelled_pixels, dice,
            ci_low, ci_high.
    """
    figure, grid = style.panels(3.9, heading, 1, 2, left=0.065, top_in=0.62, bottom_in=1.02, wspace=0.07)
    fractions = sorted(points["scribble_fraction"].unique(), reverse=True)
    lines = [line for _, line in points.groupby(["method", "scribble_fraction"], sort=False)]
    panels: list[Axes] = []
    for column, (budget, words) in enumerate(BUDGETS.items()):
        axes = figure.add_subplot(grid[0, column], sharey=panels[0] if panels else None)
        panels.append(axes)
        axes.set_xscale("log")
        for number, line in enumerate(lines):
            _line(axes, line.sort_values(budget), budget, colours, fractions, (number, len(lines)))
        _ticks(axes, points[budget].to_numpy(), budget)
        axes.set_xlabel(words)
        axes.grid(axis="both")
        axes.tick_params(axis="y", labelleft=not column)
    panels[0].set_ylabel("Dice")
    panels[0].set_ylim(*_limits(points))
    _legends(figure, points, colours, fractions)
    return figure


def _line(
    axes: Axes,
    line: pd.DataFrame,
    budget: str,
    colours: dict[str, str],
    fractions: list[float],
    place: tuple[int, int],
) -> None:
    """One method and part of its scribbles; a part is thinner and hollow."""
    first = line.iloc[0]
    colour, rank = colours[first["method"]], fractions.index(first["scribble_fraction"])
    # Subjects coincide: points of one number stand side by side, some percent apart.
    shift = 1.0 if budget != "subjects" else 1.022 ** (place[0] - (place[1] - 1) / 2)
    x = line[budget].to_numpy() * shift
    axes.vlines(x, line["ci_low"], line["ci_high"], color=colour, lw=0.8, alpha=0.6)
    axes.plot(x, line["dice"], color=colour, **_look(rank, colour))


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """Range of the Dice axis: all intervals, a tenth at least, so that noise does not look like a trend."""
    values = points[["ci_low", "dice", "ci_high"]].to_numpy(float)  # one patient gives no interval
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = max(0.02, (0.1 - (high - low)) / 2)
    return max(0.0, low - pad), min(1.0, high + pad)


def _ticks(axes: Axes, values: np.ndarray, budget: str) -> None:
    if budget == "subjects":
        axes.set_xticks(sorted(set(values)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 950, 12k or 3.5M


def _legends(figure: Figure, points: pd.DataFrame, colours: dict[str, str], fractions: list[float]) -> None:
    """Methods by colour, parts of the scribbles by marker."""
    kinds = dict(zip(points["method"].astype(str), points["supervision"].astype(str), strict=True))
    methods = [
        Line2D([], [], color=colours[name], lw=2, label=name + " (dense labels)" * (kind == "full"))
        for name, kind in kinds.items()
    ]
    place: dict[str, Any] = {"loc": "lower left", "ncols": 5}
    figure.legend(handles=methods, bbox_to_anchor=(0.055, 0.075), **place)
    if len(fractions) > 1:
        grey = style.QUIET
        parts = [
            Line2D([], [], color=grey, label=f"{100 * part:.0f} % of each scribble", **_look(rank, grey))
            for rank, part in enumerate(fractions)
        ]
        figure.legend(handles=parts, bbox_to_anchor=(0.055, 0.0), **place)


def _look(rank: int, colour: str) -> dict[str, Any]:
    """Line and marker by the rank of the part: the whole is bold and filled."""
    whole = rank == 0
    return {
        "linestyle": "-" if whole else (0, (3, 1 + rank)),
        "linewidth": 1.5 if whole else 0.9,
        "marker": MARKERS[rank % len(MARKERS)],
        "markersize": 4.5 if whole else 3.8,
        "markerfacecolor": colour if whole else "white",
        "markeredgewidth": 0.9,
    }
