"""Image area of a prepared slice, as opposed to its padding."""

from __future__ import annotations

from torch import Tensor


def image_frame(image: Tensor) -> Tensor:
    """Rows and columns of an unaugmented slice that are not all zero (padding).

    Methods restrict pseudo labels to this area: padding is unlabelled, not background.

    Args:
        image: (B,1,H,W) float, exactly 0 outside the image.

    Returns:
        bool (B,H,W).
    """
    shown = image[:, 0] != 0
    return shown.any(dim=2, keepdim=True) & shown.any(dim=1, keepdim=True)
