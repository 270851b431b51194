"""Class-weighted partial cross-entropy (UNet_wpce of CycleMix's tables; Valvano et al., IEEE TMI 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import balanced_cross_entropy


class UNetWPCE(Method):
    """Cross-entropy over scribbled pixels, each class weighted by n / n_c over the batch's scribbles.

    Weights as in MAAG's official code (gvalvano/multiscale-adversarial-attention-gates, tf_losses.py), where
    they are also computed per batch. Deviations: the sum is divided by the labelled pixels' total weight,
    which makes it the mean over the classes present of each class's mean cross-entropy; there it is divided
    by all pixels, a factor that shrinks with the scribbles. A class that is absent has weight 0; there n_c +
    1e-12 keeps the division finite. The network is the shared one, not MAAG's.
    """

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``wpce``."""
        return {"wpce": balanced_cross_entropy(net(batch.image), batch.target)}
