"""Post-processing of label volumes."""

from __future__ import annotations

import cc3d
import numpy as np

from cyclemix.config.labels import BACKGROUND
from cyclemix.config.models import Inference


def clean(labels: np.ndarray, inference: Inference) -> np.ndarray:
    """Post-process (D,H,W) labels according to ``inference``."""
    return keep_largest(labels) if inference.largest_component else labels


def keep_largest(labels: np.ndarray) -> np.ndarray:
    """Keep the largest 6-connected component of each structure; its other voxels become background.

    3D components, because in an apical slice a distractor can be larger than the heart (numbers in
    benchmarks/NOTES.md). Ties: the component with the first voxel in row-major order.

    Args:
        labels: (D,H,W) uint8, background 0.

    Returns:
        (D,H,W) uint8.
    """
    component, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    voxels = np.flatnonzero(labels != BACKGROUND)
    number, first, size = np.unique(component.reshape(-1)[voxels], return_index=True, return_counts=True)
    values, kept = labels.reshape(-1)[voxels[first]], np.zeros(count + 1, np.uint8)
    for value in np.unique(values):
        mine = np.flatnonzero(values == value)
        largest = mine[np.lexsort((first[mine], -size[mine]))[0]]
        kept[number[largest]] = value
    return kept[component]
