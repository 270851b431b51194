"""Partial cross-entropy and total variation of the prediction (Javanmardi et al., arXiv 2016)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy, total_variation


class TotalVariation(Method):
    """Short borders: 0.01 times the mean L1 norm of the gradient of the structures' probabilities.

    The weight is WSL4MIS's (HiLab-git, train_weakly_supervised_pCE_TV_2D.py), as is the mean over classes and
    pixels. Deviations from it: forward differences, which are the paper's L1 norm of the gradient, where
    WSL4MIS takes the difference of a 3 x 3 erosion and its dilation; background is excluded, where WSL4MIS's
    ``[1:]`` excludes the first image of the batch. The paper's own weight was not read.
    """

    class Config(StrictModel):
        """Weight of the total variation."""

        weight_variation: float = Field(0.01, ge=0, description="weight of the mean total variation")

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``variation``."""
        logits = net(batch.image)
        structures = logits.float().softmax(dim=1)[:, 1:]
        variation = total_variation(structures) / structures.shape[1]
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "variation": self.config.weight_variation * variation,
        }
