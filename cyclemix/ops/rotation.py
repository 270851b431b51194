"""Random rotation of a batch, its inverse, and which pixels survive it (CycleMix rotates by 0-360 degrees).

The official code fills the corners with background; here :func:`valid_mask` says which pixels have a source,
so that nothing outside the image is ever supervised.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cyclemix.ops import resample


def random_angles(batch: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """float32 (batch,) radians, uniform in [0, 2 pi)."""
    return torch.rand(batch, generator=generator, device=device) * (2 * math.pi)


def rotate(x: Tensor, angle: Tensor, mode: resample.Mode = "bilinear") -> Tensor:
    """Turn each sample about the image centre, clockwise on the screen for a positive angle.

    ``rotate(rotate(x, a), -a)`` brings the pixels back that :func:`valid_mask` ``(-a)`` marks, up to the two
    interpolations. Differentiable in ``x``.

    Args:
        x: (B, C, H, W) float.
        angle: (B,) radians.
        mode: ``bilinear``, or ``nearest`` for values that must not be mixed.

    Returns:
        (B, C, H, W) float32; 0 where the source lies outside the frame.

    Raises:
        ValueError: wrong shapes, or ``x`` is not floating point.
    """
    _check(x, angle)
    where = resample.grid(resample.turn(-angle), _no_shift(angle), *x.shape[-2:])
    return resample.sample(x, where, mode)


def valid_mask(angle: Tensor, height: int, width: int) -> Tensor:
    """Which pixels of ``rotate(x, angle)`` read wholly from inside the frame.

    ``valid_mask(-angle, ...)`` is the mask for a prediction on ``rotate(x, angle)`` that is turned back.

    Args:
        angle: (B,) radians.
        height: rows H.
        width: columns W.

    Returns:
        bool (B, H, W).
    """
    columns, rows = resample.parts(resample.turn(-angle), _no_shift(angle), height, width)
    # A bilinear read stays inside while it lies between the outermost pixel centres; a float's slack is kept.
    inside_x = (columns[..., 0] + rows[..., 0]).abs_() <= 1 - 1 / width + 1e-5
    inside_y = (columns[..., 1] + rows[..., 1]).abs_() <= 1 - 1 / height + 1e-5
    return inside_x & inside_y


def _no_shift(angle: Tensor) -> Tensor:
    return torch.zeros_like(angle)[:, None].expand(-1, 2)


def _check(x: Tensor, angle: Tensor) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(f"rotate expects a floating (B, C, H, W) tensor, got {x.dtype} {tuple(x.shape)}")
    if angle.shape != x.shape[:1]:
        raise ValueError(
            f"rotate expects one angle a sample, shape ({x.shape[0]},), got {tuple(angle.shape)}"
        )
