"""Scribble2Label: pseudo-labels from averaged predictions (Lee and Jeong, MICCAI 2020).

Every ``period_steps`` steps the unaugmented training slices are predicted and their probabilities averaged,
P <- alpha p + (1 - alpha) P. Where the average names a class with more than ``threshold`` and no scribble
does, it is a label: cross-entropy on the scribbles + 0.5 cross-entropy on those. Read: the authors' code
(hvcl/scribble2label: Learner.py, Train.py), whose alpha, threshold and weight are the defaults, and
HiLab-git/WSL4MIS, code/train_s2l.py, which does so for several classes.

Schedules are in steps and meant for 3000 of them. Pseudo-labels begin after a tenth of the training, as in
WSL4MIS (6000 of 60 000 iterations; the authors: after 100 epochs); predictions are made every 100 steps, as
there (the authors: every 5 epochs).

Deviations:
    * the average starts from the first prediction; there from zero, so that the first labels need several
      predictions to exceed the threshold;
    * predictions use the averaged weights in evaluation mode; there the current weights;
    * padding never gets a pseudo-label.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.inference.predictor import probabilities
from cyclemix.methods.base import Batch, Method, Network, Slices
from cyclemix.ops.frame import image_frame
from cyclemix.ops.losses import partial_cross_entropy


class Average(nn.Module):
    """Averaged probabilities of all training slices (N,C,H,W) float16, kept with the checkpoint."""

    def __init__(self, slices: Slices, num_classes: int) -> None:
        super().__init__()
        count, _, height, width = slices.image.shape
        self.scores = nn.Buffer(torch.zeros(count, num_classes, height, width, dtype=torch.float16))
        self.inside = nn.Buffer(image_frame(slices.image), persistent=False)

    def move_towards(self, scores: Tensor, share: float) -> None:
        """``average += share * (scores - average)``, in place."""
        self.scores.lerp_(scores.half(), share)

    def labels(self, index: Tensor, threshold: float) -> Tensor:
        """Classes (B,H,W) int64 of the slices ``index`` whose average is above ``threshold``, else 255."""
        best, label = self.scores[index].max(dim=1)
        return torch.where((best > threshold) & self.inside[index], label, UNLABELLED)


class Scribble2Label(Method):
    """Cross-entropy on scribbles and on pseudo-labels."""

    class Config(StrictModel):
        """Values of the authors' code; steps for a training of 3000."""

        weight_pseudo: float = Field(0.5, ge=0, description="weight of the cross-entropy on pseudo-labels")
        threshold: float = Field(
            0.8, ge=0, lt=1, description="averaged probability above which a pseudo-label is made"
        )
        alpha: float = Field(0.2, gt=0, le=1, description="share of the newest prediction in the average")
        period_steps: int = Field(100, ge=1, description="steps between predictions of the training slices")
        warmup_steps: int = Field(300, ge=0, description="initial steps without pseudo-labels")

    supervision = "scribble"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The averaged probabilities."""
        self.average = Average(slices, self.num_classes)
        return {"average": self.average}

    def after_step(self, net: Network, average: Network, slices: Slices, step: int) -> None:
        """Predict the training slices every ``period_steps``."""
        period = self.config.period_steps
        if step % period == 0:
            share = 1.0 if step == period else self.config.alpha
            self.average.move_towards(
                probabilities(average, slices.image, test_time_augmentation=False), share
            )

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` on scribbles and ``pseudo`` on the other pixels, 0 before the warm-up ends."""
        logits = net(batch.image)
        grown = batch.transform.labels(self.average.labels(batch.index, self.config.threshold))
        other = torch.where(batch.target == UNLABELLED, grown, UNLABELLED)
        weight = self.config.weight_pseudo if batch.step >= self.config.warmup_steps else 0.0
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "pseudo": weight * partial_cross_entropy(logits, other),
        }
