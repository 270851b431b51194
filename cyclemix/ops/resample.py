"""Affine resampling of a batch, one transform per sample.

Coordinates are pixels from the image centre, x to the right and y down, so that rotations are correct on
images that are not square. The grid is computed by elementwise products: the matrix product of
``affine_grid`` would be rounded to bfloat16 by autocast, an error of half a pixel at 128 px.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["bilinear", "nearest"]


def grid(matrix: Tensor, shift: Tensor, height: int, width: int, margin: int = 0) -> Tensor:
    """Sampling grid of an affine transform.

    Args:
        matrix: (B, 2, 2) float, rows x and y: source = matrix @ (x, y) + shift, pixels from the centre.
        shift: (B, 2) float, pixels, order x, y.
        height: rows of the result.
        width: columns of the result.
        margin: pixels by which the source image extends beyond each side of the result.

    Returns:
        (B, height, width, 2) float32, coordinates of ``grid_sample(align_corners=False)``.
    """
    matrix, shift = matrix.float(), shift.float()
    x = torch.arange(width, device=matrix.device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=matrix.device, dtype=torch.float32) - (height - 1) / 2
    xy = torch.arange(2, device=matrix.device)
    scale = torch.where(xy == 0, 2 / (width + 2 * margin), 2 / (height + 2 * margin))
    columns = (matrix[:, None, :, 0] * x[:, None] + shift[:, None]) * scale
    rows = matrix[:, None, :, 1] * y[:, None] * scale
    return columns[:, None] + rows[:, :, None]


def sample(x: Tensor, where: Tensor, mode: Mode = "bilinear", outside: float = 0.0) -> Tensor:
    """Sample ``x`` (B, C, H, W) at ``where`` (from :func:`grid`); ``outside`` beyond the image."""
    values = x.float() - outside if outside else x.float()
    read = F.grid_sample(values, where, mode=mode, padding_mode="zeros", align_corners=False)
    return read + outside if outside else read


def turn(angle: Tensor) -> Tensor:
    """Rotation matrix (B, 2, 2) of ``angle`` (B,) radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((torch.stack((cos, -sin), dim=-1), torch.stack((sin, cos), dim=-1)), dim=-2)
