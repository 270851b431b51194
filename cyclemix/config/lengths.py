"""Lengths in settings, stored in mm so that they are independent of the grid.

`length` declares a paper's length in pixels at the paper's spacing; `in_pixels` converts it to a given grid,
which on the paper's grid yields the paper's number of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

PAPER_SPACING_MM = 1.3671875
"""In-plane pixel size of CycleMix's training images (its official code); 1.36719 in the data sets' grids."""


def length(
    pixels: float, description: str, *, whole: bool = False, least: int = 0, sizes: Sequence[int] = ()
) -> Any:
    """A pydantic field in mm, default ``pixels`` at the paper's spacing; its name must end in ``_mm``.

    Args:
        description: description without unit.
        whole: round to whole pixels, at least 1 unless the length is 0.
        least: smallest allowed number of pixels.
        sizes: allowed numbers of pixels, of which the nearest is used.
    """
    unit = "px" if whole or sizes else "px (not rounded)"
    return Field(
        pixels * PAPER_SPACING_MM,
        ge=least * PAPER_SPACING_MM if least else 0,
        description=f"{description}, mm; {pixels:g} {unit} at the paper's {PAPER_SPACING_MM:.3f} mm",
        json_schema_extra={"whole": whole, "sizes": list(sizes)},
    )


def in_pixels(settings: BaseModel, spacing_mm: float) -> dict[str, Any]:
    """Every `length` of the settings, including nested ones, in pixels of ``spacing_mm``.

    Returns:
        ``hole_mm`` as ``hole_px``, ``block_mm`` of ``puzzle`` as ``puzzle.block_px``; whole pixels as int.
    """
    found: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value, extra = getattr(settings, name), field.json_schema_extra
        if isinstance(value, BaseModel):
            found |= {f"{name}.{key}": inner for key, inner in in_pixels(value, spacing_mm).items()}
        elif isinstance(extra, dict) and "whole" in extra:
            found[f"{name.removesuffix('_mm')}_px"] = _pixels(value / spacing_mm, extra)
    return found


def _pixels(pixels: float, kind: Mapping[str, Any]) -> float:
    if kind["sizes"]:
        return int(min(kind["sizes"], key=lambda size: (abs(size - pixels), size)))
    if kind["whole"]:
        return max(1, round(pixels)) if pixels else 0
    return round(pixels, 3)
