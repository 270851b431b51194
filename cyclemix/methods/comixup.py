"""Co-Mixup of images and scribbles (Kim, Choo, Jeong and Song, ICLR 2021)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.comixup import CoMixSettings, co_mix
from cyclemix.ops.losses import mixed_cross_entropy, partial_cross_entropy
from cyclemix.ops.saliency import saliency


class CoMixup(Method):
    """Batches are mixed such that each output shows salient cells of several images and outputs differ.

    After the official code (snu-mllab/Co-Mixup: main.py, mixup.py, match.py) with its defaults for CIFAR-100:
    4 x 4 cells, parts of at most 20 images, alpha 2, beta 0.32, gamma 1, eta 0.05, tau 0.83, omega
    0.001, 4 sweeps. The saliency is from the cross-entropy of the original images, which is also a loss term,
    with the same weight as the mixed one (``clean_lam`` 1).

    Deviations: every pixel has the labels of its source images, weighted by their shares; the original has
    one label per image, mixed by area. Cross-entropy for both terms, where the mixed one is binary
    cross-entropy on the softmax there. For the optimisation of the masks see ``cyclemix/ops/comixup.py``. How
    CycleMix's authors ran their Co-Mixup row is not published.
    """

    class Config(StrictModel):
        """Weights of the terms, and the mixing."""

        weight_unmix: float = Field(1.0, ge=0, description="weight of the unmixed cross-entropy")
        weight_mix: float = Field(1.0, ge=0, description="weight of the mixed cross-entropy")
        mix: CoMixSettings = Field(CoMixSettings(), description="Co-Mixup")

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``unmix`` and ``mix``."""
        config, image = self.config, batch.image.detach().requires_grad_()
        unmix = partial_cross_entropy(net(image), batch.target)
        (gradient,) = torch.autograd.grad(unmix, image, retain_graph=True)
        mix = co_mix(image.detach(), saliency(gradient), config.mix, generator)
        everywhere = torch.ones_like(batch.target, dtype=torch.bool)
        mixed = mixed_cross_entropy(net(mix.image), mix.labels(batch.target), mix.ratio, everywhere)
        return {"unmix": config.weight_unmix * unmix, "mix": config.weight_mix * mixed}
