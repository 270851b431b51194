"""Simulate scribbles from dense labels, and check and count scribbles that people drew.

A simulated stroke follows the middle of a structure as a hand would: a few random way points, joined along
the path that keeps clear of the borders, smoothed, a few millimetres wide. The background stroke runs around
the structures at some distance and says nothing of the rest of the image.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.readers.native import DataError

logger = logging.getLogger(__name__)

COARSE_MM = 2.0
"""Paths are searched on a grid of about this pixel size; finer ones cost time and look the same."""

BAND_MM = (5.0, 14.0)
"""The background stroke keeps this far from the structures."""


def simulate(
    label: np.ndarray, spacing_yx: tuple[float, float], rng: np.random.Generator, stroke_mm: float = 2.2
) -> np.ndarray:
    """Scribbles for one slice.

    Args:
        label: (H,W) integers, 0 background, 1.. structures.
        spacing_yx: pixel size, mm.
        rng: the only source of chance.
        stroke_mm: width of a stroke.

    Returns:
        (H,W) uint8: class values on the strokes, 255 elsewhere; every structure of the slice is touched. A
        slice without structures gets one background stroke across its middle.
    """
    window = around(label != BACKGROUND, spacing_yx, BAND_MM[1] + stroke_mm)
    near = label[window]
    drawn = np.full(near.shape, UNLABELLED, np.uint8)
    classes = [int(value) for value in np.unique(near) if value != BACKGROUND]
    for value in classes:
        region = near == value
        drawn[_stroke(region, spacing_yx, rng, stroke_mm, closed=False) & region] = value
    foreground = near != BACKGROUND
    away = ndimage.distance_transform_edt(~foreground, sampling=spacing_yx) if classes else None
    band = _middle_band(near.shape) if away is None else (away > BAND_MM[0]) & (away < BAND_MM[1])
    if band.any():
        stroke = _stroke(band, spacing_yx, rng, stroke_mm, closed=bool(classes))
        drawn[stroke & ~foreground] = BACKGROUND
    scribble = np.full(label.shape, UNLABELLED, np.uint8)
    scribble[window] = drawn
    return scribble


def around(region: np.ndarray, spacing_yx: tuple[float, float], margin_mm: float) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of ``region`` and a margin; everything where it is empty."""
    found = ndimage.find_objects(region.astype(np.uint8))
    if not found:
        return slice(None), slice(None)
    rows, columns = (
        slice(max(0, part.start - int(np.ceil(margin_mm / size))), part.stop + int(np.ceil(margin_mm / size)))
        for part, size in zip(found[0], spacing_yx, strict=True)
    )
    return rows, columns


