"""Contents of a label or scribble file: values and spatial statistics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from cyclemix.data.readers import itk
from cyclemix.data.readers.native import DataError, load_volume

MOST_VALUES = 60
"""Largest number of different values of a label file."""

MOST_SHOWN = 6
"""Limit of values listed in a message."""


@dataclass(frozen=True)
class Contents:
    """Statistics of a label or scribble file, by value.

    Attributes:
        pixels: number of pixels.
        inner: fraction of pixels whose eight neighbours in the slice have the same value.
        spread: mean area of the bounding box over slices with the value, pixels.
        frame: fraction of the border pixels of all slices with the value.
        names: names given by the file (3D Slicer's ``.seg.nrrd``).
    """

    pixels: dict[int, int]
    inner: dict[int, float]
    spread: dict[int, float]
    frame: dict[int, float]
    names: dict[int, str] = field(default_factory=dict)

    @property
    def usual(self) -> int:
        """The most frequent value."""
        return max(self.pixels, key=lambda value: (self.pixels[value], -value))


def look(path: Path) -> Contents:
    """Read a label or scribble file.

    Raises:
        DataError: unreadable, or not a label file.
    """
    array, _ = load_volume(str(path), "label")
    values = np.unique(array)
    if len(values) > MOST_VALUES or not np.isfinite(values).all() or (values != np.round(values)).any():
        shown = ", ".join(f"{value:.7g}" for value in values[:MOST_SHOWN])
        raise DataError(
            f"{path}: {len(values)} different values, {shown}{', ...' if len(values) > MOST_SHOWN else ''}; "
            "expected a label file of few whole numbers"
        )
    names = itk.segment_names(path) if path.name.lower().endswith(itk.SEGMENTATION) else {}
    return replace(contents_of(array), names=names)


def contents_of(array: np.ndarray) -> Contents:
    """Statistics of a (D,H,W) array of label values."""
    values, counts = np.unique(array, return_counts=True)
    pixels = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    inner, spread, frame = {}, {}, {}
    outline = np.ones(array.shape[1:], bool)
    outline[1:-1, 1:-1] = False
    for value in pixels:
        mask = array == value
        kept = ndimage.minimum_filter(mask, size=(1, 3, 3), mode="constant", cval=0)
        inner[value] = float(kept.sum() / mask.sum())
        boxes = [box for plane in mask.astype(np.uint8) for box in ndimage.find_objects(plane)]
        spread[value] = float(np.mean([(y.stop - y.start) * (x.stop - x.start) for y, x in boxes]))
        frame[value] = float(mask[:, outline].mean())
    return Contents(pixels, inner, spread, frame)
