"""Overlap and surface distances of two binary masks, in millimetres.

Conventions (written out because tools differ):

- The surface of a mask are the voxels removed by one erosion with the 6-connected cross; outside the array is
  background, so a mask that touches the border has surface there. As MONAI's ``get_mask_edges``.
- ``hd_mm`` is the larger of the two directed maxima, ``hd95_mm`` the larger of the two directed 95th
  percentiles (linear interpolation; MONAI's convention, not MedPy's pooled percentile), ``assd_mm`` the mean
  over the distances of both directions pooled (not the mean of two means).
- Both masks empty: Dice 1 and distances 0. One empty: Dice 0 and distances equal to the volume's diagonal, so
  that a missed structure worsens every mean instead of being excluded from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

BoolArray = NDArray[np.bool_]

DISTANCES = ("hd_mm", "hd95_mm", "assd_mm")
"""Keys of what :func:`surface_metrics` returns."""

# A k-d tree over the surface is 2-10 times faster than a distance transform of the bounding box, except for
# large ragged predictions (an untrained network's): there the transform's cost, fixed by the box, is lower.
_TREE_POINTS = 50_000
_TREE_DENSITY = 0.05


def dice(pred: BoolArray, truth: BoolArray) -> float:
    """Dice coefficient 2 |P and T| / (|P| + |T|) of two masks of one shape; 1 where both are empty.

    Args:
        pred: bool, any shape.
        truth: bool, the same shape.

    Raises:
        ValueError: the shapes differ, or the arrays are not masks.
    """
    pred, truth = _masks(pred, truth)
    total = int(np.count_nonzero(pred)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(pred & truth)) / total if total else 1.0


def surface_metrics(pred: BoolArray, truth: BoolArray, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Hausdorff distance, its 95th percentile and the mean surface distance of two volumes.

    Args:
        pred: bool (D, H, W).
        truth: bool (D, H, W).
        spacing_mm: voxel size (dz, dy, dx) in mm.

    Returns:
        ``hd_mm``, ``hd95_mm``, ``assd_mm``; see the module's docstring for the conventions.

    Raises:
        ValueError: the shapes differ, the arrays are not 3D masks, or the spacing is not three positive
            numbers.
    """
    pred, truth = _masks(pred, truth)
    spacing = _spacing(spacing_mm)
    if pred.ndim != 3:
        raise ValueError(f"surface_metrics expects volumes (D, H, W), got shape {pred.shape}")
    box = _bounding_box(pred | truth)
    if box is None:
        return dict.fromkeys(DISTANCES, 0.0)
    pred_surface, truth_surface = surface(pred[box]), surface(truth[box])
    if not pred_surface.any() or not truth_surface.any():
        return dict.fromkeys(DISTANCES, miss_distance(pred.shape, spacing_mm))
    forward, backward = _distances(pred_surface, truth_surface, spacing)
    directed = [np.percentile(values, 95) for values in (forward, backward)]
    return {
        "hd_mm": float(max(forward.max(), backward.max())),
        "hd95_mm": float(max(directed)),
        "assd_mm": float((forward.sum() + backward.sum()) / (forward.size + backward.size)),
    }


def miss_distance(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Distance in mm assigned to a missed structure: the diagonal of a volume (D, H, W)."""
    return float(np.linalg.norm(np.asarray(shape) * np.asarray(spacing_mm)))


def surface(mask: BoolArray) -> BoolArray:
    """Voxels of ``mask`` (D, H, W) with a face neighbour outside it; beyond the array is outside."""
    padded = np.pad(mask, 1)
    centre = (slice(1, -1),) * 3
    inner = padded[centre].copy()
    for axis in range(3):
        for shift in (slice(None, -2), slice(2, None)):
            index = list(centre)
            index[axis] = shift
            inner &= padded[tuple(index)]
    return mask & ~inner


def _distances(first: BoolArray, second: BoolArray, spacing: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Distance in mm of each surface voxel of ``first`` to ``second``'s nearest, and the reverse.

    Voxels on both surfaces are at distance 0 and are counted, not searched.
    """
    only_first, only_second = first & ~second, second & ~first
    searched = int(np.count_nonzero(only_first)) + int(np.count_nonzero(only_second))
    shared = np.zeros(int(np.count_nonzero(first & second)))
    nearest = _by_transform if searched > max(_TREE_POINTS, _TREE_DENSITY * first.size) else _by_tree
    return (
        np.concatenate([shared, nearest(only_first, second, spacing)]),
        np.concatenate([shared, nearest(only_second, first, spacing)]),
    )


def _by_tree(points: BoolArray, target: BoolArray, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    # An unbalanced tree is built in half the time and is asked only once.
    tree = cKDTree(np.argwhere(target) * spacing, leafsize=32, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(np.argwhere(points) * spacing)[0])


def _by_transform(points: BoolArray, target: BoolArray, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = distance_transform_edt(~target, sampling=spacing)[points]
    return distances


def _bounding_box(mask: BoolArray) -> tuple[slice, ...] | None:
    """Bounding box of ``mask`` (D, H, W); None if it is empty."""
    plane = np.any(mask, axis=0)
    profiles = (np.any(mask, axis=(1, 2)), np.any(plane, axis=1), np.any(plane, axis=0))
    indices = [np.flatnonzero(profile) for profile in profiles]
    if indices[0].size == 0:
        return None
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in indices)


def _masks(pred: NDArray, truth: NDArray) -> tuple[BoolArray, BoolArray]:
    pred, truth = np.asarray(pred), np.asarray(truth)
    if pred.shape != truth.shape:
        raise ValueError(f"pred and truth must have one shape, got {pred.shape} and {truth.shape}")
    for name, mask in (("pred", pred), ("truth", truth)):
        if mask.dtype != np.bool_:
            raise ValueError(f"{name} must be a bool mask, got {mask.dtype}; pass `labels == value`")
    return pred, truth


def _spacing(spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (3,) or not np.all(np.isfinite(spacing)) or not np.all(spacing > 0):
        raise ValueError(f"spacing_mm must be three positive numbers (dz, dy, dx) in mm, got {spacing_mm}")
    return spacing
