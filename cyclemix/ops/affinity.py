"""Class scores summed over a pixel's neighbours of similar intensity: the pairwise kernel of a gated CRF."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def neighbour_support(
    scores: Tensor, image: Tensor, radius_px: int, sd_px: float, sd_intensity: float
) -> Tensor:
    """Sum over the neighbours x' in a square window of k(x, x') p(x'), without gradient.

    k = exp(-|x - x'|^2 / (2 sd_px^2) - (I(x) - I(x'))^2 / (2 sd_intensity^2)), without the pixel itself and
    pixels outside the image (Obukhov et al., arXiv 1906.04651; ZScribbleSeg's spatial prior multiplies the
    sum by p(x)).

    Args:
        scores: (B,C,H,W) float p.
        image: (B,1,H,W) float I.
        radius_px: half the window's side.
        sd_px: standard deviation in space, pixels.
        sd_intensity: standard deviation in intensity, in the image's units.

    Returns:
        (B,C,H,W) float32.
    """
    scores, image = scores.float(), image.float()
    height, width = scores.shape[-2:]
    support = torch.zeros_like(scores)
    reach_y, reach_x = min(radius_px, height - 1), min(radius_px, width - 1)
    for dy in range(reach_y + 1):
        # Each pair is visited once and updates both of its pixels.
        for dx in range(-reach_x if dy else 1, reach_x + 1):
            here = (..., slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
            there = (..., slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
            apart = math.exp(-(dy**2 + dx**2) / (2 * sd_px**2))
            alike = (image[here] - image[there]).square().div_(-2 * sd_intensity**2).exp_().mul_(apart)
            support[here].addcmul_(alike, scores[there])
            support[there].addcmul_(alike, scores[here])
    return support
