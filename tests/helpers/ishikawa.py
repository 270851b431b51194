"""Exact minimum of a grid energy with a convex label smoothness: a maximum flow through Ishikawa's graph.

Needs PyMaxflow (a development dependency). Slow and sample by sample; only tests and benchmarks use it.
"""

from __future__ import annotations

import maxflow
import numpy as np

FORBIDDEN = 1e6


def exact_labels(
    unary: np.ndarray, weight_x: np.ndarray, weight_y: np.ndarray, pairwise: np.ndarray
) -> np.ndarray:
    """Labels (H, W) of least energy; arguments as ``graphcut.solve`` without the batch axis.

    ``pairwise`` must be a convex, symmetric function of the label difference.
    """
    height, width, count = unary.shape
    graph = maxflow.Graph[float]()
    nodes = graph.add_grid_nodes((height, width, count - 1))  # in the sink's part: label > k
    for y, x, k in np.ndindex(height, width, count - 1):
        raised = float(unary[y, x, k + 1] - unary[y, x, k])
        graph.add_tedge(nodes[y, x, k], max(raised, 0.0), max(-raised, 0.0))
        if k:
            graph.add_edge(nodes[y, x, k - 1], nodes[y, x, k], FORBIDDEN, 0.0)
    couplings = _couplings(pairwise)
    for y, x in np.ndindex(height, width):
        if y + 1 < height:
            _couple(graph, nodes[y, x], nodes[y + 1, x], float(weight_x[y, x]), couplings)
        if x + 1 < width:
            _couple(graph, nodes[y, x], nodes[y, x + 1], float(weight_y[y, x]), couplings)
    graph.maxflow()
    return graph.get_grid_segments(nodes).sum(axis=-1)


def _couplings(pairwise: np.ndarray) -> list[tuple[int, int, float]]:
    """(k, l, cost) for label_i > k and label_j <= l: second differences of the smoothness."""
    step = pairwise[:, 0]
    levels = len(step) - 1
    found = [(k, k, float(step[1])) for k in range(levels)]
    for k in range(levels):
        for lower in range(k):
            bend = float(step[k - lower + 1] - 2 * step[k - lower] + step[k - lower - 1])
            if bend > 0:
                found.append((k, lower, bend))
    return found


def _couple(graph, first, second, weight: float, couplings: list[tuple[int, int, float]]) -> None:
    for k, lower, cost in couplings:
        graph.add_edge(second[lower], first[k], weight * cost, 0.0)
        graph.add_edge(first[lower], second[k], weight * cost, 0.0)
