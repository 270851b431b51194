"""Uncertainty-aware mean teacher, consistency under rotation, USTM (Liu et al., Pattern Recognition 2022).

The network is trained on the scribbles, and on consistency between its prediction of a rotated image and the
prediction of its moving average, the teacher, on that image with noise, where the teacher is certain: where
the entropy of its mean over several noisy views is below a rising threshold. With p and q the softmax of
network and teacher and H that entropy:
    consistency  w(t) sum_i [H_i < (0.75 + 0.25 r(t)) ln 2] |p_i - q_i|^2 / (2 sum_i [H_i < ...]),
    w(t) = weight r(t), r(t) = exp(-5 (1 - t / T)^2).

Read: the paper's abstract and the baseline of HiLab-git/WSL4MIS (the authors' own code was not found),
code/train_weakly_supervised_ustm_2D.py, whose formulas and values these are. T is in steps, for a training
of 3000; there too it is the whole training.

Deviations from that code:
    * quarter turns are used in turn, there drawn at random (a random number on the host);
    * the teacher predicts in evaluation mode with averaged batch statistics; there with those of the batch;
    * its decay warms up as that of the evaluated weights, (1 + t) / (10 + t); there 1 - 1 / (t + 1).
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network, Slices
from cyclemix.networks.ema import Teacher
from cyclemix.ops.losses import partial_cross_entropy


class USTM(Method):
    """Partial cross-entropy, and consistency with a teacher where its entropy is low."""

    class Config(StrictModel):
        """Values of WSL4MIS; steps for a training of 3000."""

        weight_consistency: float = Field(1.0, ge=0, description="weight of the consistency, ramped up")
        decay: float = Field(0.99, ge=0, lt=1, description="decay per step of the teacher's weights")
        noise: float = Field(0.1, ge=0, description="standard deviation of the teacher's noise")
        noise_limit: float = Field(0.2, ge=0, description="clipping limit of that noise")
        views: int = Field(8, ge=1, description="number of noisy views for the uncertainty")
        rampup_steps: int = Field(
            3000, ge=1, description="steps until weight and threshold reach their maximum"
        )

    supervision = "scribble"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The teacher."""
        self.teacher = Teacher(net)
        return {"teacher": self.teacher}

    def after_step(self, net: Network, average: Network, slices: Slices, step: int) -> None:
        """Update the teacher."""
        self.teacher.follow(net, self.config.decay, step)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce`` and ``consistency``."""
        config = self.config
        logits = net(batch.image)
        turns = batch.step % 4
        turned = torch.rot90(batch.image, turns, (2, 3))
        taught = self._teach(turned, generator)
        mean = torch.stack([self._teach(turned, generator) for _ in range(config.views)]).mean(dim=0)
        ramp = rampup(batch.step, config.rampup_steps)
        sure = entropy(mean) < (0.75 + 0.25 * ramp) * math.log(2)
        scores = torch.rot90(logits, turns, (2, 3)).float().softmax(dim=1)
        consistency = gated_distance(scores, taught, sure)
        return {
            "pce": partial_cross_entropy(logits, batch.target),
            "consistency": config.weight_consistency * ramp * consistency,
        }

    def _teach(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """The teacher's softmax (B,C,H,W) on one noisy view."""
        noise = torch.randn(image.shape, generator=generator, device=image.device) * self.config.noise
        limit = self.config.noise_limit
        scores: Tensor = self.teacher(image + noise.clamp(-limit, limit)).float().softmax(dim=1)
        return scores


def rampup(step: int, length: int) -> float:
    """exp(-5 (1 - t/T)^2), 1 from T on (Laine and Aila, ICLR 2017)."""
    return math.exp(-5 * (1 - min(step, length) / length) ** 2)


def entropy(scores: Tensor) -> Tensor:
    """(B,C,H,W) probabilities -> (B,H,W), nats."""
    return -torch.special.xlogy(scores, scores).sum(dim=1)


def gated_distance(scores: Tensor, taught: Tensor, sure: Tensor) -> Tensor:
    """Half the mean squared distance over the pixels that are ``sure``, scalar; 0 if there are none.

    Args:
        scores, taught: (B,C,H,W) probabilities.
        sure: (B,H,W) bool.
    """
    distance = (scores - taught).square().sum(dim=1) * sure
    return distance.sum() / (2 * sure.sum().clamp_min(1))
