"""Cross-entropy on dense labels: what full supervision reaches with the same network and loop (UNet_F)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclemix.losses import partial_cross_entropy
from cyclemix.methods.base import Batch, Method


class UNetFull(Method):
    """Cross-entropy over all pixels inside the image (Ronneberger et al., MICCAI 2015, without border weights)."""

    supervision = "full"

    def losses(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``ce``; padding is unlabelled and left out."""
        return {"ce": partial_cross_entropy(net(batch.image), batch.target)}
