"""The phantom's scribbles: strokes along the middle of each structure, and a background stroke around them.

Random way points are connected by paths away from the borders, smoothed and drawn a few millimetres wide.
Scribbles of real labels are simulated by `cyclemix.data.scribbles.simulate`, which is fitted to annotators;
recorded results of the default study depend on the simulation here.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage
from scipy.sparse import csgraph

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.scribbles.geodesic import pixel_graph

COARSE_MM = 2.0
"""Approximate pixel size of the grid for the path search."""

BAND_MM = (5.0, 14.0)
"""Distance of the background stroke from the structures."""


def draw_scribble(
    label: np.ndarray, spacing_yx: tuple[float, float], rng: np.random.Generator, stroke_mm: float = 2.2
) -> np.ndarray:
    """Scribbles for one slice.

    Args:
        label: (H,W) integers, 0 background, 1.. structures.
        spacing_yx: pixel size, mm.
        rng: the only source of randomness.
        stroke_mm: width of a stroke.

    Returns:
        (H,W) uint8: class values on the strokes, 255 elsewhere; every structure of the slice gets a stroke. A
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
    """Rows and columns of the bounding box of ``region`` with a margin; the whole image if it is empty."""
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
    if len(path) < 2:  # too small for the coarse grid: a dot at the deepest point
        path = np.array([np.unravel_index(int(inside.argmax()), inside.shape)], float)
    drawn = np.ones(region.shape, bool)
    dense = _resample(path, spacing_yx)
    rows, columns = (
        np.clip(np.rint(dense[:, axis]), 0, region.shape[axis] - 1).astype(int) for axis in (0, 1)
    )
    drawn[rows, columns] = False
    return ndimage.distance_transform_edt(drawn, sampling=spacing_yx) <= width_mm / 2


def _path(depth: np.ndarray, rng: np.random.Generator, closed: bool) -> np.ndarray:
    """Way points in ``depth`` > 0, connected along its middle: (N,2) row, column on the coarse grid."""
    inside = depth > 0
    nodes, graph = pixel_graph(inside)
    cost = 1.0 / (0.3 + depth[inside]) ** 2  # steps near a border have a high cost
    here, there = graph.nonzero()
    graph.data *= cost[here] + cost[there]
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


def _resample(path: np.ndarray, spacing_yx: tuple[float, float]) -> np.ndarray:
    """Smooth a polyline of native (row, column) points and resample it to half a pixel."""
    if len(path) < 2:
        return path
    smooth = ndimage.gaussian_filter1d(path, 2.0, axis=0, mode="nearest")
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))])
    at = np.arange(0.0, length[-1] + 0.5, 0.5)
    return np.stack([np.interp(at, length, smooth[:, axis]) for axis in (0, 1)], axis=1)
