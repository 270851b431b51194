"""SDT-Net: dynamic switching between two teachers (Nguyen et al., arXiv 2601.14563, 2026).

"Scribble-Supervised Medical Image Segmentation with Dynamic Teacher Switching and Hierarchical Consistency":
abstract, and the repository loc110504/SDT-Net (``train_method_acdc.py``, ``networks/unet.py``; the functions
for reliable pixels and moving averages from files of their names elsewhere, as the repository lacks them):
    pce     cross-entropy on the scribbles;
    pseudo  cross-entropy + Dice (squares in the denominator, background included) with the teacher's argmax
            where its probability is above 0.5; weight 0.5;
    high, low   (L1 distance + 1 - cos of the flattened features) / 2 between student and teacher, of the
            encoder's deepest and of the decoder's last features; weight 0.5 each.
In each step the teacher with the lower cross-entropy on the batch's scribbles is used (dynamic teacher
switching), and only it is moved towards the student (decay 0.99). One teacher is initialised as the student,
the other one independently.

Deviations:
    * teachers predict in evaluation mode, with averaged batch statistics; there in training mode, with the
      batch's statistics and with dropout, so that the choice varies more;
    * no ramp-up, as on ACDC; the script for MSCMRseg ramps the weights up over 40 % of the steps;
    * the moving average there also shrinks the student's weights by 2e-4 of their value per step;
      here weight decay is the optimizer's;
    * network without dropout in the encoder, of the recipe's size; optimizer, schedule and augmentation are
      the shared ones.
"""

from __future__ import annotations

from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network, Slices
from cyclemix.networks.ema import Teacher
from cyclemix.ops.losses import partial_cross_entropy, partial_dice


class SDTNet(Method):
    """A student learns from the scribbles and from the teacher with the lower cross-entropy on them."""

    class Config(StrictModel):
        """Values of the code for ACDC."""

        weight_pseudo: float = Field(0.5, ge=0, description="weight of the reliable pseudo-labels")
        weight_features: float = Field(0.5, ge=0, description="weight of either feature alignment")
        reliable: float = Field(
            0.5, ge=0, lt=1, description="probability above which a teacher's pixel is a pseudo-label"
        )
        decay: float = Field(0.99, ge=0, lt=1, description="decay per step of the teacher that was used")

    supervision = "scribble"
    networks = ("unet_features",)

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """Both teachers."""
        other = Teacher(net)
        for module in other.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
                module.reset_parameters()
        self.teachers = Teachers(Teacher(net), other)
        return {"teachers": self.teachers}

    def after_step(self, net: Network, average: Network, slices: Slices, step: int) -> None:
        """Update the teacher that was used."""
        self.teachers.follow(net, self.config.decay)

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``pseudo``, ``high`` and ``low``."""
        config, target = self.config, batch.target
        taught, *shown = self.teachers(batch.image, target)
        logits, *own = net(batch.image, features=True)
        labels = reliable_labels(taught.softmax(dim=1), config.reliable)
        pseudo = partial_cross_entropy(logits, labels)
        pseudo = pseudo + partial_dice(logits.float().softmax(dim=1), labels)
        high, low = (misalignment(mine, theirs) for mine, theirs in zip(own, shown, strict=True))
        return {
            "pce": partial_cross_entropy(logits, target),
            "pseudo": config.weight_pseudo * pseudo,
            "high": config.weight_features * high,
            "low": config.weight_features * low,
        }


class Teachers(nn.Module):
    """Two teachers and the one used last, on the device.

    Attributes:
        second: 0-d float buffer, 1 if the second teacher was used last, else 0.
    """

    def __init__(self, *teachers: Teacher) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.second = nn.Buffer(torch.zeros(()))

    @torch.no_grad()
    def forward(self, image: Tensor, target: Tensor) -> list[Tensor]:
        """Logits and features of the teacher with the lower cross-entropy on ``target``, float32."""
        outputs = [cast(Teacher, teacher).net(image, features=True) for teacher in self.teachers]
        losses = [partial_cross_entropy(output[0], target) for output in outputs]
        self.second.copy_(losses[1] < losses[0])
        return [torch.where(self.second > 0, b.float(), a.float()) for a, b in zip(*outputs, strict=True)]

    @torch.no_grad()
    def follow(self, net: nn.Module, decay: float) -> None:
        """Move the teacher that was used last towards ``net``; the other one is moved by zero."""
        new = net.state_dict()
        for teacher, taught in zip(self.teachers, (1 - self.second, self.second), strict=True):
            for key, value in cast(Teacher, teacher).net.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[key], (1 - decay) * taught)


def reliable_labels(scores: Tensor, above: float) -> Tensor:
    """The argmax (B,H,W) of probabilities (B,C,H,W) that exceed ``above``; 255 elsewhere."""
    highest, labels = scores.max(dim=1)
    return torch.where(highest > above, labels, UNLABELLED)


def misalignment(features: Tensor, shown: Tensor) -> Tensor:
    """(mean |difference| + 1 - mean cosine of the flattened samples) / 2, scalar."""
    features = features.float()
    cosine = functional.cosine_similarity(features.flatten(1), shown.flatten(1)).mean()
    return ((features - shown).abs().mean() + 1 - cosine) / 2
