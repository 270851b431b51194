"""Partial cross-entropy and the dense-CRF regularised loss (Tang et al., ECCV 2018)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.crf import dense_energy, shrink
from cyclemix.ops.intensity import unit_range
from cyclemix.ops.losses import partial_cross_entropy


class UNetCRF(Method):
    """Pixels that are near and alike should be of one class, over all pairs of a slice's pixels.

    ``crf`` is sum_c s_c' W (1 - s_c) with W_ij a Gaussian of position and grey value. It differs by a
    constant from the -sum_c s_c' W s_c of the official code (meng-tang/rloss, DenseCRFLoss.py), with the
    settings of its train_withdensecrfloss.sh: grey-value deviation 15 of 255, distance deviation 100 px in
    crops of 513 px, weight 2e-9 a pair at half resolution. That is 2e-9 * (256^2)^2 = 8.6 for the mean over
    pairs, which is weighed here.

    Deviations: the sum is exact, where the code filters on a permutohedral lattice; for that, scores and
    image are averaged down to at most 56 px a side (212 px: 53, a quarter), where the code takes half
    resolution. Lengths are shares of the longer side, as slices are smaller than its photographs. Grey values
    are one channel on each slice's own range. The regulariser is there from the first step, as in that
    script; the authors' Caffe version fine-tunes a network trained with cross-entropy alone. Pixels that
    augmentation brings in from outside the slice are left out, as the code leaves out padding; the data set's
    own padding is not known here.
    """

    class Config(StrictModel):
        """Weight and kernel."""

        weight_crf: float = Field(8.6, ge=0, description="weight of the mean energy of a pair of pixels")
        sigma_xy: float = Field(
            100 / 513, gt=0, description="standard deviation of the distance, share of the longer side"
        )
        sigma_intensity: float = Field(
            15 / 255, gt=0, description="standard deviation of the grey value, share of the slice's range"
        )
        longest_px: int = Field(
            56,
            ge=2,
            description="longest side at which pairs are summed, pixels; 56 takes 39 MB a slice",
        )

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``crf``."""
        config, logits = self.config, net(batch.image)
        scores = shrink(logits.float().softmax(dim=1), config.longest_px)
        image = shrink(unit_range(batch.image), config.longest_px)
        inside = shrink(batch.inside()[:, None], config.longest_px)[:, 0] > 1 - 1e-4
        sigma_px = config.sigma_xy * max(scores.shape[-2:])
        energy = dense_energy(scores, image, inside, sigma_px, config.sigma_intensity)
        return {"pce": partial_cross_entropy(logits, batch.target), "crf": config.weight_crf * energy}
