"""Class ratios of the unlabelled pixels by EM, and what they exclude (ShapePU and ZScribbleSeg).

The EM is that of Saerens et al. (Neural Computation 2002): a classifier that was trained under the labelled
pixels' class shares is carried over to the unlabelled ones, whose shares are not known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.config.labels import UNLABELLED


def class_ratios(scores: Tensor, target: Tensor, iterations: int) -> Tensor:
    """Share of each class among the unlabelled pixels of a batch.

    Starts from the shares q of the labelled pixels and repeats
        E: u(k | x) ~ a_k / q_k * p(k | x)        M: a_k = mean of u(k | x) over unlabelled x
    a fixed number of times, so that nothing waits for the device.

    Args:
        scores: (B,C,H,W) class probabilities p, without gradient.
        target: (B,H,W) int64, 255 = unlabelled.
        iterations: how often the two steps are repeated.

    Returns:
        (C,) float32. A class without any labelled pixel has share 0.
    """
    classes = scores.shape[1]
    flat = scores.float().transpose(0, 1).reshape(classes, -1)
    unlabelled = (target == UNLABELLED).reshape(-1).to(flat.dtype)
    counts = torch.stack([(target == value).sum() for value in range(classes)]).to(flat.dtype)
    labelled = counts / counts.sum().clamp_min(1.0)
    ratios, total = labelled, unlabelled.sum().clamp_min(1.0)
    for _ in range(iterations):
        carried = flat * torch.where(counts > 0, ratios / labelled, 0.0)[:, None]
        # A pixel that has no probability left in any labelled class counts for none.
        share = unlabelled / carried.sum(dim=0).clamp_min(torch.finfo(flat.dtype).tiny)
        ratios = (carried * share).sum(dim=1) / total
    return ratios


def outranked(scores: Tensor, ratios: Tensor, among: Tensor) -> Tensor:
    """Which pixels are too low in a class's ranking to belong to it.

    Of the N pixels in question, a class keeps the round(ratio * N) with the highest scores (all of equal
    score where the line cuts through them).

    Args:
        scores: (B,C,H,W) float, not negative.
        ratios: (C,) share of each class.
        among: (B,H,W) bool, the pixels in question.

    Returns:
        bool (B,C,H,W), False outside ``among``.
    """
    classes = scores.shape[1]
    ranked = torch.where(among[:, None], scores, -1.0).transpose(0, 1).reshape(classes, -1)
    ranked = ranked.sort(dim=1, descending=True).values
    kept = (ratios * among.sum()).round().long()
    last = ranked.gather(1, (kept - 1).clamp_min(0)[:, None])[:, 0]
    threshold = torch.where(kept > 0, last, torch.inf)
    return among[:, None] & (scores < threshold[:, None, None])


def exclusion_loss(logits: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
    """- log of the probability that is left to the classes that are not excluded.

    Args:
        logits: (B,C,H,W).
        excluded: (B,C,H,W) bool. A pixel that excludes every class contradicts itself and is left out.

    Returns:
        (B,H,W) float32, 0 where nothing is excluded, and bool (B,H,W), where something is.
    """
    excluded = excluded & ~excluded.all(dim=1, keepdim=True)
    some = excluded.any(dim=1)
    left = logits.float().log_softmax(dim=1).masked_fill(excluded, -torch.inf).logsumexp(dim=1)
    return -left * some, some
