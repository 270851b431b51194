"""Applying a network to a volume, shared by validation, prediction and `segment`."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.labels import BACKGROUND
from cyclemix.config.models import Inference
from cyclemix.data.store import Geometry
from cyclemix.inference.postprocess import clean
from cyclemix.ops.precision import autocast

CHUNK = 32
"""Slices per forward pass; bounds memory, does not change results."""


def probabilities(
    net: nn.Module, image: Tensor, test_time_augmentation: bool, precision: str | None = None
) -> Tensor:
    """Class probabilities of a volume's slices.

    Args:
        net: network in evaluation mode, on the device of ``image``.
        image: (D,1,H,W) float32.
        test_time_augmentation: mean over flips and, for square slices, quarter turns (8 views).
        precision: ``fp32``, ``tf32`` or ``bf16``; None = the caller's autocast.

    Returns:
        (D,C,H,W) float32, summing to 1 over C.
    """
    both = [_both(net, part, test_time_augmentation, precision) for part in image.split(CHUNK)]
    return torch.cat([mean for _, mean in both])


@torch.no_grad()
def _both(
    net: nn.Module, image: Tensor, test_time_augmentation: bool, precision: str | None
) -> tuple[Tensor, Tensor]:
    """Probabilities of the original view, and their mean over all views; equal without augmentation."""
    turns = (0, 1) if image.shape[-1] == image.shape[-2] else (0,)
    views: list[tuple[int, tuple[int, ...]]] = [
        (turn, flip) for turn in turns for flip in ((), (2,), (3,), (2, 3))
    ]
    turned_back = []
    for turn, flip in views if test_time_augmentation else views[:1]:
        with autocast(image.device, precision) if precision else nullcontext():
            logits = net(torch.flip(torch.rot90(image, turn, (2, 3)), flip))
        turned_back.append(torch.rot90(torch.flip(logits.float().softmax(1), flip), -turn, (2, 3)))
    total = torch.zeros((), device=image.device)
    for probs in turned_back:
        total = total + probs
    return turned_back[0], total / len(turned_back)


def most_likely(scores: Tensor) -> Tensor:
    """The class with the largest score, of equal ones the first: (D,C,H,W) -> (D,H,W) int64."""
    return scores.max(dim=1).indices  # on CPUs seven times as fast as argmax


def to_native(probs: Tensor, geometry: Geometry) -> Tensor:
    """Resample probabilities to the native grid by linear interpolation.

    Args:
        probs: (D,C,H,W) on the prepared grid.

    Returns:
        (D,C,H',W') on the native grid; outside the prepared crop the background has probability 1.
    """
    _, height, width = geometry.native_shape
    rows = (torch.arange(height, device=probs.device) - geometry.origin_yx[0]) / geometry.scale_yx[0]
    columns = (torch.arange(width, device=probs.device) - geometry.origin_yx[1]) / geometry.scale_yx[1]
    sides = probs.shape[-2:]
    y, x = ((2 * axis + 1) / side - 1 for axis, side in zip((rows, columns), sides, strict=True))
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).to(probs.dtype)
    grid = grid.expand(len(probs), -1, -1, -1)
    native = functional.grid_sample(probs, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside_y = (rows >= -0.5) & (rows <= sides[0] - 0.5)
    inside_x = (columns >= -0.5) & (columns <= sides[1] - 0.5)
    background = (torch.arange(probs.shape[1], device=probs.device) == BACKGROUND).to(probs.dtype)
    return torch.where(inside_y[:, None] & inside_x[None, :], native, background[:, None, None])


def segment_volume(
    net: nn.Module, image: Tensor, geometry: Geometry, inference: Inference, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a volume on the native grid, in one pass over the network.

    Args:
        image: (D,1,H,W) prepared slices.
        precision: ``fp32``, ``tf32`` or ``bf16``.

    Returns:
        (D,H',W') uint8 twice: of one view without post-processing, and with the ``inference`` settings.
    """
    parts = [
        [
            most_likely(to_native(probs, geometry))
            for probs in _both(net, part, inference.test_time_augmentation, precision)
        ]
        for part in image.split(CHUNK)
    ]
    raw, averaged = (torch.cat(chunk).to(torch.uint8).cpu().numpy() for chunk in zip(*parts, strict=True))
    return raw, clean(averaged, inference)
