"""ZScribbleSeg: CycleMix's supervision, a prior of class ratios and neighbours (Zhang et al., MedIA 2026).

Zhang, Wang, Zhou and Zhuang, arXiv 2605.06266: abstract, and official code (DLwbm123/ZScribbleSeg:
``engines.py``, ``estimator.py``, ``spatial_function.py``, ``main.py``):
    unmix   cross-entropy on the scribbles, mean over labelled pixels;
    mix     cross-entropy of the puzzle-mixed (without transport), occluded, rotated image, each pixel's
            multiplied by its labelled share (the mixing share of those of the two images that label it),
            mean over all pixels;
    global  1 - cos between that prediction and the equally mixed predictions, weight 0.05;
    local   cross-entropy of the unlabelled pixels with the prediction's own largest components (CycleMix has
            a cosine there);
    prior   EM estimates each class's share a_k of the unlabelled pixels; a class ranks them by p_k(x) times
            the support of x's neighbours (Gaussian in space, 6 px, and in intensity, 0.1; radius 8 px);
            pixels that are not among the a_k highest ranked are excluded from class k (also background), and
            the probability of the other classes is maximised; mean over all pixels.

Deviations from the code: those of ``cyclemix`` (scribbles and predictions are rotated with the image, pixels
from outside are unlabelled), and
    * the EM runs over the unlabelled pixels, as the paper says; the code's runs over the labelled ones;
    * a fixed number of EM steps instead of a tolerance of 1e-3; ratios from the training pass;
    * a pixel that is excluded from every class is ignored; there it enters as a constant;
    * ``prior`` starts after ``prior_from_step``: 60 epochs of 4 slices there are about as many images as 700
      steps of 32.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import length
from cyclemix.methods.base import Batch, Network
from cyclemix.methods.cyclemix import CycleMix, MixedView
from cyclemix.ops.components import cycle_target
from cyclemix.ops.crf import neighbour_support
from cyclemix.ops.losses import cosine_distance, mixed_cross_entropy, partial_cross_entropy
from cyclemix.ops.mixture import class_ratios, exclusion_loss, outranked
from cyclemix.ops.puzzlemix import PuzzleSettings


class ZScribbleSeg(CycleMix):
    """CycleMix's mixing and global consistency, largest components as labels, and the spatial prior."""

    class Config(CycleMix.Config):
        """Values of the authors' code; the steps are for a training of 3000."""

        reduction: Literal["labelled", "pixels"] = Field(
            "pixels", description="the mixed cross-entropy is a mean over labelled pixels, or over all"
        )
        weight_local: float = Field(
            1.0, ge=0, description="weight of the cross-entropy with the prediction's largest components"
        )
        puzzle: PuzzleSettings = Field(PuzzleSettings(transport=False), description="Puzzle Mix")
        weight_prior: float = Field(1.0, ge=0, description="weight of the exclusion by ratios and neighbours")
        prior_from_step: int = Field(600, ge=0, description="optimizer steps before the prior starts")
        em_iterations: int = Field(20, ge=1, description="EM steps per batch")
        radius_mm: float = length(8, "how far neighbours reach", whole=True)
        sd_mm: float = length(6, "standard deviation of the kernel in space")
        sd_intensity: float = Field(
            0.1, gt=0, description="standard deviation of the kernel in the z-scored intensity"
        )

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``unmix``, ``mix``, ``global``, ``local`` and ``prior`` (0 until it starts)."""
        config, target = self.config, batch.target
        image = batch.image.detach().requires_grad_()
        logits = net(image)
        scores = logits.float().softmax(dim=1)
        unmix = partial_cross_entropy(logits, target)
        (gradient,) = torch.autograd.grad(unmix, image, retain_graph=True)
        mix = self._mix(image.detach(), gradient, batch.step, generator)
        largest = cycle_target(scores.detach().argmax(dim=1), self.num_classes)
        local = partial_cross_entropy(logits, torch.where(target == UNLABELLED, largest, UNLABELLED))
        prior = scores.new_zeros(())
        if batch.step >= config.prior_from_step:
            prior = self._prior(logits, scores.detach(), batch)
        return {
            "unmix": config.weight_unmix * unmix,
            **self._mixed_terms(self._mixed_view(net, mix, generator), target, scores),
            "local": config.weight_local * local,
            "prior": config.weight_prior * prior,
        }

    def _mixed_terms(self, view: MixedView, target: Tensor, scores: Tensor) -> dict[str, Tensor]:
        config, ratio = self.config, view.mix.ratio
        first, second = view.mix.labels(target)
        labelled = (1 - ratio) * (first != UNLABELLED) + ratio * (second != UNLABELLED)
        mixed = view.logits.float().softmax(dim=1)
        mix = mixed_cross_entropy(
            view.logits, (first, second), ratio, view.visible * labelled, config.reduction
        )
        return {
            "mix": config.weight_mix * mix,
            "global": config.weight_global * cosine_distance(mixed, view.mix.scores(scores), view.visible),
        }

    def _prior(self, logits: Tensor, scores: Tensor, batch: Batch) -> Tensor:
        config = self.config
        ratios = class_ratios(scores, batch.target, config.em_iterations)
        radius, sd = self.pixels["radius_px"], self.pixels["sd_px"]
        support = neighbour_support(scores, batch.image, radius, sd, config.sd_intensity)
        excluded = outranked(scores * support, ratios, batch.target == UNLABELLED)
        loss, _ = exclusion_loss(logits, excluded)
        return loss.mean()
