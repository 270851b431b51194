"""Overlay panels: image, scribble, ground truth and the prediction of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cyclemix.config.labels import UNLABELLED
from cyclemix.report.plots import style

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
    places = {
        name: round(first + (last - first) * f)
        for name, f in (("base", 1 / 6), ("middle", 0.5), ("apex", 5 / 6))
    }
    return places


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
    if strip:
        _group_label(figure, "training\nscribbles", 0.80)
    for column, panel in enumerate(strip[: len(columns)]):
        axes = image_axes(figure, ROW_LABEL_IN + column * (panel_in + GAP_IN), 0.80, panel_in)
        _view(axes, panel, "scribble", structures, colours)
    y = top_in
    for group in groups:
        _group_label(figure, group.title, y)
        for line, panel in enumerate(group.panels):
            place = (ROW_LABEL_IN - 0.08) / figure.get_figwidth(), 1 - (y + panel_in - 0.05) / height
            quiet: dict[str, Any] = {"size": 7, "color": style.QUIET, "linespacing": 1.25}
            figure.text(*place, panel.title, ha="right", va="bottom", **quiet)
            for column, name in enumerate(columns):
                x = ROW_LABEL_IN + column * (panel_in + GAP_IN)
                axes = image_axes(figure, x, y, panel_in)
                if y == top_in and line == 0:
                    head = _wrapped(name, panel_in)
                    ink = method_colours.get(name, style.INK)
                    axes.set_title(head, size=7.5, loc="center", pad=3, color=ink)
                _view(axes, panel, name, structures, colours)
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


def image_axes(figure: Figure, x_in: float, y_in: float, side_in: float) -> Axes:
    """Square axes for an image, placed from the top left corner of the figure."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((x_in / width, 1 - (y_in + side_in) / height, side_in / width, side_in / height))
    axes.set_axis_off()
    return axes


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


def draw_image(axes: Axes, image: NDArray[Any], aspect: float, limits: NDArray[Any]) -> None:
    """A slice (H,W) in grey; ``limits``: black and white."""
    white = max(limits[1], limits[0] + 1e-6)
    axes.imshow(image, cmap="gray", vmin=limits[0], vmax=white, aspect=aspect, interpolation="bilinear")


def _view(
    axes: Axes, panel: Panel, name: str, structures: Mapping[str, int], colours: Mapping[str, str]
) -> None:
    draw_image(axes, panel.image, panel.aspect, np.percentile(panel.image, (1, 99.5)))
    if name == "image":
        return
    if name == "scribble":
        _strokes(axes, panel.scribble, structures, colours)
        return
    labels = panel.truth if name == "truth" else panel.predictions.get(name)
    if labels is None:
        _say(axes, "not run")
        return
    contours(axes, labels, structures, colours)
    if name != "truth" and panel.truth is not None:
        _scores(axes, labels, panel.truth, structures, colours)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, color="white", size=7, ha="center", va="center")


def contours(
    axes: Axes, labels: NDArray[np.integer], structures: Mapping[str, int], colours: Mapping[str, str]
) -> None:
    """Each structure as a thin line on its border over a light fill."""
    fill = np.zeros((*labels.shape, 4))
    for name, value in structures.items():
        fill[labels == value] = to_rgba(colours[name], 0.22)
    axes.imshow(fill, aspect=axes.get_images()[0].axes.get_aspect(), interpolation="nearest")
    line_pt = 0.3 + 0.45 * axes.get_position().width * style.WIDTH_IN  # thinner in small panels
    for name, value in structures.items():
        mask = (labels == value).astype(float)
        if mask.any():
            padded = np.pad(mask, 1)
            x, y = np.arange(padded.shape[1]) - 1, np.arange(padded.shape[0]) - 1
            axes.contour(x, y, padded, levels=[0.5], colors=[colours[name]], linewidths=line_pt)
    axes.set_xlim(-0.5, labels.shape[1] - 0.5)
    axes.set_ylim(labels.shape[0] - 0.5, -0.5)


def _strokes(
    axes: Axes,
    scribble: NDArray[np.integer] | None,
    structures: Mapping[str, int],
    colours: Mapping[str, str],
) -> None:
    """Scribbled pixels opaque; those of the background in light grey."""
    if scribble is None:
        _say(axes, "no scribble")
        return
    paint = np.zeros((*scribble.shape, 4))
    paint[scribble == 0] = to_rgba("#e8e8e8", 0.75)
    for name, value in structures.items():
        paint[scribble == value] = to_rgba(colours[name], 1.0)
    axes.imshow(paint, aspect=axes.get_aspect(), interpolation="nearest")


def _scores(
    axes: Axes,
    pred: NDArray[np.integer],
    truth: NDArray[np.integer],
    structures: Mapping[str, int],
    colours: Mapping[str, str],
) -> None:
    """The slice's Dice, in percent, in the structures' colours along the lower edge."""
    strip = Rectangle(
        (0, 0), 1, 0.115, transform=axes.transAxes, facecolor="black", alpha=0.6, linewidth=0, zorder=3
    )
    axes.add_patch(strip)
    places = (np.arange(len(structures)) + 0.5) / len(structures)
    for place, (name, value) in zip(places, structures.items(), strict=True):
        score = slice_dice(pred, truth, value)
        text = "–" if np.isnan(score) else f"{100 * score:.0f}"
        axes.text(place, 0.055, text, transform=axes.transAxes, size=6.5, color=colours[name], ha="center",
                  va="center", weight="bold")  # fmt: skip
