"""Training curves from ``history.csv``: mean and range over the runs of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cyclemix.report.plots import style


def curves(
    histories: Mapping[str, Sequence[pd.DataFrame]], colours: Mapping[str, str], heading: tuple[str, str]
) -> Figure:
    """Validation Dice over steps and over training seconds, and the loss over steps.

    Args:
        histories: label -> one ``history.csv`` per run (fold and seed).
        colours: by label; methods without one are lines in grey.
    """
    figure, grid = style.panels(3.2, heading, 1, 3, left=0.062, bottom_in=0.80, wspace=0.22)
    panels = [figure.add_subplot(grid[0, column]) for column in range(3)]
    views = (("step", "val_dice_avg"), ("seconds", "val_dice_avg"), ("step", "loss"))
    for axes, (x, y) in zip(panels, views, strict=True):
        for label in sorted(histories, key=colours.__contains__):
            _band(axes, histories[label], x, y, colours.get(label, ""))
        axes.grid(axis="y")
        axes.set_xlim(left=0)
        axes.margins(x=0.02)
    _label_axes(panels)
    shown = {label: colours[label] for label in histories if label in colours}
    style.method_legend(figure, panels[0], shown, len(histories) - len(shown), lw=1.6)
    return figure


def _label_axes(panels: Sequence[Axes]) -> None:
    titles = ("Validation Dice", "Validation Dice", "Training loss")
    for axes, title, name in zip(panels, titles, ("step", "training time, s", "step"), strict=True):
        axes.set_title(title, pad=6)
        axes.set_xlabel(name, labelpad=2)
    low = min(axes.get_ylim()[0] for axes in panels[:2])
    panels[0].set_ylim(max(0.0, low), min(1.0, panels[0].get_ylim()[1] + 0.02))
    if any((np.asarray(line.get_ydata(), dtype=float) <= 0).any() for line in panels[2].lines):
        return  # adversarial and energy terms may be negative
    panels[2].set_yscale("log")
    panels[2].yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    panels[2].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[2].yaxis.set_minor_formatter(NullFormatter())
    panels[2].tick_params(axis="y", which="minor", length=0)


def _band(axes: Axes, runs: Sequence[pd.DataFrame], x: str, y: str, colour: str) -> None:
    """Mean over runs at each step as a line, smallest to largest as a band; no band without a colour."""
    at_step = [run.set_index("step").assign(step=lambda t: t.index) for run in runs]
    values = pd.concat([run[y] for run in at_step], axis=1)
    places = pd.concat([run[x] for run in at_step], axis=1).mean(axis=1)
    if not colour:
        axes.plot(places, values.mean(axis=1), color=style.OTHERS, lw=0.8)
        return
    marker = "o" if len(values) == 1 else ""  # one validation makes no line
    axes.plot(places, values.mean(axis=1), color=colour, lw=1.4, marker=marker, ms=3.2)
    if values.shape[1] > 1:
        low, high = values.min(axis=1), values.max(axis=1)
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    best = int(np.nanargmax(values.mean(axis=1))) if y.startswith("val") else None
    if best is not None:
        axes.plot(places.iloc[best], values.mean(axis=1).iloc[best], "o", ms=3.2, color=colour)
