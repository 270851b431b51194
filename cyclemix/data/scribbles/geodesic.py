"""Shortest paths along the pixels of a scribble or a skeleton."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

STEPS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 2**0.5), (1, -1, 2**0.5))
"""Offsets to half of a pixel's eight neighbours, and their distance, pixels."""


def longest_path(skeleton: np.ndarray) -> np.ndarray:
    """Longest shortest path of a skeleton, without branches: (N,2) row, column.

    Args:
        skeleton: (H,W) bool, 8-connected, at least one pixel.
    """
    nodes, graph = pixel_graph(skeleton)
    far = int(np.argmax(_finite(csgraph.dijkstra(graph, directed=False, indices=[0])[0])))
    walked, before = csgraph.dijkstra(graph, directed=False, indices=[far], return_predecessors=True)
    path = [int(np.argmax(_finite(walked[0])))]
    while before[0, path[-1]] >= 0:
        path.append(int(before[0, path[-1]]))
    return nodes[path].astype(float)


def pixel_graph(region: np.ndarray) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Pixels (N,2) of ``region``, and the graph of distances between 8-neighbours."""
    nodes = np.argwhere(region)
    number = np.full(np.add(region.shape, 2), -1)
    number[tuple(nodes.T + 1)] = np.arange(len(nodes))
    rows, columns, weights = [], [], []
    for dy, dx, away in STEPS:
        other = number[nodes[:, 0] + 1 + dy, nodes[:, 1] + 1 + dx]
        here = np.flatnonzero(other >= 0)
        rows.append(here)
        columns.append(other[here])
        weights.append(np.full(len(here), away))
    size = (len(nodes), len(nodes))
    parts = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return nodes, sparse.csr_matrix(parts, size)


def _finite(walked: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(walked), walked, -1.0)
