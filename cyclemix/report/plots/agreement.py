"""Bland-Altman plots of predicted and true volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cyclemix.evaluation.clinical import LIMITS
from cyclemix.report.plots import style


def bland_altman(
    patients: pd.DataFrame,
    rows: Sequence[tuple[str, str]],
    methods: Sequence[str],
    colours: Mapping[str, str],
    heading: tuple[str, str],
) -> Figure:
    """Difference against mean of prediction and truth, a point per patient; rows: measures, columns: methods.

    Args:
        patients: columns method, subject, structure, measure, unit, pred, true.
        rows: (structure, measure) of each row.
        methods: labels, left to right.
    """
    figure, grid = style.panels(
        0.95 + 1.55 * len(rows), heading, len(rows), len(methods), left=0.11, bottom_in=0.40,
        hspace=0.36, wspace=0.07,
    )  # fmt: skip
    for line, (structure, measure) in enumerate(rows):
        own = patients[(patients["structure"] == structure) & (patients["measure"] == measure)]
        points = {label: _points(own[own["method"] == label]) for label in methods}
        limits = _limits(points)
        for column, label in enumerate(methods):
            axes = figure.add_subplot(grid[line, column])
            _panel(axes, *points[label], colours[label], limits)
            if line == 0:
                axes.set_title(style.narrow(label, 80 // len(methods)), pad=5, color=colours[label])
            if column:
                axes.set_yticklabels([])
            else:
                unit = own["unit"].iloc[0]
                axes.set_ylabel(f"{structure} {_name(measure)}, {unit}\npredicted − true", linespacing=1.3)
            if line == len(rows) - 1 and not column:
                axes.set_xlabel("mean of predicted and true", loc="left", size=7.5, color=style.QUIET)
    figure.align_ylabels()
    return figure


def _name(measure: str) -> str:
    return measure.upper() if measure in ("ef", "edv", "esv") else measure


def _points(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean and difference per patient."""
    pred, true = rows["pred"].to_numpy(dtype=float), rows["true"].to_numpy(dtype=float)
    return (pred + true) / 2, pred - true


def _limits(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Common x and y limits of a row; y holds every point and limit of agreement, with room for text."""
    x = np.concatenate([mean for mean, _ in points.values()])
    reach = [np.abs(difference).max(initial=1e-6) for _, difference in points.values()]
    known = [_agreement(difference) for _, difference in points.values() if difference.size > 1]
    reach += [abs(bias) + LIMITS * spread for bias, spread in known]
    pad = 0.08 * (x.max() - x.min() or abs(x.max()) or 1.0)
    return (float(x.min() - pad), float(x.max() + pad)), (-1.15 * max(reach), 1.5 * max(reach))


def _agreement(difference: np.ndarray) -> tuple[float, float]:
    """Bias and standard deviation."""
    return float(difference.mean()), float(difference.std(ddof=1)) if difference.size > 1 else float("nan")


def _panel(
    axes: Axes,
    mean: np.ndarray,
    difference: np.ndarray,
    colour: str,
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.axhline(0, color=style.RULE, lw=0.8, zorder=0)
    axes.scatter(mean, difference, s=11, color=colour, alpha=0.8, linewidths=0, zorder=3)
    bias, spread = _agreement(difference)
    axes.axhline(bias, color=colour, lw=1.3)
    if np.isfinite(spread):
        axes.axhspan(bias - LIMITS * spread, bias + LIMITS * spread, color=colour, alpha=0.10, linewidth=0)
    gap = "   " if axes.get_position().width > 0.2 else "\n"
    text = f"bias {bias:+.1f}" + (f"{gap}limits ±{LIMITS * spread:.1f}" if np.isfinite(spread) else "")
    text = text.replace("-", "−")
    axes.text(0.97, 0.97, text, transform=axes.transAxes, size=7, ha="right", va="top", color=style.INK)
