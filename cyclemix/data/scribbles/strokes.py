"""Measures of scribbles per slice and class, and their comparison with expert scribbles.

``expert_scribbles.csv`` has the measures of the scribbles of ACDC and MSCMRseg; ``docs/figures/scribbles.py``
computes them from the upstream files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage

from cyclemix.config.labels import BACKGROUND, UNLABELLED

EXPERTS = Path(__file__).with_name("expert_scribbles.csv")
"""Columns dataset and those of `summarise`."""

EVERY = "structures"
"""Name of the row that pools all classes except background."""

MEASURES = {
    "present": "slices with the class in which it is scribbled",
    "of_slice": "labelled pixels, share of the slice",
    "of_class": "labelled pixels, share of the class",
    "width_px": "width, pixels",
    "length": "length, outlines of the class (background: of all structures)",
    "pieces": "pieces per slice",
    "distance_mm": "distance of background strokes from the structures, mm",
}

ADJACENT = np.ones((3, 3), bool)
"""8-connectivity of strokes."""


def thin(region: np.ndarray) -> np.ndarray:
    """Skeleton of a region (H,W) bool, one pixel wide, 8-connected."""
    padded = np.pad(region, 1).astype(np.uint8)  # the filter removes pixels at the border
    return sitk.GetArrayFromImage(sitk.BinaryThinning(sitk.GetImageFromArray(padded)))[1:-1, 1:-1] > 0


def length_of(skeleton: np.ndarray) -> float:
    """Length of one-pixel-wide lines (H,W) bool in pixels: steps to neighbours; 1 for an isolated pixel."""
    if not skeleton.any():
        return 0.0
    straight = (skeleton[1:] & skeleton[:-1]).sum() + (skeleton[:, 1:] & skeleton[:, :-1]).sum()
    falling = skeleton[1:, 1:] & skeleton[:-1, :-1] & ~skeleton[1:, :-1] & ~skeleton[:-1, 1:]
    rising = skeleton[1:, :-1] & skeleton[:-1, 1:] & ~skeleton[1:, 1:] & ~skeleton[:-1, :-1]
    return float(max(1.0, straight + np.sqrt(2) * (falling.sum() + rising.sum())))


def measure(
    scribble: np.ndarray, label: np.ndarray | None, spacing_yx: tuple[float, float], classes: Sequence[str]
) -> pd.DataFrame:
    """One row per slice and class present, with the columns of `MEASURES`.

    Args:
        scribble: (D,H,W) class values 0 background, 1, 2, ... in the order of ``classes``, 255 unlabelled.
        label: (D,H,W) dense class values of the same volume; None = measures that need them are NaN.
        spacing_yx: pixel size, mm.
        classes: names of the values 1, 2, ...
    """
    rows = []
    for number, strokes in enumerate(scribble):
        dense = None if label is None else label[number]
        if not (
            (strokes != UNLABELLED) if dense is None else (dense != BACKGROUND) & (dense != UNLABELLED)
        ).any():
            continue
        for value, name in enumerate(["background", *classes]):
            drawn = strokes == value
            region = None if dense is None else dense == value
            if drawn.any() or (region is not None and region.any()):
                rows.append({"slice": number, "class": name, **_row(drawn, region, dense, value, spacing_yx)})
    return pd.DataFrame(rows, columns=["slice", "class", *MEASURES])


def _row(
    drawn: np.ndarray,
    region: np.ndarray | None,
    dense: np.ndarray | None,
    value: int,
    spacing_yx: tuple[float, float],
) -> dict[str, float]:
    row = dict.fromkeys(MEASURES, np.nan)
    if region is not None:
        row["present"] = float(drawn.any())
    if not drawn.any():
        return row
    window = ndimage.find_objects(drawn.astype(np.uint8))[0]
    length = length_of(thin(drawn[window]))
    row |= {"of_slice": float(drawn.mean()), "width_px": float(drawn.sum() / length)}
    row["pieces"] = float(ndimage.label(drawn[window], ADJACENT)[1])
    if region is None or dense is None:
        return row
    if value == BACKGROUND:
        structures = (dense != BACKGROUND) & (dense != UNLABELLED)
        away = ndimage.distance_transform_edt(~structures, sampling=spacing_yx)
        row["distance_mm"] = float(np.median(away[drawn]))
        row["length"] = length / length_of(_outline(structures))
    elif region.any():
        row["of_class"] = float((drawn & region).sum() / region.sum())
        row["length"] = length / length_of(_outline(region))
    return row


def _outline(region: np.ndarray) -> np.ndarray:
    """Border pixels of ``region``."""
    return region & ~ndimage.binary_erosion(region)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, quartiles and number of slices of every measure, per class and for all ``structures`` together.

    Columns class, measure, mean, q25, median, q75, n.
    """
    pooled = rows[rows["class"] != "background"].assign(**{"class": EVERY})
    table = []
    for name, group in pd.concat([rows, pooled]).groupby("class", sort=False):
        for key in MEASURES:
            values = group[key].dropna().to_numpy()
            if len(values):
                low, middle, high = np.percentile(values, [25, 50, 75])
                table.append((name, key, values.mean(), low, middle, high, len(values)))
    return pd.DataFrame(table, columns=["class", "measure", "mean", "q25", "median", "q75", "n"]).round(5)


def experts() -> pd.DataFrame:
    """The measures of expert scribbles, columns of `summarise` and ``dataset``."""
    return pd.read_csv(EXPERTS)


def beside_experts(summary: pd.DataFrame) -> str:
    """``summary`` as text, with the experts' means of the same class, else of all structures."""
    known = experts().set_index(["dataset", "class", "measure"])["mean"]
    names = list(dict.fromkeys(known.index.get_level_values("dataset")))
    lines = [f"{'class':<12} {'measure':<13}{'these':>9}" + "".join(f"{name:>9}" for name in names)]
    for row in summary.to_dict("records"):
        same = {name: known.get((name, row["class"], row["measure"])) for name in names}
        other = {name: known.get((name, EVERY, row["measure"])) for name in names}
        shown = [_number(same[name] if same[name] is not None else other[name]) for name in names]
        cells = "".join(f"{text:>9}" for text in (_number(row["mean"]), *shown))
        lines.append(f"{row['class']:<12} {row['measure']:<13}{cells}")
    return "\n".join([*lines, *(f"{key}: {text}" for key, text in MEASURES.items())])


def _number(value: Any) -> str:
    return "-" if value is None or value != value else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"
