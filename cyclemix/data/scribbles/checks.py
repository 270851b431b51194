"""Checks of scribbles, and their labelled fractions."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.readers.native import DataError

logger = logging.getLogger(__name__)

DENSE_LOOKING = 0.5
"""Labelled fraction above which a scribble looks dense, or its unlabelled value is wrong (warning)."""

CONTRADICTION = 0.2
"""Fraction of strokes that contradict the dense label above which a warning is logged."""

FOREIGN = 0.5
"""Fraction of the structures' strokes that contradict the dense label above which a case is refused."""


def check(scribble: np.ndarray, classes: Sequence[str], where: str, label: np.ndarray | None = None) -> None:
    """Refuse invalid scribbles and warn of suspicious ones.

    Args:
        scribble: (D,H,W) class values, 255 unlabelled.
        classes: names of the values 1, 2, ...
        where: file, for messages.
        label: dense labels of the same volume, if any.

    Raises:
        DataError: no strokes, only background strokes, or most strokes contradict the dense label.
    """
    marked = scribble != UNLABELLED
    drawn = marked & (scribble != BACKGROUND)
    if not drawn.any():
        what = "only background is marked" if marked.any() else "no pixel is labelled"
        raise DataError(
            f"{where}: empty scribble, {what}; expected strokes of {', '.join(classes)} (see scribble_values)"
        )
    if marked.mean() > DENSE_LOOKING:
        logger.warning(
            "%s: %.0f %% of the pixels are labelled, which is unusual for a scribble; does scribble_values "
            "name the right value unlabelled?",
            where,
            100 * marked.mean(),
        )
    absent = [name for value, name in enumerate(classes, 1) if not (scribble == value).any()]
    if absent:
        logger.warning("%s: no stroke of %s in the whole volume", where, ", ".join(absent))
    bare = drawn.any(axis=(1, 2)) & ~(scribble == BACKGROUND).any(axis=(1, 2))
    if bare.any():
        slices = np.flatnonzero(bare).tolist()
        logger.warning("%s: slices %s have strokes, but none of background", where, slices)
    if label is not None:
        _compare(scribble, label, marked & (label != UNLABELLED), where)


def _compare(scribble: np.ndarray, label: np.ndarray, known: np.ndarray, where: str) -> None:
    """Compare strokes with the dense label on the ``known`` voxels."""
    wrong, drawn = (scribble != label) & known, known & (scribble != BACKGROUND)
    if drawn.any() and (share := float(wrong[drawn].mean())) > FOREIGN:
        raise DataError(
            f"{where}: {100 * share:.0f} % of the structures' strokes contradict the dense label; is it "
            "another case's, flipped, or are scribble_values wrong? Correct it, or remove one of the two "
            "files"
        )
    if known.any() and (share := float(wrong[known].mean())) > CONTRADICTION:
        logger.warning("%s: %.0f %% of the strokes contradict the dense label", where, 100 * share)


def slice_fractions(scribble: np.ndarray, classes: Sequence[str]) -> dict[str, list[float]]:
    """Columns slice, background and each class: the fraction of the slice's pixels with that label."""
    table: dict[str, list[float]] = {"slice": list(range(len(scribble)))}
    for value, name in enumerate(["background", *classes]):
        table[name] = [round(float(part), 6) for part in (scribble == value).mean(axis=(1, 2))]
    return table
