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
    component = cc3d.connected_components(labels, connectivity=6)
    voxels = np.flatnonzero(labels != BACKGROUND)
    of_voxel = component.reshape(-1)[voxels]
    sizes = np.bincount(of_voxel, minlength=1)
    first = np.zeros(len(sizes), np.int64)
    first[of_voxel[::-1]] = voxels[::-1]  # the last assignment wins: the first voxel in row-major order
    values = labels.reshape(-1)[first]
    kept = np.zeros(len(sizes), np.uint8)
    for value in np.unique(labels.reshape(-1)[voxels]):
        mine = np.flatnonzero((values == value) & (sizes > 0))
        kept[mine[np.lexsort((first[mine], -sizes[mine]))[0]]] = value
    return kept[component]
