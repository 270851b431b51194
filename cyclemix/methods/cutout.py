"""Cutout on images with scribbles (DeVries and Taylor, arXiv 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy
from cyclemix.ops.occlusion import random_squares


class Cutout(Method):
    """One square of each image becomes 0, the mean of the z-scored volume.

    Its centre is uniform over the pixels and it is clipped at the border, as in the original. The side is
    that of CycleMix's random occlusion. Deviation: scribbles under the square are ignored; the original keeps
    its one label per image.
    """

    class Config(StrictModel):
        """Size of the hole."""

        hole_mm: float = length(32, "side of the blanked square", whole=True)

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``pce``."""
        image, target = batch.image, batch.target
        batch_size, height, width = target.shape
        hole = random_squares(batch_size, height, width, self.pixels["hole_px"], generator, image.device)
        logits = net(image * ~hole[:, None])
        return {"pce": partial_cross_entropy(logits, target.masked_fill(hole, UNLABELLED))}
