"""Domain of the training images, and detection of out-of-distribution images.

A network segments any image. Without labels it can still be checked whether an image resembles the training
images: pixel size, slice distance, field of view and intensities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cyclemix.data.resample import outside
from cyclemix.data.store import Geometry, load_case

Domain = dict[str, list[float]]
"""Minimum and maximum of each measure over the training cases."""

PERCENTILES = (1, 25, 50, 75, 99)
"""Percentiles of the normalised intensities inside the crop, a summary of the histogram."""

RATIO_SLACK = 1.25
"""Sizes may exceed the training range by this factor, about the zoom of the augmentation."""

INTENSITY_SLACK = 0.25
"""Percentiles may exceed the training range by this many standard deviations of the image."""


def measure(image: np.ndarray, geometry: Geometry) -> dict[str, float]:
    """Measures of one prepared image.

    Args:
        image: (D,H,W) float32, z-scored, on the training grid.
        geometry: geometry of the native image.

    Returns:
        Sizes in mm (``pixel``, ``slice distance``, ``field of view``) and intensities (``percentile P``) in
        standard deviations from the image's mean.
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
    """One sentence per measure outside the training range and its slack; empty if there is none."""
    found = []
    for name, value in measures.items():
        low, high = domain[name]
        if name.startswith("percentile"):
            if not low - INTENSITY_SLACK <= value <= high + INTENSITY_SLACK:
                found.append(f"grey values: {name} is {value:.2f} SD from the mean, {low:.2f} to {high:.2f}")
        elif not low / RATIO_SLACK <= value <= high * RATIO_SLACK:
            found.append(f"{name} {value:.4g} mm, {low:.4g} to {high:.4g}")
    return [f"{text} in training" for text in found]
