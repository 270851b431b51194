"""Partial cross-entropy and entropy minimisation (Grandvalet and Bengio, NeurIPS 2004)."""

from __future__ import annotations

from math import log

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy


class EntropyMin(Method):
    """Confident predictions: 0.1 times the mean entropy of the softmax.

    Weight and scale as in WSL4MIS (HiLab-git, train_weakly_supervised_pCE_Entropy_Mini_2D.py): the entropy is
    divided by log C, so that its maximum is 1, and averaged over all pixels, including labelled ones.
    Deviation: the logarithm of the softmax is exact, there it is log(p + 1e-6).
    """

    class Config(StrictModel):
        """Weight of the entropy."""

        weight_entropy: float = Field(0.1, ge=0, description="weight of the mean entropy / log(classes)")

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``entropy``."""
        logits = net(batch.image)
        log_p = logits.float().log_softmax(dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1).mean() / log(self.num_classes)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "entropy": self.config.weight_entropy * entropy,
        }
