"""Common style of all figures: type sizes, colours of methods and structures, reproducible files."""

from __future__ import annotations

import base64
import colorsys
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from cyclemix.files.atomic import write_bytes, write_text

WIDTH_IN = 8.0
"""Width of a figure; with 7 to 9 pt type it stays legible when a README shrinks it to 800 pixels."""

DPI = 200

INK, QUIET, RULE = "#1f2328", "#6b7280", "#d9dce1"
"""Text, secondary text, hairlines."""

EMPHASIS = "#0072B2"
"""The method that the others are compared with."""

OTHERS = "#c9cdd3"
"""The methods that a crowded figure does not tell apart."""

ANCHORS = ("#3d4450", "#8a929e", "#15181c", "#b4bac3")
"""Colour of dense supervision, the reference for scribbles."""

RIVALS = (
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D31",
    "#7B6FD0",
    "#B8B000",
    "#A0436A",
    "#5F9EA0",
)
"""Okabe and Ito's colours (safe for colour-blind readers), then some of like lightness."""

CARDIAC = {"LV": "#FFB000", "MYO": "#35C9F2", "RV": "#FF5C9E"}
OTHER_STRUCTURES = ("#FFB000", "#35C9F2", "#FF5C9E", "#7CE38B", "#B69CFF", "#F4F1BB")
"""Bright enough for contours on grey images, distinguishable with the common kinds of colour blindness."""

RC: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.dpi": DPI,
    "svg.hashsalt": "cyclemix",  # equal input gives equal bytes
}


def styled() -> AbstractContextManager[None]:
    """Draw inside this block to get the common look."""
    return mpl.rc_context(RC)


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure of the common width."""
    return Figure(figsize=(width_in, height_in))


def panels(
    height_in: float,
    heading_: tuple[str, str],
    rows: int,
    columns: int,
    *,
    left: float,
    bottom_in: float,
    top_in: float = 0.80,
    right: float = 0.985,
    **space: float,
) -> tuple[Figure, GridSpec]:
    """A figure with title and subtitle, and the grid for its axes; ``space``: hspace, wspace."""
    figure = new_figure(height_in)
    heading(figure, *heading_)
    edges = {"left": left, "right": right, "top": 1 - top_in / height_in, "bottom": bottom_in / height_in}
    return figure, figure.add_gridspec(rows, columns, **edges, **space)


def save(figure: Figure, folder: Path, name: str, *, vector: bool = False, dpi: int = DPI) -> list[Path]:
    """Write ``name.png`` (and ``name.svg``) without dates, so that equal figures are equal files."""
    kinds = {"png": {"Software": None}} | ({"svg": {"Date": None}} if vector else {})
    paths = [folder / f"{name}.{kind}" for kind in kinds]
    for path, (kind, metadata) in zip(paths, kinds.items(), strict=True):
        image = io.BytesIO()
        figure.savefig(image, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
        write_bytes(path, image.getbuffer())
    return paths


def save_embedded(image: Path, alt: str) -> None:
    """``image`` inside an HTML file of the same name, for pages that may name no other file."""
    data = base64.b64encode(image.read_bytes()).decode()
    write_text(image.with_suffix(".html"), f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">\n')


def method_colours(supervision: Mapping[str, str], compare_to: str) -> dict[str, str]:
    """One colour per method, the same in every figure of a study.

    Args:
        supervision: supervision by label, all rows of the study in its order.
    """
    anchors, rivals = itertools.cycle(ANCHORS), itertools.cycle(RIVALS)
    return {
        label: EMPHASIS if label == compare_to else next(anchors if kind == "full" else rivals)
        for label, kind in supervision.items()
    }


def method_legend(figure: Figure, axes: Axes, colours: Mapping[str, str], others: int, **look: Any) -> None:
    """An entry for each method in colour and one for all ``others`` in grey, bottom left."""
    named = {**colours} | ({f"{others} others": OTHERS} if others else {})
    handles = [axes.plot([], [], color=colour, label=label, **look)[0] for label, colour in named.items()]
    figure.legend(handles=handles, loc="lower left", ncols=min(len(handles), 6), bbox_to_anchor=(0.055, 0.0))


def narrow(label: str, most: int) -> str:
    """A label of more than ``most`` letters in two lines, parted at the underscore nearest its middle."""
    cuts = [place for place, letter in enumerate(label) if letter == "_"]
    if len(label) <= most or not cuts:
        return label
    cut = min(cuts, key=lambda place: abs(2 * place - len(label)))
    return f"{label[:cut]}\n{label[cut:]}"


def structure_colours(structures: Sequence[str]) -> dict[str, str]:
    """One contour colour per structure: the fixed ones, then hues spaced by the golden ratio."""
    taken = {CARDIAC.get(name) for name in structures}
    free = itertools.chain((colour for colour in OTHER_STRUCTURES if colour not in taken), _hues())
    return {name: CARDIAC.get(name) or next(free) for name in structures}


def _hues() -> Iterator[str]:
    for number in itertools.count():
        yield to_hex(colorsys.hsv_to_rgb((0.02 + 0.618034 * number) % 1.0, 0.55, (1.0, 0.8)[number % 2]))


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and a grey line below it, top left."""
    width, height = figure.get_size_inches()
    left = 0.08 / width
    figure.text(left, 1 - 0.10 / height, title, size=10, weight="bold", va="top", ha="left")
    figure.text(left, 1 - 0.31 / height, subtitle, size=8, color=QUIET, va="top", ha="left")


def footnote(figure: Figure, text: str) -> None:
    """A grey line at the bottom."""
    width, height = figure.get_size_inches()
    figure.text(0.08 / width, 0.06 / height, text, size=6.5, color=QUIET, va="bottom", ha="left")


def note_figure(title: str, reason: str) -> Figure:
    """Placeholder for a figure that the data do not allow: its title and the reason."""
    figure = new_figure(1.3)
    heading(figure, title, "not available for this data set")
    figure.text(0.08 / WIDTH_IN, 0.28, reason, size=8.5, va="center", ha="left", wrap=True)
    return figure


def number(value: float) -> str:
    """A score as tables print it: ``.893``, ``1.00``; ``-`` for NaN."""
    if value != value:
        return "–"
    return f"{value:.3f}".removeprefix("0") if value < 0.9995 else "1.00"
