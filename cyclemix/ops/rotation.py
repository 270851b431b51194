"""Random rotation of a batch, its inverse, and the mask of valid pixels (CycleMix rotates by 0-360 degrees).

The official code fills the corners with background; here :func:`valid_mask` excludes pixels without a source
from supervision.
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
    """Rotate each sample about the image centre, clockwise on the screen for a positive angle.

    Up to interpolation, ``rotate(rotate(x, a), -a)`` equals ``x`` at the pixels of ``valid_mask(-a, ...)``.
    Differentiable in ``x``.

    Args:
        x: (B, C, H, W) float.
        angle: (B,) radians.
        mode: ``bilinear``, or ``nearest`` for values that must not be mixed.

    Returns:
        (B, C, H, W) float32; 0 where the source is outside the image.

    Raises:
        ValueError: wrong shape, or ``x`` is not floating point.
    """
    _check(x, angle)
    height, width = x.shape[-2:]
    return resample.sample(x, _grid(angle, height, width), mode)


def valid_mask(angle: Tensor, height: int, width: int) -> Tensor:
    """Pixels of ``rotate(x, angle)`` that are interpolated from pixels inside the image only.

    ``valid_mask(-angle, ...)`` is the mask of a prediction on ``rotate(x, angle)`` that is rotated back.

    Args:
        angle: (B,) radians.
        height: rows H.
        width: columns W.

    Returns:
        bool (B, H, W).
    """
    x, y = _grid(angle, height, width).abs_().unbind(dim=-1)
    # Bilinear interpolation is valid between the outermost pixel centres; 1e-5 allows for rounding.
    return (x <= 1 - 1 / width + 1e-5) & (y <= 1 - 1 / height + 1e-5)


def _grid(angle: Tensor, height: int, width: int) -> Tensor:
    """Sampling grid (B, height, width, 2) of a rotation about the centre."""
    no_shift = torch.zeros_like(angle)[:, None].expand(-1, 2)
    return resample.grid(resample.turn(-angle), no_shift, height, width)


def _check(x: Tensor, angle: Tensor) -> None:
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(f"rotate expects a floating (B, C, H, W) tensor, got {x.dtype} {tuple(x.shape)}")
    if angle.shape != x.shape[:1]:
        raise ValueError(
            f"rotate expects one angle per sample, shape ({x.shape[0]},), got {tuple(angle.shape)}"
        )
