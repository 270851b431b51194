"""Post-processing with a denoising auto-encoder, Post-DAE (Larrazabal et al., MICCAI 2019, TMI 2020).

A U-Net is trained on the scribbles. A denoising auto-encoder is trained to restore corrupted masks of other
patients through a code that can only represent plausible masks. Applied to the U-Net's softmax it replaces
each prediction by a plausible one.

No published code was read, only the abstracts.

Deviations from the paper, as far as they are known:
    * types of corruption, Dice loss, channels and dense code are from memory, the corruption's sizes are
      this package's;
    * cross-entropy is added to the Dice loss, which does not recover a structure lost in the first steps;
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
from cyclemix.ops.losses import partial_cross_entropy, partial_dice


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
        masks, patches = batch.unpaired_masks(), self.config.patches
        whole = torch.where(masks == UNLABELLED, BACKGROUND, masks)
        damaged = corrupt(whole, self.num_classes, patches, **self.pixels, generator=generator)
        maps = functional.one_hot(damaged, self.num_classes).movedim(-1, 1).float()
        logits, repaired = net(batch.image, maps)
        dice = partial_dice(repaired.float().softmax(dim=1), masks, squared=False)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "repair": dice + partial_cross_entropy(repaired, masks),
        }
