"""Reduce scribbles to a connected part of each, or to fewer slices.

Used by ``cyclemix scribble --keep`` and ``training.scribble_fraction``.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy.sparse import csgraph

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.scribbles.geodesic import pixel_graph


def generator(seed: int, case: str, *numbers: int) -> np.random.Generator:
    """Random generator of a case and further numbers (slice, class), independent of processing order."""
    return np.random.default_rng([seed, zlib.crc32(case.encode()), *numbers])


def keep_fraction(scribble: np.ndarray, fraction: float, case: str, seed: int = 0) -> np.ndarray:
    """Keep a part of the scribble of every slice and class; parts of smaller fractions are subsets.

    Args:
        scribble: (D,H,W) integers, 255 = unlabelled.
        fraction: kept fraction of labelled pixels per slice and class, in (0, 1]; at least one pixel.
        case: name of the case, which with ``seed`` determines the kept part.
        seed: seed.

    Returns:
        A new array like ``scribble``.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction of a scribble: expected above 0 and at most 1, got {fraction}")
    if fraction == 1:
        return scribble.copy()
    kept = np.full_like(scribble, UNLABELLED)
    for number, strokes in enumerate(scribble):
        for value in np.unique(strokes[strokes != UNLABELLED]):
            rng = generator(seed, case, number, int(value))
            kept[number][grown_part(strokes == value, fraction, rng)] = value
    return kept


def keep_slices(scribble: np.ndarray, fraction: float, case: str, seed: int = 0) -> np.ndarray:
    """Keep the scribbles of a fraction of the scribbled slices; nested as in `keep_fraction`."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction of the slices: expected above 0 and at most 1, got {fraction}")
    marked = np.flatnonzero((scribble != UNLABELLED).any(axis=(1, 2)))
    order = generator(seed, case).permutation(marked)
    kept = scribble.copy()
    kept[order[int(np.ceil(fraction * len(order) - 1e-9)) :]] = UNLABELLED
    return kept


def grown_part(region: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """``fraction`` of a region's pixels (at least one) nearest along it to a random pixel: (H,W) bool.

    With an equal ``rng`` smaller fractions are subsets. The result is connected until the component of the
    random pixel is complete; then the nearest component follows.

    Args:
        region: (H,W) bool, at least one pixel.
        fraction: in (0, 1].
    """
    nodes, graph = pixel_graph(region)
    order: list[int] = []
    free = np.ones(len(nodes), bool)
    start = int(rng.integers(len(nodes)))
    wanted = max(1, int(np.ceil(fraction * len(nodes) - 1e-9)))
    while len(order) < wanted:
        walked = csgraph.dijkstra(graph, directed=False, indices=[start])[0]
        reached = np.flatnonzero(np.isfinite(walked))
        order += reached[np.argsort(walked[reached], kind="stable")].tolist()
        free[reached] = False
        if free.any():  # continue at the nearest pixel of another component
            rest = np.flatnonzero(free)
            start = int(rest[np.argmin(np.hypot(*(nodes[rest] - nodes[start]).T))])
    kept = np.zeros_like(region)
    kept[tuple(nodes[order[:wanted]].T)] = True
    return kept
