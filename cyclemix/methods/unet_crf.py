"""Partial cross-entropy and the dense-CRF regularised loss (Tang et al., ECCV 2018)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.crf import dense_energy, shrink
from cyclemix.ops.intensity import unit_range
from cyclemix.ops.losses import partial_cross_entropy

SIGMA_SHARE = 100 / 513
"""Standard deviation of the distance in the official script, share of its crop's side."""


class UNetCRF(Method):
    """A penalty on pairs of similar, nearby pixels of different classes, over all pairs of a slice's pixels.

    ``crf`` is sum_c s_c' W (1 - s_c) with W_ij a Gaussian of position and grey value. It differs by a
    constant from the -sum_c s_c' W s_c of the official code (meng-tang/rloss, DenseCRFLoss.py), with the
    settings of its train_withdensecrfloss.sh: grey-value deviation 15 of 255, distance deviation 100 px in
    crops of 513 px, weight 2e-9 per pair at half resolution, batches of 12. Its cross-entropy is the mean
    over the batch's labelled pixels, divided by the batch size once more (``loss /= n`` in utils/loss.py);
    the CRF energy, a sum over the batch, is divided by the batch size once. Relative to a cross-entropy of
    weight 1, the mean over pairs therefore has weight 2e-9 * (256^2)^2 * 12 = 103.

    Its crop of 513 px is taken as the paper's crop of 212 px, 290 mm: the distance deviation is 100/513 of
    it, 56.5 mm, and the weight is that of the mean over the pairs of such a crop. In a smaller or larger
    crop a pixel has the same energy with its surroundings: the mean over pairs times the crop's area.

    Deviations:
        * the sum over pairs is exact, on scores and image averaged down to at most 56 px per side (212 px:
          53, a quarter); there a permutohedral lattice filters at half resolution;
        * the deviation of the distance is in mm; there in pixels of photographs;
        * intensities are one channel, scaled per slice; there differences of three colours are summed;
        * the regulariser acts from the first step, as in that script; the authors' Caffe version fine-tunes
          a network trained with cross-entropy alone;
        * pixels from outside the slice (augmentation) are excluded, as the code excludes padding; the data
          set's own padding is not known here;
        * whether the UNet_CRF of CycleMix's tables is this loss or a CRF layer is not published.
    """

    class Config(StrictModel):
        """Weight and kernel."""

        weight_crf: float = Field(
            103.0, ge=0, description="weight of the mean energy of a pair of pixels in a square of field_mm"
        )
        field_mm: float = length(212, "side of the square that weight_crf belongs to", least=1)
        sigma_xy_mm: float = length(SIGMA_SHARE * 212, "standard deviation of the distance", least=1)
        sigma_intensity: float = Field(
            15 / 255, gt=0, description="standard deviation of the grey value, share of the slice's range"
        )
        longest_px: int = Field(
            56,
            ge=2,
            description="longest side at which pairs are summed, pixels; 56 takes 39 MB per slice",
        )

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``crf``."""
        config, logits = self.config, net(batch.image)
        scores = shrink(logits.float().softmax(dim=1), config.longest_px)
        image = shrink(unit_range(batch.image), config.longest_px)
        inside = shrink(batch.inside()[:, None], config.longest_px)[:, 0] > 1 - 1e-4
        height, width = logits.shape[-2:]
        sigma_px = self.pixels["sigma_xy_px"] * max(scores.shape[-2:]) / max(height, width)
        energy = dense_energy(scores, image, inside, sigma_px, config.sigma_intensity)
        weight = config.weight_crf * height * width / self.pixels["field_px"] ** 2
        return {"pce": partial_cross_entropy(logits, batch.target), "crf": weight * energy}
