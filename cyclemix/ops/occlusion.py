"""Random boxes: occluding squares (CycleMix, section 3.2, "decrement"; Cutout) and boxes of a given share of
the image (CutMix)."""

from __future__ import annotations

import torch
from torch import Tensor


def random_squares(
    batch: int, height: int, width: int, side: int, generator: torch.Generator, device: torch.device | str
) -> Tensor:
    """One axis-parallel square per sample, centre uniform over the pixels, clipped at the border.

    A square of even side extends one pixel further up and left of its centre than down and right.

    Args:
        batch: number of samples B.
        height: rows H.
        width: columns W.
        side: side of the square, pixels; 0 = no square.
        generator: source of randomness, on ``device``.
        device: device of the mask.

    Returns:
        bool (B, H, W), True inside the square.

    Raises:
        ValueError: a size that is not positive, or a negative side.
    """
    if min(batch, height, width) < 1 or side < 0:
        raise ValueError(
            f"random_squares needs batch, height, width >= 1 and side >= 0; "
            f"got batch={batch}, height={height}, width={width}, side={side}"
        )
    draw = torch.rand((2, batch, 1), generator=generator, device=device)
    rows = _band((draw[0] * height).floor(), height, side)
    columns = _band((draw[1] * width).floor(), width, side)
    return rows[:, :, None] & columns[:, None, :]


def random_boxes(share: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """One box per sample of the image's aspect ratio, centre uniform over the pixels, clipped at the border.

    Args:
        share: (B,) float in [0, 1], area of the box relative to the image, before clipping.
        height: rows H.
        width: columns W.
        generator: source of randomness, on the device of ``share``.

    Returns:
        bool (B, H, W), True inside the box; sides are rounded down to whole pixels.
    """
    draw = torch.rand((2, len(share), 1), generator=generator, device=share.device)
    side = share.sqrt()[:, None]
    rows = _band((draw[0] * height).floor(), height, (side * height).floor())
    columns = _band((draw[1] * width).floor(), width, (side * width).floor())
    return rows[:, :, None] & columns[:, None, :]


def _band(centre: Tensor, length: int, side: int | Tensor) -> Tensor:
    """bool (B, length): ``side`` positions around each centre (B, 1)."""
    first = centre - side // 2
    position = torch.arange(length, device=centre.device, dtype=centre.dtype)
    return (position >= first) & (position < first + side)
