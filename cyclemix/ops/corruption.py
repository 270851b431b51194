"""Random corruption of segmentation masks, batched, to train a denoising autoencoder.

Each corruption is applied to each sample with probability 0.5 and a random size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cyclemix.config.labels import BACKGROUND

PROBABILITY = 0.5
"""Probability of each corruption per sample."""


def corrupt(
    masks: Tensor,
    num_classes: int,
    patches: int,
    patch_px: int,
    radius_px: int,
    jitter_px: int,
    generator: torch.Generator,
) -> Tensor:
    """Patches, then morphology, then jitter.

    Args:
        masks: (B,H,W) int64 class values.
        num_classes: number of classes, including background.
        patches: number of filled ellipses of random classes, including background.
        patch_px: largest half-axis of an ellipse, pixels.
        radius_px: largest radius by which one structure is dilated or eroded, pixels; 0 = none.
        jitter_px: largest distance of label jitter along each axis, pixels; 0 = none.

    Returns:
        (B,H,W) int64, a new tensor.
    """
    for _ in range(patches):
        masks = add_patch(masks, num_classes, patch_px, generator)
    if radius_px:
        masks = grow_or_shrink(masks, num_classes, radius_px, generator)
    return jitter(masks, jitter_px, generator) if jitter_px else masks


def add_patch(masks: Tensor, num_classes: int, patch_px: int, generator: torch.Generator) -> Tensor:
    """One filled ellipse per sample, of a random class, half-axes uniform in 1..``patch_px`` pixels."""
    (batch, height, width), device = masks.shape, masks.device
    draw = torch.rand((6, batch, 1, 1), generator=generator, device=device)
    y = torch.arange(height, device=device)[:, None] - draw[0] * height
    x = torch.arange(width, device=device) - draw[1] * width
    axis_y, axis_x = (1 + value * (patch_px - 1) for value in draw[2:4])
    inside = (y / axis_y).square() + (x / axis_x).square() <= 1
    value = (draw[4] * num_classes).long().clamp(max=num_classes - 1)
    return torch.where(inside & (draw[5] < PROBABILITY), value, masks)


def grow_or_shrink(masks: Tensor, num_classes: int, radius_px: int, generator: torch.Generator) -> Tensor:
    """Dilate or erode one random structure per sample; erosion leaves background.

    The radius is uniform in 1..``radius_px`` pixels, the structuring element a square.
    """
    (batch, _, _), device = masks.shape, masks.device
    draw = torch.rand((4, batch, 1, 1), generator=generator, device=device)
    value = 1 + (draw[0] * (num_classes - 1)).long().clamp(max=num_classes - 2)
    grows = draw[1] < 0.5
    radius = torch.where(draw[3] < PROBABILITY, (1 + draw[2] * radius_px).floor(), 0)
    own = masks == value
    # Erosion is the dilation of the complement.
    spreading = torch.where(grows, own, ~own).float()
    for step in range(radius_px):
        wider = functional.max_pool2d(spreading, 3, stride=1, padding=1)
        spreading = torch.where(step < radius, wider, spreading)
    reached = spreading > 0
    return torch.where(grows & reached, value, torch.where(~grows & reached & own, BACKGROUND, masks))


def jitter(masks: Tensor, jitter_px: int, generator: torch.Generator) -> Tensor:
    """Replace half of the pixels' labels by those of pixels up to ``jitter_px`` rows and columns away."""
    (batch, height, width), device = masks.shape, masks.device
    draw = torch.rand((3, batch, height, width), generator=generator, device=device)
    touched = torch.rand((batch, 1, 1), generator=generator, device=device) < PROBABILITY
    moved = touched & (draw[2] < 0.5)
    offset = ((draw[:2] * (2 * jitter_px + 1)).floor().long() - jitter_px) * moved
    y = (torch.arange(height, device=device)[:, None] + offset[0]).clamp(0, height - 1)
    x = (torch.arange(width, device=device) + offset[1]).clamp(0, width - 1)
    return masks.flatten(1).gather(1, (y * width + x).flatten(1)).reshape(masks.shape)
