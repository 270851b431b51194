"""Less of given scribbles: a connected part of each stroke, or fewer slices.

``cyclemix scribble --keep`` and ``training.scribble_fraction`` both come here.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy.sparse import csgraph

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.scribbles.geodesic import pixel_graph


def generator(seed: int, case: str, *numbers: int) -> np.random.Generator:
    """Random numbers of a case, a slice, a class: the same wherever and whenever they are drawn."""
    return np.random.default_rng([seed, zlib.crc32(case.encode()), *numbers])


def keep_fraction(scribble: np.ndarray, fraction: float, case: str, seed: int = 0) -> np.ndarray:
    """A part of the scribble of every slice and class, which holds what a smaller fraction would keep.

    Args:
        scribble: (D,H,W) integers, 255 = unlabelled.
        fraction: of each slice's and class's labelled pixels, above 0, at most 1; at least a pixel stays.
        case: name of the case; with ``seed`` it decides which part stays.
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
    """All scribbles of a part of the scribbled slices, none of the others; nested as `keep_fraction`."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction of the slices: expected above 0 and at most 1, got {fraction}")
    marked = np.flatnonzero((scribble != UNLABELLED).any(axis=(1, 2)))
    order = generator(seed, case).permutation(marked)
    kept = scribble.copy()
    kept[order[int(np.ceil(fraction * len(order) - 1e-9)) :]] = UNLABELLED
    return kept


def grown_part(region: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """``fraction`` of the pixels of a region, growing along it from a random pixel: (H,W) bool.

    At least one pixel. With an equal ``rng`` a larger fraction holds the smaller one. What is kept is
    connected until the piece that holds the start is used up; then the next piece follows.

    Args:
        region: (H,W) bool, one pixel or more.
        fraction: above 0, at most 1.
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
        if free.any():  # on to the nearest pixel of another piece
            rest = np.flatnonzero(free)
            start = int(rest[np.argmin(np.hypot(*(nodes[rest] - nodes[start]).T))])
    kept = np.zeros_like(region)
    kept[tuple(nodes[order[:wanted]].T)] = True
    return kept
