"""Affine resampling of a batch, one transform a sample.

Coordinates are pixels from the image centre, x to the right and y down, so that a turn keeps its angle on
images that are not square. The grid is built from elementwise products: ``affine_grid`` runs a matrix product
that autocast would round to bfloat16, which is off by half a pixel at 128 px.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["bilinear", "nearest"]


def grid(matrix: Tensor, shift: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel reads from.

    Args:
        matrix: (B, 2, 2) float, rows x and y: source = matrix @ (x, y) + shift, pixels from the centre.
        shift: (B, 2) float, pixels, order x, y.
        height: rows of the image.
        width: columns of the image.

    Returns:
        (B, height, width, 2) float32, normalised as ``grid_sample(align_corners=False)`` expects.
    """
    matrix, shift = matrix.float(), shift.float()
    x = torch.arange(width, device=matrix.device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=matrix.device, dtype=torch.float32) - (height - 1) / 2
    entry = matrix.reshape(-1, 2, 2, 1, 1)
    source_x = entry[:, 0, 0] * x + entry[:, 0, 1] * y[:, None] + shift[:, 0, None, None]
    source_y = entry[:, 1, 0] * x + entry[:, 1, 1] * y[:, None] + shift[:, 1, None, None]
    return torch.stack((source_x * (2 / width), source_y * (2 / height)), dim=-1)


def sample(x: Tensor, where: Tensor, mode: Mode = "bilinear", outside: float = 0.0) -> Tensor:
    """Read ``x`` (B, C, H, W) at ``where`` (from :func:`grid`); ``outside`` beyond the frame."""
    values = x.float() - outside if outside else x.float()
    read = F.grid_sample(values, where, mode=mode, padding_mode="zeros", align_corners=False)
    return read + outside if outside else read


def turn(angle: Tensor) -> Tensor:
    """Matrix (B, 2, 2) of a turn by ``angle`` (B,) radians."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((torch.stack((cos, -sin), dim=-1), torch.stack((sin, cos), dim=-1)), dim=-2)
