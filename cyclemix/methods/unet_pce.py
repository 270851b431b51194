"""Partial cross-entropy on the scribbles alone: the baseline of CycleMix's tables (UNet_pce)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy


class UNetPCE(Method):
    """Cross-entropy over scribbled pixels (Tang et al., CVPR 2018, eq. 3).

    Deviations: none in the loss; the rows ``unet_plus`` and ``unet_plusplus`` train other networks with it.
    """

    supervision = "scribble"
    networks = ("unet", "unet_paper", "unet_plusplus")

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``pce``."""
        return {"pce": partial_cross_entropy(net(batch.image), batch.target)}
