"""Partial cross-entropy and the Mumford-Shah functional (Kim and Ye, IEEE TIP 2020)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.intensity import unit_range
from cyclemix.ops.losses import partial_cross_entropy, total_variation


class MumfordShah(Method):
    """Each class is a region of constant intensity with short borders.

    With softmax p and image x in [0, 1], ``level_set`` is sum_c p_c (x - m_c)^2 with m_c the mean of x
    weighed by p_c over the slice, ``length`` the total variation of p over all classes; both as in the
    authors' code (jongcye/CNN_MumfordShah_Loss, models/loss.py). The weights are WSL4MIS's, equal ones.

    Deviations: WSL4MIS swaps prediction and image in its level set term, so that intensities weight the
    variance of the predictions; this is not reproduced. Means over pixels, where both codes sum over pixels
    and batch. WSL4MIS's 1e-6 of the sum over 12 images of 256 x 256 is 1e-6 * 12 * 256^2 = 0.786 of the mean,
    the default here. The authors' own length weight relative to the level set, 0.001, is for their data.
    Images are scaled to [0, 1] per slice; pixels from outside the slice are excluded from the level set.
    """

    class Config(StrictModel):
        """Weights of the two parts."""

        weight_level_set: float = Field(0.786, ge=0, description="weight of the variance inside classes")
        weight_length: float = Field(0.786, ge=0, description="weight of the borders' length")

    supervision = "scribble"
    config: Config

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``level_set`` and ``length``."""
        config, logits = self.config, net(batch.image)
        scores = logits.float().softmax(dim=1)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "level_set": config.weight_level_set * level_set(scores, batch.image, batch.inside()),
            "length": config.weight_length * total_variation(scores),
        }


def level_set(scores: Tensor, image: Tensor, inside: Tensor) -> Tensor:
    """Squared distance of each pixel from the mean of its class, by share, mean over all pixels, scalar.

    Args:
        scores: (B,C,H,W) softmax.
        image: (B,1,H,W) float, any scale; taken on each sample's own range.
        inside: (B,H,W) bool, pixels that count.
    """
    share, grey = scores * inside[:, None], unit_range(image.float())
    mass = share.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    mean = (share * grey).sum(dim=(2, 3), keepdim=True) / mass
    return (share * (grey - mean).square()).sum(dim=1).mean()
