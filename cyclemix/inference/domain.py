"""What images a model has learnt from, and where a new image departs from them.

A network answers for any image with the same confidence. What can be told without labels is whether the image
resembles those of the training: its pixel size, slice distance, field of view and grey values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cyclemix.data.resample import outside
from cyclemix.data.store import Geometry, load_case

Domain = dict[str, list[float]]
"""Measure: its smallest and largest value among the training cases."""

PERCENTILES = (1, 25, 50, 75, 99)
"""Of the normalised grey values inside the crop; together they tell the shape of the histogram."""

RATIO_SLACK = 1.25
"""Sizes may pass the training range by this factor, about what augmentation's zoom covers."""

INTENSITY_SLACK = 0.25
"""Percentiles may pass the range by this many standard deviations of the image's own grey values."""


def measure(image: np.ndarray, geometry: Geometry) -> dict[str, float]:
    """Measures of one prepared image.

    Args:
        image: (D,H,W) float32, z-scored, on the training grid.
        geometry: of the image it was made from.

    Returns:
        Sizes in mm (``pixel``, ``slice distance``, ``field of view``) and grey values (``percentile P``) in
        the image's standard deviations from its mean.
    """
    _, height, width = geometry.native_shape
    dz, dy, dx = geometry.spacing_mm
    values = image[:, ~outside(geometry, image.shape[-1])]
    sizes = {"pixel": (dy * dx) ** 0.5, "slice distance": dz, "field of view": min(height * dy, width * dx)}
    greys = np.percentile(values, PERCENTILES)
    names = [f"percentile {p}" for p in PERCENTILES]
    return {k: round(float(v), 4) for k, v in [*sizes.items(), *zip(names, greys, strict=True)]}


def describe(paths: Iterable[str | Path]) -> Domain:
    """Range of every measure over prepared cases (``.npz``)."""
    cases = [load_case(Path(path)) for path in paths]
    measures = [measure(case.image, case.geometry) for case in cases]
    return {name: [min(m[name] for m in measures), max(m[name] for m in measures)] for name in measures[0]}


def union(domains: Sequence[Domain]) -> Domain:
    """Range over several models' domains."""
    return {name: [min(d[name][0] for d in domains), max(d[name][1] for d in domains)] for name in domains[0]}


def out_of_distribution(measures: Mapping[str, float], domain: Domain) -> list[str]:
    """One sentence a measure that lies outside the range and its slack; empty for a familiar image."""
    found = []
    for name, value in measures.items():
        low, high = domain[name]
        if name.startswith("percentile"):
            if not low - INTENSITY_SLACK <= value <= high + INTENSITY_SLACK:
                found.append(f"grey values: {name} is {value:.2f} SD from the mean, {low:.2f} to {high:.2f}")
        elif not low / RATIO_SLACK <= value <= high * RATIO_SLACK:
            found.append(f"{name} {value:.4g} mm, {low:.4g} to {high:.4g}")
    return [f"{text} in training" for text in found]
