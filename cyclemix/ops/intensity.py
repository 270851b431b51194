"""Grey values on a common scale."""

from __future__ import annotations

from torch import Tensor


def unit_range(image: Tensor) -> Tensor:
    """Each sample of ``image`` (B, C, H, W) on its own range, [0, 1]; a flat sample becomes 0.

    For constants from papers whose images lie in [0, 1] (or [0, 255]); the engine's are z-scored.
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return (image - low) / (high - low).clamp_min(1e-6)
