"""Check of voxel sizes, common to all readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cyclemix.data.reading import DataError

SPACING_MM = (0.05, 100.0)
"""Range of plausible voxel sizes."""


def check_sizes(spacing_mm: Sequence[float], where: str, fields: str) -> None:
    """Refuse implausible voxel sizes.

    Args:
        spacing_mm: (dz,dy,dx) from the header.
        where: the file, for messages.
        fields: header fields of size and unit, for messages.

    Raises:
        DataError: not positive numbers, or outside of `SPACING_MM`; names the file.
    """
    spacing = tuple(float(f"{size:.4g}") for size in spacing_mm)
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise DataError(
            f"{where}: voxel size {spacing} mm in the header; expected positive numbers, correct the header"
        )
    low, high = SPACING_MM
    if min(spacing) < low or max(spacing) > high:
        raise DataError(
            f"{where}: voxel size {spacing} mm in the header; expected {low:g} to {high:g} mm, correct "
            f"{fields}"
        )
