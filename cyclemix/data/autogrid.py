"""Derive the numbers of ``grid: auto`` from the images, once.

``spacing_mm`` is the median in-plane pixel size. ``crop_px`` is the smallest multiple of 16 whose centred
square contains all dense structures and all strokes, including background strokes, enlarged by `MARGIN`, and
at least `LEAST_VIEW` of the median image.

The numbers are saved in ``grid.json`` and read from there afterwards, so that adding or removing cases does
not change the grid. Delete the file to derive them again.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.config.strict import validate
from cyclemix.data.cases import list_cases
from cyclemix.data.readers.native import DataError, read_geometry, read_native, slices_first
from cyclemix.data.readers.nifti import header_shape, header_spacing
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import AutoGrid, Kind
from cyclemix.files.atomic import write_text
from cyclemix.files.parallel import parallel

logger = logging.getLogger(__name__)

MARGIN = 1.15
"""Side of the square over the smallest that contains all labels: new images may be less centred."""

LEAST_VIEW = 0.75
"""Smallest side of the square, as a fraction of the median image's shorter side."""

STEP_PX = 16
"""Multiple of the crop's side: divisible by four poolings."""


@dataclass(frozen=True)
class Extent:
    """The properties of a case that the grid depends on."""

    spacing_mm: tuple[float, float]
    """Pixel size (dy,dx)."""
    size_mm: tuple[float, float]
    """Height and width of a slice."""
    reach_mm: float
    """Largest distance along rows or columns from the slice's centre to a labelled pixel's edge; 0 = none."""


def measure(spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any]) -> Extent:
    """The extent of a case, from its header and its labels.

    Raises:
        DataError: an unreadable file; names it.
    """
    axis = spec.slice_axis
    header = read_geometry(spec, raw_dir, entry)
    _, *shape = slices_first(header_shape(header), axis)
    _, *spacing = slices_first(header_spacing(header), axis)
    labels = []
    for kind in ("label", "scribble"):
        if entry.get(kind):
            classes, _, _ = read_native(spec, raw_dir, entry, kind)
            labels.append(informative(classes, kind))
    return extent_of((shape[0], shape[1]), (spacing[0], spacing[1]), labels)


def informative(classes: np.ndarray, kind: Kind) -> np.ndarray:
    """Pixels (D,H,W) that a crop should contain: structures, and background strokes of scribbles."""
    marked = classes != UNLABELLED
    return marked if kind == "scribble" else marked & (classes != BACKGROUND)


def extent_of(
    shape_yx: tuple[int, int], spacing_yx: tuple[float, float], marks: Sequence[np.ndarray]
) -> Extent:
    """The extent of slices of shape (H,W) with marked pixels, bool (D,H,W)."""
    reach = 0.0
    for marked in marks:
        for axis in (0, 1):
            lines = np.flatnonzero(marked.any(axis=(0, 2 - axis)))
            if lines.size:
                middle = marked.shape[1 + axis] / 2
                far = max(middle - lines[0], lines[-1] + 1 - middle)
                reach = max(reach, float(far) * spacing_yx[axis])
    size = (shape_yx[0] * spacing_yx[0], shape_yx[1] * spacing_yx[1])
    return Extent(spacing_yx, size, reach)


def derive(setting: AutoGrid, extents: Sequence[Extent]) -> Grid:
    """The grid for one or more cases, independent of their order."""
    spacing = setting.spacing_mm
    if spacing == "auto":
        pixels = median(math.sqrt(extent.spacing_mm[0] * extent.spacing_mm[1]) for extent in extents)
        spacing = float(f"{pixels:.3g}")
    crop = setting.crop_px
    if crop == "auto":
        needed = 2 * MARGIN * max(extent.reach_mm for extent in extents)
        usual = LEAST_VIEW * median(min(extent.size_mm) for extent in extents)
        largest = max(max(extent.size_mm) for extent in extents)
        side_mm = min(max(needed, usual), largest)
        crop = max(32, STEP_PX * math.ceil(side_mm / spacing / STEP_PX))
    return Grid(spacing_mm=spacing, crop_px=crop)


def resolve(spec: DatasetSpec, data_dir: Path, threads: int = 4) -> Grid:
    """The grid of a data set: from its YAML file, from ``grid.json`` in ``data_dir``, or derived and saved.

    Raises:
        DataError: a case that cannot be read, when the grid is derived.
        ConfigError: no cases, or an invalid ``grid.json``.
    """
    if isinstance(spec.grid, Grid):
        return spec.grid
    if (kept := kept_grid(spec.grid, data_dir)) is not None:
        return kept
    entries = list_cases(spec, "all", data_dir / "raw")
    try:
        extents = parallel(
            lambda entry: measure(spec, data_dir / "raw", entry),
            entries,
            threads,
            f"{spec.label} grid",
            "case",
        )
    except DataError as error:
        raise DataError(f"{spec.label}: grid: auto needs every case: {error}") from None
    return keep(spec, data_dir, derive(spec.grid, extents), len(entries))


def keep(spec: DatasetSpec, data_dir: Path, grid: Grid, cases: int) -> Grid:
    """Write ``grid.json`` into ``data_dir`` and log it."""
    content = {"setting": spec.grid.model_dump(), **grid.model_dump(), "derived_from_cases": cases}
    path = data_dir / "grid.json"
    write_text(path, json.dumps(content, indent=1) + "\n")
    logger.info(
        "%s: grid: auto is {spacing_mm: %g, crop_px: %d}, derived from %d cases and kept in %s",
        *(spec.label, grid.spacing_mm, grid.crop_px, cases, path),
    )
    return grid


def kept_grid(setting: AutoGrid, data_dir: Path) -> Grid | None:
    """The grid in ``grid.json`` if it was derived for ``setting``, else None.

    Raises:
        ConfigError: invalid file.
    """
    path = data_dir / "grid.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError:
        content = {}
    if content.get("setting") not in (None, setting.model_dump()):
        return None
    numbers = {key: content[key] for key in ("spacing_mm", "crop_px") if key in content}
    return validate(Grid, numbers, f"{path} (delete it to derive the grid anew)")
