"""Pictures of slices with scribbles and labels, and a self-contained HTML page of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imsave
from numpy.typing import NDArray

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.spec import DatasetSpec
from cyclemix.report.html import STYLE
from cyclemix.report.plots.style import structure_colours

SLICES = 3
"""Slices shown per case."""

MOST_PX = 320
"""Limit of a picture's sides; larger pictures are subsampled."""

BACKGROUND_STROKE = (0.91, 0.91, 0.91)
FILL = 0.35
"""Opacity of dense labels inside their borders."""

MARK = '<meta name="generator" content="cyclemix check">'
"""Marker in every page."""

GALLERY_STYLE = """
.case{margin:0 0 1.5rem}.case h2 small{color:var(--soft);font-weight:400;margin-left:.5em}
.row{display:flex;flex-wrap:wrap;gap:.5rem}
figure{margin:0;position:relative}figure img{display:block;width:100%;image-rendering:auto;border-radius:4px}
figure .pixels{position:relative}figcaption{font-size:.75rem;color:var(--soft)}
.crop{position:absolute;border:1px dashed #fff9;pointer-events:none}
.key{display:inline-block;padding:.1em .6em;border-radius:99px;background:#202327;font-weight:600;
font-size:.85rem;margin:0 .3rem .3rem 0}
ul.findings{margin:.2rem 0 .6rem;padding-left:1.1rem;font-size:.85rem}.error{color:#c0392b}
.warn{color:var(--warn)}
"""


@dataclass(frozen=True)
class Picture:
    """One slice as PNG bytes.

    Attributes:
        size_mm: height and width.
    """

    title: str
    png: bytes
    size_mm: tuple[float, float]


def pictures(
    image: NDArray[np.float32],
    label: NDArray[np.uint8] | None,
    scribble: NDArray[np.uint8] | None,
    spec: DatasetSpec,
    spacing_yx: tuple[float, float],
) -> list[Picture]:
    """Representative slices of (D,H,W): image, and overlays of scribble and label."""
    drawn = [array for array in (label, scribble) if array is not None and array.shape == image.shape]
    made = []
    for z in _telling_slices(drawn, len(image)):
        grey = _grey(image[z])
        size = (grey.shape[0] * spacing_yx[0], grey.shape[1] * spacing_yx[1])
        views = [("image", grey)]
        if scribble is not None and scribble.shape == image.shape:
            views.append(("scribble", _paint(grey, scribble[z], spec, strokes=True)))
        if label is not None and label.shape == image.shape:
            views.append(("label", _paint(grey, label[z], spec, strokes=False)))
        made += [Picture(f"slice {z + 1}: {name}", _png(view), size) for name, view in views]
    return made


def page(
    title: str,
    summary: str,
    colours: dict[str, str],
    sections: Sequence[tuple[str, str, Sequence[tuple[str, str]], Sequence[Picture]]],
    crop_mm: float | None,
) -> str:
    """The page.

    Args:
        summary: preformatted text above the pictures.
        colours: colours of the structures.
        sections: (case, description, [(severity, text)], pictures).
        crop_mm: side of the training crop.
    """
    keys = "".join(f'<span class="key" style="color:{c}">{escape(n)}</span>' for n, c in colours.items())
    parts = [_section(*section, crop_mm) for section in sections]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{MARK}'
        f"<style>{STYLE}{GALLERY_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'<section><pre style="white-space:pre-wrap;font-size:.8rem">{escape(summary)}</pre></section>'
        f"<p>{keys} dashed: the square that is trained on</p>{''.join(parts)}</main></body></html>\n"
    )


def _section(
    case: str,
    what: str,
    findings: Sequence[tuple[str, str]],
    shown: Sequence[Picture],
    crop_mm: float | None,
) -> str:
    items = "".join(
        f'<li class="{"error" if severity == "error" else "warn"}">{escape(severity)}: {escape(text)}</li>'
        for severity, text in findings
    )
    notes = f'<ul class="findings">{items}</ul>' if items else ""
    figures = "".join(_figure(case, picture, crop_mm) for picture in shown)
    return (
        f'<section class="case"><h2>{escape(case)}<small>{escape(what)}</small></h2>{notes}'
        f'<div class="row">{figures}</div></section>'
    )


def _figure(case: str, picture: Picture, crop_mm: float | None) -> str:
    height, width = picture.size_mm
    box = ""
    if crop_mm is not None:
        top, left = (50 * (1 - min(1.0, crop_mm / side)) for side in (height, width))
        place = f"top:{top:.2f}%;bottom:{top:.2f}%;left:{left:.2f}%;right:{left:.2f}%"
        box = f'<span class="crop" style="{place}"></span>'
    data = base64.b64encode(picture.png).decode()
    return (
        f'<figure style="width:min(46vw,180px)"><div class="pixels"><img loading="lazy" '
        f'alt="{escape(f"{case}, {picture.title}")}" style="aspect-ratio:{width:.2f}/{height:.2f}" '
        f'src="data:image/png;base64,{data}">{box}</div><figcaption>{escape(picture.title)}</figcaption></figure>'
    )


def _telling_slices(drawn: Sequence[NDArray[np.uint8]], depth: int) -> list[int]:
    """Evenly spaced slices among those with structures, or of the whole volume if there are none."""
    marked = np.zeros(depth, bool)
    for array in drawn:
        marked |= ((array != BACKGROUND) & (array != UNLABELLED)).any(axis=(1, 2))
    places = np.flatnonzero(marked) if marked.any() else np.arange(depth)
    picked = places[((np.arange(SLICES) + 0.5) * len(places) / SLICES).astype(int)]
    return list(dict.fromkeys(int(place) for place in picked))


def _grey(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """(H,W) to (H,W,3) in [0, 1]."""
    low, high = np.percentile(image, (1, 99.5))
    values = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    return np.repeat(values[..., None].astype(np.float64), 3, axis=2)


def _paint(
    grey: NDArray[np.float64], label: NDArray[np.uint8], spec: DatasetSpec, strokes: bool
) -> NDArray[np.float64]:
    """Overlay strokes opaquely, dense labels as border and transparent fill."""
    painted = grey.copy()
    colours = structure_colours(spec.structures)
    if strokes:
        painted[label == BACKGROUND] = BACKGROUND_STROKE
    for value, name in enumerate(spec.classes, 1):
        mask, colour = label == value, np.array(to_rgb(colours[name]))
        inner = mask.copy()
        for axis in (0, 1):
            for step in (1, -1):
                inner &= np.roll(mask, step, axis)
        painted[mask] = colour
        if not strokes:
            painted[inner] = (1 - FILL) * grey[inner] + FILL * colour
    return painted


def _png(picture: NDArray[np.float64]) -> bytes:
    step = max(1, -(-max(picture.shape[:2]) // MOST_PX))
    stream = io.BytesIO()
    imsave(stream, np.ascontiguousarray(picture[::step, ::step]), format="png")
    return stream.getvalue()
