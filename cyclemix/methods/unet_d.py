"""Partial cross-entropy and a mask discriminator at one scale: the adversarial baseline UNet_D.

A baseline of Valvano et al. (IEEE TMI 2021) and of CycleMix (Table 3): scribbles supervise positions, a
discriminator trained on masks of other patients supervises shapes.
No published code was read: neither paper's code contains this baseline.

Deviations: unknown. Implemented as ``maag`` without attention gates and coarser scales: its discriminator,
least-squares losses, noise and adversarial weight, on the shared network, with plain partial cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cyclemix.methods.base import Batch, Method, Network, Slices
from cyclemix.networks.discriminators import (
    AdversarialConfig,
    MaskDiscriminator,
    adversarial_losses,
    mask_maps,
)
from cyclemix.ops.losses import partial_cross_entropy


class UNetD(Method):
    """Partial cross-entropy and adversarial losses on whole slices."""

    class Config(AdversarialConfig):
        """Values of the discriminator of ``maag``."""

    supervision = "scribble+masks"
    scales = 1
    """Number of maps that the discriminator takes."""
    discriminator: nn.Module

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The discriminator, made for the slices' size."""
        height, width = slices.size
        self.discriminator = MaskDiscriminator(
            self.num_classes - 1, height, width, self.scales, self.config.filters
        )
        return {"discriminator": self.discriminator}

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``adversarial`` (the network's side) and ``discriminator`` (its own)."""
        logits = net(batch.image)
        fooling, telling = self.game([logits], batch, generator)
        weight = self.config.weight_adversarial
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "adversarial": weight * fooling,
            "discriminator": weight * telling,
        }

    def game(
        self, logits: Sequence[Tensor], batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Unweighted losses of the network and of the discriminator, see `adversarial_losses`.

        Args:
            logits: (B,C,H/2^i,W/2^i) of each of the ``scales``, the finest first.
        """
        predicted = [scale.float().softmax(dim=1)[:, 1:] for scale in logits]
        drawn = mask_maps(batch.unpaired_masks(), self.num_classes, self.scales)
        return adversarial_losses(self.discriminator, drawn, predicted, self.config, generator)
