"""Intensity normalisation."""

from __future__ import annotations

from torch import Tensor


def unit_range(image: Tensor) -> Tensor:
    """Min-max normalise each sample of ``image`` (B, C, H, W) to [0, 1]; a constant sample becomes 0.

    For constants from papers whose images are in [0, 1] (or [0, 255]); training images are z-scored.
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return (image - low) / (high - low).clamp_min(1e-6)
