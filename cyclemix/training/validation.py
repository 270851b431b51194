"""Dice of validation volumes on the training device."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.config.labels import UNLABELLED


def volume_dice(prediction: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Dice of classes 1..num_classes-1 over a volume, (num_classes-1,); both empty = 1; 255 is ignored.

    Args:
        prediction, truth: (D,H,W) integers.
    """
    known = truth != UNLABELLED
    scores = []
    for value in range(1, num_classes):
        first, second = (prediction == value) & known, truth == value
        size = first.sum() + second.sum()
        scores.append(torch.where(size > 0, 2.0 * (first & second).sum() / size.clamp_min(1), 1.0))
    return torch.stack(scores)
