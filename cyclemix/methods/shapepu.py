"""ShapePU: positive-unlabelled learning with class ratios, and consistency under occlusion (MICCAI 2022).

Zhang and Zhuang, arXiv 2206.02118: abstract, and official code (BWGZK/ShapePU: ``engine.py``,
``estimator.py``, ``main.py``):
    pce       cross-entropy on the scribbles;
    negative  EM estimates each class's share a_k of the unlabelled pixels; those outside of the a_k highest
              ranked of a foreground class are not of that class, and the probability left to the other
              classes is maximised: - log of its sum, mean over the pixels that some class is excluded from;
    global    1 - cos between the prediction of the occluded image and the prediction of the image, where
              visible. The released code lacks this term; the square of 32 px and the weight 0.05 are those of
              the authors' next code (ZScribbleSeg, also CycleMix).

Deviations from the code:
    * the EM runs over the unlabelled pixels, as the paper says; the code's runs over the labelled ones (it
      passes ``p`` where its comment has ``n``), which returns the scribbles' own shares;
    * a fixed number of EM steps instead of a tolerance of 1e-3, so that nothing waits for the device;
    * the ratios come from the training pass, not from a further one in evaluation mode;
    * ``negative`` starts after ``negative_from_step``; the code's 100 of 4000 epochs of 4 slices are about
      as many images as 1200 steps of 32, too late in 3000 steps, and 2.5 % of 3000 steps are too early for an
      untrained network's ratios: a fifth it is.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops import occlusion
from cyclemix.ops.losses import cosine_distance, partial_cross_entropy
from cyclemix.ops.mixture import class_ratios, exclusion_loss, outranked


class ShapePU(Method):
    """Scribbles, classes excluded by their ratios, and consistency under occlusion."""

    class Config(StrictModel):
        """Values of the authors' codes; the steps are for a training of 3000."""

        weight_negative: float = Field(1.0, ge=0, description="weight of the exclusion by class ratios")
        negative_from_step: int = Field(600, ge=0, description="optimizer steps before the exclusion starts")
        em_iterations: int = Field(20, ge=1, description="EM steps a batch")
        weight_global: float = Field(0.05, ge=0, description="weight of the consistency under occlusion")
        occlusion_px: int = Field(32, ge=1, description="side of the occluded square, pixels")

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``negative`` (0 until it starts) and ``global``."""
        config, image = self.config, batch.image
        logits = net(image)
        scores = logits.float().softmax(dim=1)
        count, _, height, width = image.shape
        side = config.occlusion_px
        hidden = occlusion.random_squares(count, height, width, side, generator, image.device)
        occluded = net(image * ~hidden[:, None]).float().softmax(dim=1)
        negative = scores.new_zeros(())
        if batch.step >= config.negative_from_step:
            negative = self._negative(logits, scores.detach(), batch.target)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "negative": config.weight_negative * negative,
            "global": config.weight_global * cosine_distance(occluded, scores, ~hidden),
        }

    def _negative(self, logits: Tensor, scores: Tensor, target: Tensor) -> Tensor:
        ratios = class_ratios(scores, target, self.config.em_iterations)
        excluded = outranked(scores, ratios, target == UNLABELLED)
        excluded[:, BACKGROUND] = False
        loss, some = exclusion_loss(logits, excluded)
        return loss.sum() / some.sum().clamp_min(1)
