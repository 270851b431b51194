"""Partial cross-entropy and the Gated CRF loss (Obukhov et al., arXiv 2019)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.crf import gated_energy
from cyclemix.ops.intensity import unit_range
from cyclemix.ops.losses import partial_cross_entropy


class GatedCRF(Method):
    """Similar pixels should have the same class, within a window around each pixel.

    One kernel of position and grey value, Potts compatibility, sum over the window and mean over pixels; all
    settings as in WSL4MIS (HiLab-git, train_weakly_supervised_pCE_GatedCRFLoss_2D.py), which runs the
    authors' module on images in [0, 1].

    Deviations: intensities are scaled to [0, 1] per slice. Pixels from outside the slice (augmentation) or
    outside the image are gated; WSL4MIS has no gates and zeros outside the image.
    """

    class Config(StrictModel):
        """Weight and kernel."""

        weight_crf: float = Field(0.1, ge=0, description="weight of a pixel's mean energy")
        radius_mm: float = length(5, "reach of the window along both axes", whole=True)
        sigma_xy_mm: float = length(6, "standard deviation of the distance")
        sigma_intensity: float = Field(
            0.1, gt=0, description="standard deviation of the grey value, share of the slice's range"
        )

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``crf``."""
        config, logits = self.config, net(batch.image)
        scores, image = logits.float().softmax(dim=1), unit_range(batch.image)
        radius, sigma_xy = self.pixels["radius_px"], self.pixels["sigma_xy_px"]
        energy = gated_energy(scores, image, batch.inside(), radius, sigma_xy, config.sigma_intensity)
        return {"pce": partial_cross_entropy(logits, batch.target), "crf": config.weight_crf * energy}
