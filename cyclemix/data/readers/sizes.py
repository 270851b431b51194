"""Voxel sizes that every reader accepts: given by the file, and such as scanners make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cyclemix.data.reading import DataError

SPACING_MM = (0.05, 100.0)
"""Voxel sizes outside of this are taken for a wrong unit or a broken header."""


def check_sizes(spacing_mm: Sequence[float], where: str, fields: str) -> None:
    """Refuse voxel sizes that cannot be.

    Args:
        spacing_mm: (dz,dy,dx) as the header gives them.
        where: the file, for messages.
        fields: of the header, which hold size and unit.

    Raises:
        DataError: no positive numbers, or outside of `SPACING_MM`; names the file.
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
