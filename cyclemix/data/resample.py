"""In-plane resampling from the native grid to the training grid.

Prepared pixel i is at native index ``origin + scale * i`` on each axis; the centres of the prepared square
and the native slice coincide. Every operation is separable: one small matrix per axis. Its sums have the
same bits on every processor, so that machines prepare equal files and their runs can be compared; those of a
matrix product do not, since each BLAS kernel adds in another order.
"""

from __future__ import annotations

import numpy as np

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.data.store import Geometry


def make_geometry(
    native_shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    header: bytes,
    grid: Grid,
    slice_axis: int = 3,
    margin_px: int = 0,
) -> Geometry:
    """Geometry of a volume (D,H,W) with voxels (dz,dy,dx) mm on a grid, its crop enlarged by a margin."""
    scale = grid.spacing_mm / spacing_mm[1], grid.spacing_mm / spacing_mm[2]
    last = grid.crop_px + 2 * margin_px - 1
    origin = tuple((n - 1) / 2 - s * last / 2 for n, s in zip(native_shape[1:], scale, strict=True))
    return Geometry(native_shape, spacing_mm, (origin[0], origin[1]), scale, header, slice_axis)


def image_to_grid(image: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Linear interpolation with anti-aliasing: (D,H,W) -> (D,size,size) float32.

    The kernel is a tent as wide as the larger of both pixels. Outside the image (see ``outside``) the nearest
    edge is repeated.
    """
    return _weighted_sums(image.astype(np.float32), *(_tent(geometry, axis, size) for axis in (0, 1)))


def label_to_grid(label: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Nearest neighbour: uint8 (D,H,W) -> (D,size,size); 255 outside the image."""
    rows, columns = (_nearest(geometry, axis, size) for axis in (0, 1))
    out = label[:, np.clip(rows, 0, label.shape[1] - 1)][:, :, np.clip(columns, 0, label.shape[2] - 1)]
    out[:, outside(geometry, size)] = UNLABELLED
    return out


def scribble_to_grid(scribble: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Resampling that preserves thin strokes: uint8 (D,H,W) -> (D,size,size); 255 outside the image.

    Nearest neighbour would interrupt strokes one pixel wide. Here a prepared pixel gets the value that covers
    most of its area, if it covers at least ``min(1/2, 1 / (2 * scale))``, half of what a one-pixel stroke
    covers. So a stroke one native pixel wide stays connected, one or two prepared pixels wide; the edge of a
    wide stroke moves outwards by at most ``1/2 - 1/(2 * scale)`` prepared pixels; on an equal grid nothing
    changes.
    """
    rows, columns = (_overlap(geometry, axis, size) for axis in (0, 1))
    best = np.zeros((len(scribble), size, size), np.float32)
    out = np.full(best.shape, UNLABELLED, np.uint8)
    for value in np.unique(scribble):
        if value != UNLABELLED:
            cover = _weighted_sums((scribble == value).astype(np.float32), rows, columns)
            out[cover > best] = value
            best = np.maximum(best, cover)
    enough = min(0.5, 0.5 / max(geometry.scale_yx))
    out[best < enough - 1e-4] = UNLABELLED
    out[:, outside(geometry, size)] = UNLABELLED
    return out


def outside(geometry: Geometry, size: int) -> np.ndarray:
    """(size,size) bool: prepared pixels with centres outside the native slice."""
    inside = []
    for axis in (0, 1):
        nearest = _nearest(geometry, axis, size)
        inside.append((nearest >= 0) & (nearest < geometry.native_shape[1 + axis]))
    return ~(inside[0][:, None] & inside[1])


def _weighted_sums(volume: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``rows @ slice @ columns.T`` of each slice: (D,H,W), (S,H), (S,W) -> (D,S,S), all float32.

    Terms are added in ascending order, each sum rounded to float32, like fused multiply-adds.
    """
    for axis, weights in ((1, rows), (2, columns)):
        first, count = (weights != 0).argmax(axis=1), int((weights != 0).sum(axis=1).max())
        doubles = volume.astype(np.float64)
        total = np.zeros_like(doubles.take(first, axis), np.float32)
        for at in (first + step for step in range(count)):
            inside = np.minimum(at, weights.shape[1] - 1)
            weight = np.where(at == inside, weights[np.arange(len(weights)), inside], 0).astype(np.float64)
            term = doubles.take(inside, axis) * (weight[:, None] if axis == 1 else weight)
            total = (total + term).astype(np.float32)
        volume = total
    return volume


def _positions(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    return geometry.origin_yx[axis] + geometry.scale_yx[axis] * np.arange(size)


def _nearest(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    return np.floor(_positions(geometry, axis, size) + 0.5).astype(int)


def _tent(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    """(size, n) weights of linear interpolation, widened if the prepared pixel is larger."""
    n = geometry.native_shape[1 + axis]
    at = np.clip(_positions(geometry, axis, size), 0, n - 1)
    width = max(1.0, geometry.scale_yx[axis])
    weights = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(n)) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _overlap(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    """(size, n) fraction of each prepared pixel's extent covered by each native pixel."""
    at, native = _positions(geometry, axis, size)[:, None], np.arange(geometry.native_shape[1 + axis])
    half = geometry.scale_yx[axis] / 2
    shared = np.minimum(at + half, native + 0.5) - np.maximum(at - half, native - 0.5)
    return (np.maximum(0.0, shared) / geometry.scale_yx[axis]).astype(np.float32)
