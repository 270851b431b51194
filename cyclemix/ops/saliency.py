"""Saliency of a batch from the loss gradient, and its block sums (Puzzle Mix, Kim et al. 2020, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


def saliency(gradient: Tensor) -> Tensor:
    """Root mean square over channels of the gradient of the loss with respect to the image.

    Args:
        gradient: (B, C, H, W) float.

    Returns:
        float32 (B, H, W), non-negative.

    Raises:
        ValueError: the gradient does not have four axes.
    """
    if gradient.dim() != 4:
        raise ValueError(f"saliency expects a gradient (B, C, H, W), got {tuple(gradient.shape)}")
    return gradient.float().square().mean(dim=1).sqrt()


def distribution(values: Tensor) -> Tensor:
    """Scale each (H, W) of non-negative ``values`` (B, H, W) to sum 1; all zeros become uniform."""
    total = values.sum(dim=(-2, -1), keepdim=True)
    count = values.shape[-1] * values.shape[-2]
    return torch.where(total > 0, values / total.clamp_min(torch.finfo(values.dtype).tiny), 1.0 / count)


def block_distribution(values: Tensor, block_px: int) -> Tensor:
    """Share of each block_px x block_px block in its sample's saliency.

    Args:
        values: (B, H, W) float, non-negative.
        block_px: side of a block, pixels; divides H and W.

    Returns:
        (B, H / block_px, W / block_px), each sample summing to 1; uniform for a sample of zeros.

    Raises:
        ValueError: H or W is not a multiple of ``block_px``.
    """
    batch, height, width = values.shape
    if height % block_px or width % block_px:
        raise ValueError(f"blocks of {block_px} px do not divide an image of {height} x {width} px")
    blocks = values.reshape(batch, height // block_px, block_px, width // block_px, block_px)
    return distribution(blocks.sum(dim=(2, 4)))
