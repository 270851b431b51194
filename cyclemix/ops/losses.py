"""Loss terms shared by methods. Logits are (B,C,H,W) floats, targets (B,H,W) int64 with 255 = unlabelled."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from cyclemix.config.labels import UNLABELLED

Reduction = Literal["labelled", "pixels"]
"""Denominator of the sum over pixels: the labelled pixels, or all pixels (as in the official code)."""

EPS = 1e-6
"""Makes the cosine of an all-zero vector 0."""


def partial_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, reduction: Reduction = "labelled"
) -> Tensor:
    """Cross-entropy on labelled pixels, scalar (CycleMix eq. 2).

    Args:
        weight: (B,H,W) factor per pixel, e.g. a mixing ratio; None = 1.
        reduction: ``labelled`` divides by the total weight of the labelled pixels, ``pixels`` by B*H*W.
    """
    terms = functional.cross_entropy(logits.float(), target, ignore_index=UNLABELLED, reduction="none")
    labelled = (target != UNLABELLED).to(terms.dtype)
    if weight is not None:
        terms, labelled = terms * weight, labelled * weight
    return terms.sum() / (labelled.sum().clamp_min(1.0) if reduction == "labelled" else target.numel())


def mixed_cross_entropy(
    logits: Tensor,
    targets: tuple[Tensor, Tensor],
    ratio: Tensor,
    visible: Tensor,
    reduction: Reduction = "labelled",
) -> Tensor:
    """Cross-entropy of a mixed image with both images' labels, weighted by share, scalar (CycleMix eq. 5).

    Args:
        targets: labels of the first and of the second image, both (B,H,W), transported as the images.
        ratio: (B,H,W) share of the second image.
        visible: (B,H,W) bool, False for occluded pixels and outside the image.
    """
    total, mass = logits.new_zeros((), dtype=torch.float32), logits.new_zeros((), dtype=torch.float32)
    for target, share in zip(targets, (1 - ratio, ratio), strict=True):
        terms = functional.cross_entropy(logits.float(), target, ignore_index=UNLABELLED, reduction="none")
        weight = share * visible * (target != UNLABELLED)
        total, mass = total + (terms * weight).sum(), mass + weight.sum()
    return total / (mass.clamp_min(1.0) if reduction == "labelled" else visible.numel())


def cosine_distance(first: Tensor, second: Tensor, visible: Tensor | None = None) -> Tensor:
    """Mean over visible pixels of 1 - cos over the class axis, scalar (CycleMix eq. 9, 11).

    Args:
        first, second: (B,C,H,W) non-negative class scores.
        visible: (B,H,W) bool; None = all.
    """
    first, second = first.float(), second.float()
    # Faster than torch's cosine_similarity, which normalises both maps first (several passes over memory).
    norms = first.square().sum(dim=1) * second.square().sum(dim=1)
    distance = 1 - (first * second).sum(dim=1) * (norms + EPS**2).rsqrt()
    if visible is None:
        return distance.mean()
    weight = visible.to(distance.dtype)
    return (distance * weight).sum() / weight.sum().clamp_min(1.0)


def class_weights(target: Tensor, num_classes: int) -> Tensor:
    """Class-balancing weights (B,H,W): n / n_c over the labelled pixels of the batch, 0 where unlabelled.

    As in MAAG's cross-entropy (Valvano et al., IEEE TMI 2021, official code).
    """
    onehot = torch.stack([target == value for value in range(num_classes)])
    counts = onehot.sum(dim=(1, 2, 3)).float()
    weights = counts.sum() / counts.clamp_min(1.0)
    return (weights[:, None, None, None] * onehot).sum(dim=0)


def balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Partial cross-entropy weighted by `class_weights`: the mean over classes of the class means, scalar."""
    return partial_cross_entropy(logits, target, class_weights(target, logits.shape[1]))


def total_variation(scores: Tensor) -> Tensor:
    """Sum over the classes of |horizontal| + |vertical| differences, mean over pixels, scalar.

    Args:
        scores: (B,C,H,W) float.
    """
    batch, _, height, width = scores.shape
    steps = scores.diff(dim=2).abs().sum() + scores.diff(dim=3).abs().sum()
    return steps / (batch * height * width)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with soft labels, mean over all pixels, scalar.

    Args:
        target: (B,C,H,W) class probabilities.
    """
    return -(target * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


def partial_dice(
    scores: Tensor, target: Tensor, *, squared: bool = True, background: bool = True, smooth: float = 1e-5
) -> Tensor:
    """Soft Dice loss on labelled pixels, summed over the batch, mean over classes, scalar.

    Args:
        scores: (B,C,H,W) class probabilities.
        squared: squares in the denominator (WSL4MIS's pDLoss), or plain sums (nnU-Net).
        background: include class 0 in the mean.
        smooth: added to numerator and denominator, so that an absent class that is not predicted has loss 0.
    """
    labelled = target != UNLABELLED
    onehot = functional.one_hot(target * labelled, scores.shape[1]).movedim(-1, 1) * labelled[:, None]
    scores = scores.float() * labelled[:, None]
    overlap, size = (scores * onehot).sum(dim=(0, 2, 3)), onehot.sum(dim=(0, 2, 3))
    predicted = (scores.square() if squared else scores).sum(dim=(0, 2, 3))
    loss = 1 - (2 * overlap + smooth) / (predicted + size + smooth)
    return loss.mean() if background else loss[1:].mean()
