"""Post-processing with a denoising auto-encoder, Post-DAE (Larrazabal et al., MICCAI 2019, TMI 2020).

A U-Net is trained on the scribbles. A denoising auto-encoder is trained to restore corrupted masks of other
patients through a code that can only represent plausible masks. Applied to the U-Net's softmax it replaces
each prediction by a plausible one.

No published code was read, only the abstracts.

Deviations from the paper, as far as they are known:
    * types of corruption, Dice loss and dense code are from memory, their sizes are this package's;
    * both networks are trained in one loop with no gradient between them; the paper trains them one after the
      other. So gradients are clipped by their joint norm, and one step is selected for both, by the repaired
      predictions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.corruption import corrupt
from cyclemix.ops.losses import partial_cross_entropy

EPS = 1e-5
"""Keeps the Dice of a structure that no mask of the batch shows."""


class PostDAE(Method):
    """Partial cross-entropy of the U-Net, and denoising loss of the auto-encoder after it."""

    class Config(StrictModel):
        """Sizes of the corruption."""

        patches: int = Field(4, ge=0, description="filled ellipses, each drawn with probability 0.5")
        patch_mm: float = length(20, "largest half-axis of an ellipse", whole=True)
        radius_mm: float = length(4, "largest radius by which a structure grows or shrinks", whole=True)
        jitter_mm: float = length(3, "how far a pixel's label may come from", whole=True)

    supervision = "scribble+masks"
    networks = ("unet_dae",)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` of the U-Net and ``repair`` of the auto-encoder."""
        if batch.masks is None:
            raise ValueError(
                "expected unpaired masks in the batch, got none; set supervision: scribble+masks"
            )
        known = batch.masks != UNLABELLED
        masks = torch.where(known, batch.masks, BACKGROUND)
        patches = self.config.patches
        damaged = corrupt(masks, self.num_classes, patches, **self.pixels, generator=generator)
        logits, repaired = net(batch.image, self._maps(damaged))
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "repair": dice_loss(repaired.float().softmax(dim=1), self._maps(masks), known),
        }

    def _maps(self, masks: Tensor) -> Tensor:
        """(B,H,W) int64 -> one-hot (B,num_classes,H,W) float32."""
        return functional.one_hot(masks, self.num_classes).permute(0, 3, 1, 2).float()


def dice_loss(scores: Tensor, maps: Tensor, known: Tensor) -> Tensor:
    """1 - the mean over structures of the batch's soft Dice, scalar.

    Args:
        scores, maps: (B,C,H,W) probabilities and one-hot truth, the background first.
        known: (B,H,W) bool, False for ignored pixels.
    """
    scores, maps = (values[:, 1:] * known[:, None] for values in (scores, maps))
    overlap, size = (scores * maps).sum(dim=(0, 2, 3)), (scores + maps).sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + EPS) / (size + EPS)).mean()
