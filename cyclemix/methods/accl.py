"""Adversarial constrained-CNN loss, ACCL (Zhang et al., arXiv 2005.00328).

Partial cross-entropy on the scribbles, and reference masks of other patients in place of hand-written
constraints: a discriminator learns the masks, and the network is trained towards their distribution.
No published code was found; only the abstract was read.

Deviations: unknown. That the discriminator is a PatchGAN is from memory; the least-squares losses are this
package's, with the weight of ``maag``, without noise or swapped labels.
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from cyclemix.methods.base import Network, Slices
from cyclemix.methods.unet_d import UNetD
from cyclemix.networks.discriminators import AdversarialConfig, PatchDiscriminator


class ACCL(UNetD):
    """Partial cross-entropy and adversarial losses on patches."""

    class Config(AdversarialConfig):
        """Adversarial losses without noise and swapped labels."""

        instance_noise: float = Field(
            0.0, ge=0, description="standard deviation of the noise on the discriminator's inputs"
        )
        label_flips: float = Field(
            0.0,
            ge=0,
            lt=0.5,
            description="probability that a sample's label is swapped for the discriminator",
        )
        filters: int = Field(64, ge=1, description="filters of the discriminator's first convolution")

    supervision = "scribble+masks"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The discriminator."""
        self.discriminator = PatchDiscriminator(self.num_classes - 1, self.config.filters)
        return {"discriminator": self.discriminator}