def _middle_band(shape: tuple[int, ...]) -> np.ndarray:
    band = np.zeros(shape, bool)
    band[shape[0] * 2 // 5 : shape[0] * 3 // 5, shape[1] // 6 : shape[1] * 5 // 6] = True
    return band


def _stroke(
    region: np.ndarray,
    spacing_yx: tuple[float, float],
    rng: np.random.Generator,
    width_mm: float,
    closed: bool,
) -> np.ndarray:
    """A stroke along the middle of ``region``, boolean (H,W)."""
    steps = [max(1, round(COARSE_MM / s)) for s in spacing_yx]
    inside = ndimage.distance_transform_edt(region, sampling=spacing_yx)
    coarse = inside[:: steps[0], :: steps[1]]
    path = _path(coarse, rng, closed) * steps if (coarse > 0).sum() > 1 else np.empty((0, 2))
    if len(path) < 2:  # too small for the coarse grid: a dot at its deepest point
        path = np.array([np.unravel_index(int(inside.argmax()), inside.shape)], float)
    drawn = np.ones(region.shape, bool)
    dense = _resample(path, spacing_yx)
    rows, columns = (
        np.clip(np.rint(dense[:, axis]), 0, region.shape[axis] - 1).astype(int) for axis in (0, 1)
    )
    drawn[rows, columns] = False
    return ndimage.distance_transform_edt(drawn, sampling=spacing_yx) <= width_mm / 2


def _path(depth: np.ndarray, rng: np.random.Generator, closed: bool) -> np.ndarray:
    """Way points through ``depth`` > 0, joined where it is deep: (N,2) row, column on the coarse grid."""
    nodes = np.argwhere(depth > 0)
    graph = _grid_graph(depth, nodes)
    deep = np.flatnonzero(depth[tuple(nodes.T)] >= 0.4 * depth.max())
    angle = np.arctan2(*(nodes[deep] - nodes.mean(axis=0)).T)
    start = rng.uniform(-np.pi, np.pi)
    span = rng.uniform(1.7, 2.0) * np.pi if closed else rng.uniform(0.9, 1.5) * np.pi
    stops = []
    for part in np.linspace(0, 1, 6 if closed else 3):
        away = np.abs(np.angle(np.exp(1j * (angle - start - span * part))))
        stops.append(deep[int(np.argmin(away + 0.3 * rng.random(len(deep))))])
    points: list[np.ndarray] = []
    for source, target in itertools.pairwise(stops):
        _, before = csgraph.dijkstra(graph, directed=False, indices=source, return_predecessors=True)
        leg = [target]
        while before[leg[-1]] >= 0:
            leg.append(before[leg[-1]])
        points.append(nodes[leg[::-1]])
    return np.concatenate(points).astype(float)


def _grid_graph(depth: np.ndarray, nodes: np.ndarray) -> sparse.csr_matrix:
    """8-neighbour graph of the pixels in ``nodes``; steps near a border are dear."""
    number = np.full(np.add(depth.shape, 2), -1)
    number[tuple(nodes.T + 1)] = np.arange(len(nodes))
    cost = 1.0 / (0.3 + depth[tuple(nodes.T)]) ** 2
    rows, columns, weights = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = number[nodes[:, 0] + 1 + dy, nodes[:, 1] + 1 + dx]
        here = np.flatnonzero(other >= 0)
        there = other[here]
        rows.append(here)
        columns.append(there)
        weights.append(np.hypot(dy, dx) * (cost[here] + cost[there]))
    size = (len(nodes), len(nodes))
    return sparse.csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), size)


def _resample(path: np.ndarray, spacing_yx: tuple[float, float]) -> np.ndarray:
    """Smooth a polyline of native (row, column) points and give one at least every half pixel."""
    if len(path) < 2:
        return path
    smooth = ndimage.gaussian_filter1d(path, 2.0, axis=0, mode="nearest")
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))])
    at = np.arange(0.0, length[-1] + 0.5, 0.5)
    return np.stack([np.interp(at, length, smooth[:, axis]) for axis in (0, 1)], axis=1)


DENSE_LOOKING = 0.5
"""A scribble that marks more than this part of the pixels is dense, or its unlabelled value is misnamed."""

CONTRADICTION = 0.2
"""More of the strokes than this on another class than the dense label's is worth a warning."""

FOREIGN = 0.5
"""More of the structures' strokes than this on another class: flipped, misnamed values, or another case's."""


def check(scribble: np.ndarray, classes: Sequence[str], where: str, label: np.ndarray | None = None) -> None:
    """Refuse what cannot be a scribble and warn of what is odd.

    Args:
        scribble: (D,H,W) class values, 255 unlabelled.
        classes: names of the values 1, 2, ...
        where: file, for messages.
        label: dense labels of the same volume, if any.

    Raises:
        DataError: no stroke at all, none of a structure, or most strokes contradict the dense label.
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
            "%s: %.0f %% of the pixels are labelled, much for a scribble; does scribble_values "
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
    """Strokes against the dense label on the ``known`` voxels."""
    wrong, drawn = (scribble != label) & known, known & (scribble != BACKGROUND)
    if drawn.any() and (share := float(wrong[drawn].mean())) > FOREIGN:
        raise DataError(
            f"{where}: {100 * share:.0f} % of the structures' strokes contradict the dense label; is it "
            "another case's, flipped, or are scribble_values wrong? Correct it, or take one of the two "
            "files away"
        )
    if known.any() and (share := float(wrong[known].mean())) > CONTRADICTION:
        logger.warning("%s: %.0f %% of the strokes contradict the dense label", where, 100 * share)


def slice_fractions(scribble: np.ndarray, classes: Sequence[str]) -> dict[str, list[float]]:
    """Columns slice, background and each class: the fraction of the slice's pixels that is labelled so."""
    table: dict[str, list[float]] = {"slice": list(range(len(scribble)))}
    for value, name in enumerate(["background", *classes]):
        table[name] = [round(float(part), 6) for part in (scribble == value).mean(axis=(1, 2))]
    return table
