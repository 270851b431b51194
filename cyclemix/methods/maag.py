"""Multi-scale adversarial attention gates, MAAG (Valvano, Leo and Tsaftaris, IEEE TMI 2021).

Read: the authors' code (gvalvano/multiscale-adversarial-attention-gates: experiments/acdc/model.py,
architectures/), whose values the defaults are. Terms:
    wpce           partial cross-entropy, each class weighted by n_total / n_class over the batch's scribbles,
                   times |L_adv / L_wpce| without gradient: the term always equals the unweighted adversarial
                   loss, so its logged value does not fall;
    adversarial    0.2 (D(prediction) - 1)^2 / 2, D seeing the prediction and the gates' at 1/2, 1/4, 1/8;
    discriminator  0.2 ((D(mask) - 1)^2 / 2 + (D(prediction) + 1)^2 / 2).

Deviations from that code:
    * L_adv in the weight is the segmentation network's loss. There it is the discriminator's, which falls to
      zero when the discriminator is perfect and would remove the scribbles from the loss;
    * the discriminator's loss, which there also enters the supervised step with weight 0.1 and all weights,
      trains only the discriminator;
    * labels are swapped per sample, only for the discriminator. There the sign of a whole batch's score is
      flipped, for both networks, and the gradient ignores the flip;
    * the adversarial terms use the scribbled slices; there all frames of the same patients' cine series;
    * one optimizer step for all networks, so that the adversarial weight acts differently; there three
      consecutive steps of Adam.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from cyclemix.methods.base import Batch, Network, Slices
from cyclemix.methods.unet_d import UNetD
from cyclemix.networks.discriminators import LEVELS, AdversarialConfig
from cyclemix.networks.unet_attention import AttentionUNet
from cyclemix.ops.losses import balanced_cross_entropy

EPS = 1e-6
"""A cross-entropy below this is not weighted up further."""


class MAAG(UNetD):
    """Partial cross-entropy and adversarial losses at all scales of a network with attention gates."""

    class Config(AdversarialConfig):
        """Values of the authors' code."""

    supervision = "scribble+masks"
    networks = ("unet_attention",)

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The discriminator, made for the slices' size and the network's scales, four at most."""
        self.scales = min(cast(AttentionUNet, net).scales, LEVELS)
        return super().modules(net, slices)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``wpce``, ``adversarial`` (the network's side) and ``discriminator`` (its own)."""
        logits = net(batch.image)[: self.scales]
        fooling, telling = self.game(logits, batch, generator)
        supervised = balanced_cross_entropy(logits[0], batch.target)
        balance = (fooling / supervised.clamp_min(EPS)).detach().abs()
        weight = self.config.weight_adversarial
        return {
            "wpce": balance * supervised,
            "adversarial": weight * fooling,
            "discriminator": weight * telling,
        }
