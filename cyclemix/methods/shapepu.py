"""ShapePU: positive-unlabelled learning with class ratios, and consistency under occlusion (MICCAI 2022).

Zhang and Zhuang, arXiv 2206.02118: abstract, and official code (BWGZK/ShapePU: ``engine.py``,
``estimator.py``, ``main.py``). Each image is predicted as the original and as a second view: one square
occluded, then rotated by 0-360 degrees, then flipped along a random choice of the axes.
    pce       cross-entropy on the scribbles;
    view      cross-entropy of the second view on the visible scribbles;
    negative  EM estimates each class's share a_k of the unlabelled pixels; pixels that are not among the a_k
              highest ranked of a foreground class are excluded from it, and the probability of the other
              classes is maximised: -log of its sum, mean over pixels with an excluded class;
    global    1 - cos between the prediction of the image and that of the second view, transformed back, on
              visible pixels; weight 0.05.

Deviations from the code:
    * both terms of the second view use its prediction transformed back, on visible pixels; there labels are
      rotated with the image, and occluded pixels become background;
    * the prediction of every sample is transformed back in reverse order; there the rotation is undone before
      the flip, and the function that undoes flips returns after the first sample;
    * ``global`` is a mean over visible pixels; there over all, with 0 for invisible ones;
    * image and logits are rotated with bilinear interpolation; there by nearest neighbour;
    * the EM runs over the unlabelled pixels, as the paper says; the code's runs over the labelled ones (it
      passes ``p`` where its comment has ``n``), which returns the scribbles' own shares;
    * a fixed number of EM steps instead of a tolerance of 1e-3, without synchronisation with the device;
    * the ratios are computed from the training pass, not from another one in evaluation mode;
    * ``negative`` starts after ``negative_from_step``, a fifth of 3000 steps; the code's 100 of 4000 epochs
      of 4 slices are about as many images as 1200 steps of 32, which is late in 3000 steps, and 2.5 % of
      3000 steps are too early for the ratios of an untrained network.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops import occlusion, rotation
from cyclemix.ops.losses import cosine_distance, partial_cross_entropy
from cyclemix.ops.mixture import class_ratios, exclusion_loss, outranked


class ShapePU(Method):
    """Scribbles, classes excluded by their ratios, and consistency with an occluded, rotated view."""

    class Config(StrictModel):
        """Values of the authors' codes; the steps are for a training of 3000."""

        weight_view: float = Field(
            1.0, ge=0, description="weight of the cross-entropy of the occluded, rotated and flipped view"
        )
        weight_negative: float = Field(1.0, ge=0, description="weight of the exclusion by class ratios")
        negative_from_step: int = Field(600, ge=0, description="optimizer steps before the exclusion starts")
        em_iterations: int = Field(20, ge=1, description="EM steps per batch")
        weight_global: float = Field(0.05, ge=0, description="weight of the consistency under occlusion")
        occlusion_mm: float = length(32, "side of the occluded square", whole=True)

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``view``, ``negative`` (0 until it starts) and ``global``."""
        config = self.config
        logits = net(batch.image)
        scores = logits.float().softmax(dim=1)
        second, visible = self._second_view(net, batch.image, generator)
        negative = scores.new_zeros(())
        if batch.step >= config.negative_from_step:
            negative = self._negative(logits, scores.detach(), batch.target)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "view": config.weight_view
            * partial_cross_entropy(second, batch.target.masked_fill(~visible, UNLABELLED)),
            "negative": config.weight_negative * negative,
            "global": config.weight_global * cosine_distance(second.float().softmax(dim=1), scores, visible),
        }

    def _second_view(self, net: Network, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits (B,C,H,W) of the second view, transformed back, and visible pixels (B,H,W)."""
        (count, _, height, width), device = image.shape, image.device
        side = self.pixels["occlusion_px"]
        shown = ~occlusion.random_squares(count, height, width, side, generator, device)
        angle = rotation.random_angles(count, generator, device)
        flips = torch.rand((2, count, 1, 1, 1), generator=generator, device=device) < 0.5
        turned = flip(rotation.rotate(image * shown[:, None], angle), flips)
        logits = rotation.rotate(flip(net(turned), flips).float(), -angle)
        return logits, shown & rotation.valid_mask(-angle, height, width)

    def _negative(self, logits: Tensor, scores: Tensor, target: Tensor) -> Tensor:
        ratios = class_ratios(scores, target, self.config.em_iterations)
        excluded = outranked(scores, ratios, target == UNLABELLED)
        excluded[:, BACKGROUND] = False
        loss, some = exclusion_loss(logits, excluded)
        return loss.sum() / some.sum().clamp_min(1)


def flip(x: Tensor, flips: Tensor) -> Tensor:
    """Flip samples of ``x`` (B,C,H,W); its own inverse.

    Args:
        flips: (2,B,1,1,1) bool, samples flipped along the row axis and along the column axis.
    """
    x = torch.where(flips[0], x.flip(-2), x)
    return torch.where(flips[1], x.flip(-1), x)
