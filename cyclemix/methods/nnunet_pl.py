"""nnU-Net with a partial loss (Gotkowski et al., arXiv 2403.12834, 2024), the winner of their ScribbleBench.

Partial cross-entropy + partial Dice, both on labelled pixels only, at every resolution of the decoder with
weights 1, 1/2, 1/4, ... scaled to sum 1 (nnU-Net's ``DC_and_CE_loss`` with an ignore label:
weights 1 and 1, Dice over the batch, without background or squares, smoothing 1e-5; the coarsest output of
the decoder has weight 0). Scribbles of coarser resolutions are read at the nearest pixel, as nnU-Net does.

Deviations: the Dice loss is 1 - Dice, there -Dice, which differs by a constant. This is nnU-Net's loss on the
shared network, grid, augmentation, optimizer and budget, not nnU-Net: no self-configuration, no patches, no
instance norm, no SGD for 1000 epochs.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy, partial_dice


class NnUNetPL(Method):
    """Partial cross-entropy and partial Dice with deep supervision."""

    class Config(StrictModel):
        """nnU-Net's weights."""

        weight_ce: float = Field(1.0, ge=0, description="weight of the partial cross-entropy")
        weight_dice: float = Field(1.0, ge=0, description="weight of the partial Dice loss")

    supervision = "scribble"
    networks = ("unet_deep",)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``dice``."""
        outputs = net(batch.image)
        shares = [2.0**-level for level in range(len(outputs))]
        ce = dice = batch.image.new_zeros(())
        for level, (logits, share) in enumerate(zip(outputs, shares, strict=True)):
            target, weight = coarser(batch.target, level), share / sum(shares)
            scores = logits.float().softmax(dim=1)
            ce = ce + weight * partial_cross_entropy(logits, target)
            dice = dice + weight * partial_dice(scores, target, squared=False, background=False)
        return {"pce": self.config.weight_ce * ce, "dice": self.config.weight_dice * dice}


def coarser(target: Tensor, level: int) -> Tensor:
    """Labels (B,H,W) at 1 / 2^level of the resolution, rounded up, by nearest neighbour."""
    cell = 2**level
    height, width = target.shape[-2:]
    padded = functional.pad(target, (0, -width % cell, 0, -height % cell), value=UNLABELLED)
    return padded[:, cell // 2 :: cell, cell // 2 :: cell]
