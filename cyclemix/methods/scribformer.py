"""ScribFormer: convolutional and transformer branches with class activation maps (Li et al., IEEE TMI 2024).

Abstract, and original code (HUANGLIZI/ScribFormer: ``train.py`` with the values of its README,
``network/scribformer_cam.py``, ``val.py``):
    pce     mean of both decoders' partial cross-entropy;
    pseudo  mean of both decoders' Dice loss with the argmax of a random mix of both, weight 0.5, as in DMPLS;
    acam    consistency of the class activation maps: cross-entropy of the sigmoid of each shallower level's
            map, taken as logits, with that of the deepest level's; of n levels the i-th counts i / n, their
            sum 1 / n; weight 0.1.

Gradients of ``acam`` reach the deepest map as well, as in the code.

Deviations:
    * the network is a compact one, comparable in size to the default: 4 transformer blocks of width 256
      coupled from 1/2 resolution at 5 levels and 32 filters; there 12 of width 384 from 1/4 resolution
      (``cyclemix/networks/scribformer.py``);
    * optimizer, schedule and augmentation are the shared ones.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.dual import mix
from cyclemix.ops.losses import partial_cross_entropy, partial_dice, soft_cross_entropy


class ScribFormer(Method):
    """Both decoders learn from the scribbles and their mix; consistency of activation maps across levels."""

    class Config(StrictModel):
        """Values of the original code and its README."""

        weight_pseudo: float = Field(0.5, ge=0, description="weight of the Dice loss with the pseudo-labels")
        weight_acam: float = Field(0.1, ge=0, description="weight of the activation maps' consistency")

    supervision = "scribble"
    networks = ("scribformer",)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``pseudo`` and ``acam``."""
        first, second, maps = net(batch.image)
        scores, other = first.float().softmax(dim=1), second.float().softmax(dim=1)
        pseudo = mix(scores, other, generator).argmax(dim=1)
        pce = partial_cross_entropy(first, batch.target) + partial_cross_entropy(second, batch.target)
        dice = partial_dice(scores, pseudo) + partial_dice(other, pseudo)
        return {
            "pce": 0.5 * pce,
            "pseudo": 0.5 * self.config.weight_pseudo * dice,
            "acam": self.config.weight_acam * consistency(maps),
        }


def consistency(maps: list[Tensor]) -> Tensor:
    """Consistency loss of the shallower activation maps with the deepest one, scalar.

    Args:
        maps: (B,C,h,w) each, the shallowest first.
    """
    *shallow, deepest = [activation.float().sigmoid() for activation in maps]
    count = len(shallow)
    terms = [
        (rank / count) * soft_cross_entropy(activation, deepest) for rank, activation in enumerate(shallow, 1)
    ]
    return torch.stack(terms).sum() / count
