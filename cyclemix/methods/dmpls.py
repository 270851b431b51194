"""DMPLS: two decoders and dynamically mixed pseudo-labels (Luo et al., MICCAI 2022).

Sections 2.2 and 2.3 of the paper, with the values of the original code (HiLab-git/WSL4MIS,
``train_weakly_supervised_segmentation_pCE_ours_proposed.py``):
    pce     mean of both decoders' partial cross-entropy;
    pseudo  mean of both decoders' Dice loss (squares in the denominator, background included) with the argmax
            of b p1 + (1 - b) p2, b uniform in [0, 1), one per batch; weight 0.5, from the first step.
The second decoder reads the encoder's features with half of their channels dropped. The first one predicts.

Deviations: the network is the default U-Net with a second decoder (there 16 to 256 filters and dropout in the
encoder); optimizer, schedule and augmentation are the shared ones.
"""

from __future__ import annotations

from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.networks.unet_dual import DualUNet
from cyclemix.ops.dual import draw_channels, mix
from cyclemix.ops.losses import partial_cross_entropy, partial_dice


class DMPLS(Method):
    """Both decoders learn from the scribbles and from a random mix of their predictions."""

    class Config(StrictModel):
        """Values of the paper and its code."""

        weight_pseudo: float = Field(0.5, ge=0, description="weight of the Dice loss with the pseudo-labels")
        drop: float = Field(
            0.5, ge=0, lt=1, description="fraction of channels dropped for the second decoder"
        )

    supervision = "scribble"
    networks = ("unet_dual",)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``pseudo``."""
        channels = cast(DualUNet, net).channels
        keep = draw_channels(len(batch.image), channels, self.config.drop, generator, batch.image.device)
        first, second = net(batch.image, keep)
        scores, other = first.float().softmax(dim=1), second.float().softmax(dim=1)
        pseudo = mix(scores, other, generator).argmax(dim=1)
        pce = partial_cross_entropy(first, batch.target) + partial_cross_entropy(second, batch.target)
        dice = partial_dice(scores, pseudo) + partial_dice(other, pseudo)
        return {"pce": 0.5 * pce, "pseudo": 0.5 * self.config.weight_pseudo * dice}
