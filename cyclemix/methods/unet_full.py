"""Cross-entropy on dense labels: full supervision with the same network and training (UNet_F)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy


class UNetFull(Method):
    """Cross-entropy over all pixels inside the image (Ronneberger et al., MICCAI 2015).

    Deviation: no border weights.
    """

    supervision = "full"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``ce``; padding is unlabelled and ignored."""
        return {"ce": partial_cross_entropy(net(batch.image), batch.target)}
