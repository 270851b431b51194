"""In-plane resampling between the native grid and the training grid, exact to the half pixel.

A prepared pixel i lies at native index ``origin + scale * i`` on each axis; the middle of the prepared square
is the middle of the native slice. Every operation is a pair of small matrices, one an axis.
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
    """Geometry of a volume (D,H,W) with voxels (dz,dy,dx) mm on a grid, its crop wider by a margin."""
    scale = grid.spacing_mm / spacing_mm[1], grid.spacing_mm / spacing_mm[2]
    last = grid.crop_px + 2 * margin_px - 1
    origin = tuple((n - 1) / 2 - s * last / 2 for n, s in zip(native_shape[1:], scale, strict=True))
    return Geometry(native_shape, spacing_mm, (origin[0], origin[1]), scale, header, slice_axis)


def image_to_grid(image: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Linear interpolation with anti-aliasing: (D,H,W) -> (D,size,size) float32.

    The kernel is a tent as wide as the coarser of both pixels, so shrinking averages instead of skipping.
    Outside the image the nearest edge is repeated; ``outside`` tells where that is.
    """
    rows, columns = (_tent(geometry, axis, size) for axis in (0, 1))
    return np.matmul(np.matmul(rows, image.astype(np.float32)), columns.T)


def label_to_grid(label: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Nearest value: uint8 (D,H,W) -> (D,size,size); outside the image 255."""
    rows, columns = (_nearest(geometry, axis, size) for axis in (0, 1))
    out = label[:, np.clip(rows, 0, label.shape[1] - 1)][:, :, np.clip(columns, 0, label.shape[2] - 1)]
    out[:, outside(geometry, size)] = UNLABELLED
    return out


def scribble_to_grid(scribble: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Thin strokes: uint8 (D,H,W) -> (D,size,size); outside the image 255.

    Picking the nearest value would break strokes one pixel wide. Here a prepared pixel takes the value that
    covers most of its area, if that is at least ``min(1/2, 1 / (2 * scale))`` of it: half of what a one-pixel
    stroke crossing it covers. A stroke of one native pixel therefore survives whole, one or two prepared
    pixels wide; the edge of a broad one moves outwards by at most ``1/2 - 1/(2 * scale)`` prepared pixels; on
    an equal grid nothing changes.
    """
    rows, columns = (_overlap(geometry, axis, size) for axis in (0, 1))
    best = np.zeros((len(scribble), size, size), np.float32)
    out = np.full(best.shape, UNLABELLED, np.uint8)
    for value in np.unique(scribble):
        if value != UNLABELLED:
            cover = np.matmul(np.matmul(rows, (scribble == value).astype(np.float32)), columns.T)
            out[cover > best] = value
            best = np.maximum(best, cover)
    enough = min(0.5, 0.5 / max(geometry.scale_yx))
    out[best < enough - 1e-4] = UNLABELLED
    out[:, outside(geometry, size)] = UNLABELLED
    return out


def outside(geometry: Geometry, size: int) -> np.ndarray:
    """(size,size) bool: centres of prepared pixels that lie outside the native slice."""
    inside = []
    for axis in (0, 1):
        nearest = _nearest(geometry, axis, size)
        inside.append((nearest >= 0) & (nearest < geometry.native_shape[1 + axis]))
    return ~(inside[0][:, None] & inside[1])


def _positions(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    return geometry.origin_yx[axis] + geometry.scale_yx[axis] * np.arange(size)


def _nearest(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    return np.floor(_positions(geometry, axis, size) + 0.5).astype(int)


def _tent(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    """(size, n) weights of linear interpolation, widened where the prepared pixel is the coarser."""
    n = geometry.native_shape[1 + axis]
    at = np.clip(_positions(geometry, axis, size), 0, n - 1)
    width = max(1.0, geometry.scale_yx[axis])
    weights = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(n)) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _overlap(geometry: Geometry, axis: int, size: int) -> np.ndarray:
    """(size, n) fraction of a prepared pixel's extent that each native pixel covers."""
    at, native = _positions(geometry, axis, size)[:, None], np.arange(geometry.native_shape[1 + axis])
    half = geometry.scale_yx[axis] / 2
    shared = np.minimum(at + half, native + 0.5) - np.maximum(at - half, native - 0.5)
    return (np.maximum(0.0, shared) / geometry.scale_yx[axis]).astype(np.float32)
