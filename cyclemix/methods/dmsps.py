"""DMSPS: dynamically mixed soft pseudo-labels, then grown scribbles (Han et al., MedIA 2024).

Values of the original code (HiLab-git/DMSPS: ``A_train_weaklySup_SPS_2d_soft.py``, ``acdc_dmsps*.cfg`` for
PyMIC's ``WSLDMSPS``):
    pce     mean of both decoders' partial cross-entropy;
    soft    mean of both decoders' cross-entropy with b p1 + (1 - b) p2, b uniform in [0, 1), one per
            batch; weight 8. The code passes probabilities to a cross-entropy of logits (softmax twice). This
            is kept, as the weight depends on it: the term sharpens predictions, where a plain one would only
            make both agree; its minimum is log(1 + 3/e) for four classes.
Stage two continues with expanded scribbles: where the entropy of the mean of both decoders' predictions,
divided by log(classes), is below 0.1, its argmax becomes a label, reduced to the largest component per slice
and class, including background. The first decoder predicts.

Deviations:
    * one training: the scribbles are expanded after ``grow_at_step``, half of the 3000 steps; there stage two
      starts a new schedule from stage one's best model;
    * uncertain pixels stay unlabelled, as in the paper; in the released file of expanded labels
      (``pred_cuM``) they are merged into the background;
    * scribbled pixels keep the annotator's label; there the prediction replaces it;
    * predictions for the expansion use the averaged weights, both decoders without dropout; in the scripts
      the second one drops channels;
    * no ramp-up of the weight over the first 100 of 30000 iterations, which the scripts also lack;
    * network, optimizer, schedule and augmentation are the shared ones, as for ``dmpls``.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.inference.predictor import CHUNK, probabilities
from cyclemix.methods.base import Batch, Labels, Method, Network, Slices
from cyclemix.networks.unet_dual import DualUNet
from cyclemix.ops.components import largest_component
from cyclemix.ops.dual import draw_channels, mean_logits, mix
from cyclemix.ops.losses import partial_cross_entropy, soft_cross_entropy


class DMSPS(Method):
    """Both decoders learn from the scribbles, which grow once, and from a soft mix of their predictions."""

    class Config(StrictModel):
        """Values of the paper's code."""

        weight_soft: float = Field(8.0, ge=0, description="weight of the soft pseudo-labels")
        drop: float = Field(
            0.5, ge=0, lt=1, description="fraction of channels dropped for the second decoder"
        )
        grow_at_step: int = Field(1500, ge=1, description="optimizer steps after which the scribbles grow")
        entropy_below: float = Field(
            0.1,
            gt=0,
            le=1,
            description="entropy / log(classes) below which a pixel is labelled",
        )

    supervision = "scribble"
    networks = ("unet_dual",)

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The labels, which start as the scribbles."""
        self.labels = Labels(slices.target)
        return {"labels": self.labels}

    def after_step(self, net: Network, average: Network, slices: Slices, step: int) -> None:
        """Grow the scribbles at ``grow_at_step``."""
        if step == self.config.grow_at_step:
            self.labels.values.copy_(self._grown(average, slices))

    def _grown(self, average: Network, slices: Slices) -> Tensor:
        """(N,H,W) uint8: the scribbles, and confident predictions of the averaged network."""
        predictor, grown = BothDecoders(cast(DualUNet, average)), []
        for image, target in zip(slices.image.split(CHUNK), slices.target.split(CHUNK), strict=True):
            sure = confident(
                probabilities(predictor, image, test_time_augmentation=False), self.config.entropy_below
            )
            grown.append(torch.where(target == UNLABELLED, sure, target))
        return torch.cat(grown)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``soft``."""
        target = self.labels.of(batch)
        channels = cast(DualUNet, net).channels
        keep = draw_channels(len(batch.image), channels, self.config.drop, generator, batch.image.device)
        first, second = net(batch.image, keep)
        scores, other = first.float().softmax(dim=1), second.float().softmax(dim=1)
        pseudo = mix(scores, other, generator)
        pce = partial_cross_entropy(first, target) + partial_cross_entropy(second, target)
        soft = soft_cross_entropy(scores, pseudo) + soft_cross_entropy(other, pseudo)  # softmax once more
        return {"pce": 0.5 * pce, "soft": 0.5 * self.config.weight_soft * soft}


class BothDecoders(nn.Module):
    """The mean of both decoders' predictions, as logits."""

    def __init__(self, net: DualUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> (B,C,H,W), whose softmax is the mean probability."""
        keep = torch.ones((len(image), self.net.channels), device=image.device)
        return mean_logits(*self.net(image, keep))


def confident(scores: Tensor, entropy_below: float) -> Tensor:
    """Labels of low entropy, reduced to the largest component per slice and class, including background.

    Args:
        scores: (B,C,H,W) probabilities.
        entropy_below: threshold as a fraction of log(C).

    Returns:
        (B,H,W) uint8, 255 = uncertain.
    """
    classes = scores.shape[1]
    entropy = torch.special.entr(scores).sum(dim=1) / math.log(classes)
    # Classes are shifted by one, so that 0 means uncertain and the background has components as well.
    sure = (scores.argmax(dim=1) + 1) * (entropy < entropy_below)
    kept = largest_component(sure, classes + 1)
    return torch.where(kept > 0, kept - 1, UNLABELLED).to(torch.uint8)
