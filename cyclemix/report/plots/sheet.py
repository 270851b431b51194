"""A contact sheet of one segmented volume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from cyclemix.report.plots import style
from cyclemix.report.plots.canvas import Canvas
from cyclemix.report.plots.overlays import crop_box, legend

if TYPE_CHECKING:
    from cyclemix.inference.segment import Segmented

COLUMNS = 6
MOST_SLICES = 24
MARGIN_MM = 25.0
TOP_IN, FOOT_IN, GAP_IN = 0.85, 0.1, 0.03
NOTE_LINE_IN = 0.14


def save_sheet(folder: Path, done: Segmented) -> None:
    """Write ``{name}.png``."""
    with style.styled():
        style.save(contact_sheet(done), folder, done.name)


def contact_sheet(done: Segmented) -> Figure:
    """Slices in order, cropped around the segmented structures, with contours, volumes and warnings."""
    image, labels, (_, dy, dx) = done.image, done.labels, done.spacing_mm
    volumes_ml = dict(zip(done.volumes["structure"], done.volumes["volume_ml"], strict=True))
    warnings = [text for text in done.volumes["outside_domain"].iloc[0].split("; ") if text]
    box = (slice(None), *crop_box(labels > 0, (dy, dx), MARGIN_MM))
    shown = np.unique(np.linspace(0, len(image) - 1, min(len(image), MOST_SLICES)).round().astype(int))
    lines = math.ceil(len(shown) / COLUMNS)
    side = (style.WIDTH_IN - 0.16 - GAP_IN * (COLUMNS - 1)) / COLUMNS
    foot = FOOT_IN + NOTE_LINE_IN * len(warnings)
    height = TOP_IN + lines * (side + GAP_IN) + foot
    figure = style.new_figure(height)
    found = ", ".join(f"{name} {volume:.1f} ml" for name, volume in volumes_ml.items())
    style.heading(figure, done.name, f"{len(shown)} of {len(image)} slices; {found}")
    by_table_order = style.structure_colours(list(reversed(volumes_ml)))  # as in all other figures
    colours = {name: by_table_order[name] for name in volumes_ml}
    legend(figure, colours, 0.66, 0.12)
    limits = np.percentile(image[box], (1, 99.5))
    values = {name: value for value, name in enumerate(volumes_ml, start=1)}
    canvas = Canvas(figure)
    dark = {"boxstyle": "round,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
    for place, index in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        left, top = 0.08 + column * (side + GAP_IN), TOP_IN + row * (side + GAP_IN)
        drawn = canvas.slice(image[box][index], dy / dx, limits, left, top, side)
        canvas.outline(drawn, labels[box][index], values, colours)
        canvas.text(drawn, 0.04, 0.96, str(index), color="white", size=6, va="top", bbox=dark)
    note = [f"Outside the training domain: {text}" for text in warnings]
    style.footnote(figure, "\n".join(note))
    return figure
