"""Where a prepared slice shows image, and where it was padded."""

from __future__ import annotations

from torch import Tensor


def image_frame(image: Tensor) -> Tensor:
    """Rows and columns of an unaugmented slice that hold anything but the padding's 0.

    Labels that a method makes up for its training slices stay inside: padding is unlabelled, not background.

    Args:
        image: (B,1,H,W) float, exactly 0 outside the image.

    Returns:
        bool (B,H,W).
    """
    shown = image[:, 0] != 0
    return shown.any(dim=2, keepdim=True) & shown.any(dim=1, keepdim=True)
