"""Overlay panels: image, scribble, ground truth and the prediction of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.report.plots import style
from cyclemix.report.plots.canvas import Box, Canvas

ROW_LABEL_IN = 1.0
GAP_IN = 0.03
GROUP_GAP_IN = 0.14


@dataclass(frozen=True)
class Panel:
    """One slice, cropped around the structures. Arrays are (H,W); labels hold class values 1, 2, ..."""

    title: str
    image: NDArray[np.float64]
    aspect: float
    """Height of a pixel divided by its width."""
    truth: NDArray[np.integer] | None = None
    scribble: NDArray[np.integer] | None = None
    predictions: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The slices of one case, under one label at the left."""

    title: str
    panels: Sequence[Panel]


def slice_dice(pred: NDArray[np.integer], truth: NDArray[np.integer], value: int) -> float:
    """Dice of one class in one slice; NaN where neither holds it."""
    a, b = pred == value, truth == value
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def pick_slices(truth: NDArray[np.integer]) -> dict[str, int]:
    """Slices at base, middle and apex of (D,H,W) ``truth``: the middles of the thirds of the heart's extent.

    The base is the end with the larger labelled area, because the slice order of upstream volumes varies.
    Fewer than three labelled slices give fewer names; none gives the volume's middle.
    """
    areas = np.count_nonzero((truth > 0) & (truth != UNLABELLED), axis=(1, 2))
    filled = np.flatnonzero(areas)
    if filled.size < 3:
        return {"middle": int(filled[filled.size // 2]) if filled.size else truth.shape[0] // 2}
    first, last = int(filled[0]), int(filled[-1])
    third = max(1, (last - first + 1) // 3)
    if areas[first : first + third].sum() < areas[last - third + 1 : last + 1].sum():
        first, last = last, first
    parts = {"base": 1 / 6, "middle": 0.5, "apex": 5 / 6}
    return {name: round(first + (last - first) * part) for name, part in parts.items()}


def crop_box(
    mask: NDArray[np.bool_], spacing_yx: tuple[float, float], margin_mm: float = 18.0
) -> tuple[slice, slice]:
    """Rows and columns of a square (in mm) around ``mask`` (D,H,W) with a margin, inside the image."""
    height, width = mask.shape[1:]
    where = np.argwhere(mask.any(axis=0))
    if where.size == 0:
        return slice(0, height), slice(0, width)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    side_mm = max((high - low) * np.asarray(spacing_yx)) + 2 * margin_mm
    box = []
    for centre, size, spacing in zip((low + high) / 2, (height, width), spacing_yx, strict=True):
        length = min(size, round(side_mm / spacing))
        start = int(np.clip(round(centre - length / 2), 0, size - length))
        box.append(slice(start, start + length))
    return box[0], box[1]


def overlays(
    groups: Sequence[Group],
    methods: Sequence[str],
    structures: Mapping[str, int],
    method_colours: Mapping[str, str],
    heading: tuple[str, str],
    note: str,
    strip: Sequence[Panel] = (),
) -> Figure:
    """One line per slice, one column per view.

    Args:
        groups: cases, top to bottom.
        methods: labels, left to right.
        structures: name -> class value, in the order of tables.
        method_colours: by label, for the column heads.
        strip: training slices with their scribbles, in a line above all else.
    """
    columns = _columns(groups, methods)
    lines = sum(len(group.panels) for group in groups)
    panel_in = min(1.5, (style.WIDTH_IN - ROW_LABEL_IN - 0.08 - GAP_IN * len(columns)) / len(columns))
    strip_in = panel_in + 0.30 if strip else 0.0
    top_in, foot_in = 0.92 + strip_in, 0.34
    height = top_in + foot_in + lines * (panel_in + GAP_IN) + GROUP_GAP_IN * (len(groups) - 1)
    width = ROW_LABEL_IN + 0.08 + len(columns) * (panel_in + GAP_IN)
    figure = style.new_figure(height, max(width, 4.2))
    style.heading(figure, *heading)
    colours = style.structure_colours(list(structures))
    legend(figure, colours, 0.57, ROW_LABEL_IN)
    canvas, lefts = Canvas(figure), [ROW_LABEL_IN + i * (panel_in + GAP_IN) for i in range(len(columns))]
    if strip:
        _group_label(figure, "training\nscribbles", 0.80)
    for left, panel in zip(lefts, strip, strict=False):
        _view(canvas, panel, "scribble", structures, colours, (left, 0.80, panel_in))
    for left, name in zip(lefts, columns, strict=True):
        middle = (left + panel_in / 2) / figure.get_figwidth()
        ink = method_colours.get(name, style.INK)
        head: dict[str, Any] = {"size": 7.5, "weight": "bold", "ha": "center", "va": "bottom", "color": ink}
        figure.text(middle, 1 - (top_in - 0.04) / height, _wrapped(name, panel_in), **head)
    y = top_in
    for group in groups:
        _group_label(figure, group.title, y)
        for panel in group.panels:
            place = (ROW_LABEL_IN - 0.08) / figure.get_figwidth(), 1 - (y + panel_in - 0.05) / height
            quiet: dict[str, Any] = {"size": 7, "color": style.QUIET, "linespacing": 1.25}
            figure.text(*place, panel.title, ha="right", va="bottom", **quiet)
            for left, name in zip(lefts, columns, strict=True):
                _view(canvas, panel, name, structures, colours, (left, y, panel_in))
            y += panel_in + GAP_IN
        y += GROUP_GAP_IN
    style.footnote(figure, note)
    return figure


def _wrapped(name: str, width_in: float) -> str:
    """``name`` broken at underscores where it is wider than its column."""
    lines = [""]
    for part in name.replace("_", "_ ").split():
        fits = 0.075 * (len(lines[-1]) + len(part)) <= width_in
        lines = [*lines[:-1], lines[-1] + part] if fits or not lines[-1] else [*lines, part]
    return "\n".join(lines)


def _columns(groups: Sequence[Group], methods: Sequence[str]) -> list[str]:
    panels = [panel for group in groups for panel in group.panels]
    scribble = ["scribble"] if any(panel.scribble is not None for panel in panels) else []
    truth = ["truth"] if any(panel.truth is not None for panel in panels) else []
    return ["image", *scribble, *truth, *methods]


def _group_label(figure: Figure, title: str, y_in: float) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        0.08 / width, 1 - (y_in + 0.02) / height, title, size=7.5, weight="bold", va="top", linespacing=1.3
    )


def legend(figure: Figure, colours: Mapping[str, str], y_in: float, x_in: float) -> None:
    """Structure names in their contour colours on a dark strip, as they look on the images."""
    width, height = figure.get_size_inches()
    x = x_in
    for name, colour in colours.items():
        box = {"boxstyle": "round,pad=0.25", "facecolor": "#202327", "edgecolor": "none"}
        figure.text(
            x / width, 1 - y_in / height, name, size=7, color=colour, weight="bold", va="center", bbox=box
        )
        x += 0.17 + 0.085 * len(name)


def _view(
    canvas: Canvas,
    panel: Panel,
    name: str,
    structures: Mapping[str, int],
    colours: Mapping[str, str],
    square: tuple[float, float, float],
) -> None:
    box = canvas.slice(panel.image, panel.aspect, np.percentile(panel.image, (1, 99.5)), *square)
    if name == "image":
        return
    own = {"scribble": panel.scribble, "truth": panel.truth}
    labels = own[name] if name in own else panel.predictions.get(name)
    if labels is None:
        words = "no scribble" if name == "scribble" else "not run"
        canvas.text(box, 0.5, 0.5, words, color="white", size=7, ha="center", va="center")
    elif name == "scribble":  # opaque; strokes of the background in light grey
        paint = {value: (colours[structure], 1.0) for structure, value in structures.items()}
        canvas.fill(box, labels, {BACKGROUND: ("#e8e8e8", 0.75), **paint})
    else:
        canvas.outline(box, labels, structures, colours)
        if name != "truth" and panel.truth is not None:
            _scores(canvas, box, labels, panel.truth, structures, colours)


def _scores(
    canvas: Canvas,
    box: Box,
    pred: NDArray[np.integer],
    truth: NDArray[np.integer],
    structures: Mapping[str, int],
    colours: Mapping[str, str],
) -> None:
    """The slice's Dice, in percent, in the structures' colours along the lower edge."""
    canvas.shade(box, 0.115)
    places = (np.arange(len(structures)) + 0.5) / len(structures)
    for place, (name, value) in zip(places, structures.items(), strict=True):
        score = slice_dice(pred, truth, value)
        text = "–" if np.isnan(score) else f"{100 * score:.0f}"
        canvas.text(
            box, place, 0.055, text, size=6.5, color=colours[name], ha="center", va="center", weight="bold"
        )
