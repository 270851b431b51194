"""Pictures of slices with scribbles and labels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imsave
from numpy.typing import NDArray

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.spec import DatasetSpec
from cyclemix.report.plots.style import structure_colours

SLICES = 3
"""Slices shown per case."""

MOST_PX = 320
"""Limit of a picture's sides; larger pictures are subsampled."""

BACKGROUND_STROKE = (0.91, 0.91, 0.91)
FILL = 0.35
"""Opacity of dense labels inside their borders."""


@dataclass(frozen=True)
class Picture:
    """One slice.

    Attributes:
        png: the PNG file in base64.
        size_mm: height and width.
    """

    title: str
    png: str
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
    for z in _representative_slices(drawn, len(image)):
        grey = _grey(image[z])
        size = (grey.shape[0] * spacing_yx[0], grey.shape[1] * spacing_yx[1])
        views = [("image", grey)]
        if scribble is not None and scribble.shape == image.shape:
            views.append(("scribble", _paint(grey, scribble[z], spec, strokes=True)))
        if label is not None and label.shape == image.shape:
            views.append(("label", _paint(grey, label[z], spec, strokes=False)))
        made += [Picture(f"slice {z + 1}: {name}", _png(view), size) for name, view in views]
    return made


def _representative_slices(drawn: Sequence[NDArray[np.uint8]], depth: int) -> list[int]:
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


def _png(picture: NDArray[np.float64]) -> str:
    step = max(1, -(-max(picture.shape[:2]) // MOST_PX))
    stream = io.BytesIO()
    imsave(stream, np.ascontiguousarray(picture[::step, ::step]), format="png")
    return base64.b64encode(stream.getvalue()).decode()
