"""Class ratios of the unlabelled pixels by EM, and the classes they exclude (ShapePU and ZScribbleSeg).

The EM of Saerens et al. (Neural Computation 2002) adapts a classifier that was trained with the class shares
of the labelled pixels to the unknown shares of the unlabelled ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.config.labels import UNLABELLED


def class_ratios(scores: Tensor, target: Tensor, iterations: int) -> Tensor:
    """Share of each class among the unlabelled pixels of a batch.

    Starts from the shares q of the labelled pixels and repeats
        E: u(k | x) ~ a_k / q_k * p(k | x)        M: a_k = mean of u(k | x) over unlabelled x
    a fixed number of times (no synchronisation with the device).

    Args:
        scores: (B,C,H,W) class probabilities p, without gradient.
        target: (B,H,W) int64, 255 = unlabelled.
        iterations: number of E and M steps.

    Returns:
        (C,) float32; 0 for a class without labelled pixels.
    """
    classes = scores.shape[1]
    flat = scores.float().transpose(0, 1).reshape(classes, -1)
    unlabelled = (target == UNLABELLED).reshape(-1).to(flat.dtype)
    counts = torch.stack([(target == value).sum() for value in range(classes)]).to(flat.dtype)
    labelled = counts / counts.sum().clamp_min(1.0)
    ratios, total = labelled, unlabelled.sum().clamp_min(1.0)
    for _ in range(iterations):
        carried = flat * torch.where(counts > 0, ratios / labelled, 0.0)[:, None]
        # A pixel of zero probability in all labelled classes counts for none.
        share = unlabelled / carried.sum(dim=0).clamp_min(torch.finfo(flat.dtype).tiny)
        ratios = (carried * share).sum(dim=1) / total
    return ratios


def outranked(scores: Tensor, ratios: Tensor, among: Tensor) -> Tensor:
    """Pixels that rank too low in a class to belong to it.

    Of N pixels, a class keeps the round(ratio * N) of highest score, and all that tie with the last of them.

    Args:
        scores: (B,C,H,W) float, non-negative.
        ratios: (C,) share of each class.
        among: (B,H,W) bool, the pixels to rank.

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
    """-log of the total probability of the classes that are not excluded.

    Args:
        logits: (B,C,H,W).
        excluded: (B,C,H,W) bool; a pixel that excludes all classes is ignored.

    Returns:
        (B,H,W) float32, 0 where no class is excluded, and bool (B,H,W), True where at least one is.
    """
    excluded = excluded & ~excluded.all(dim=1, keepdim=True)
    some = excluded.any(dim=1)
    left = logits.float().log_softmax(dim=1).masked_fill(excluded, -torch.inf).logsumexp(dim=1)
    return -left * some, some
