"""Scribbles expanded by the random walker, then cross-entropy (Grady, IEEE PAMI 2006; WSL4MIS's baseline).

Before training, each slice's scribbles are the seeds of a random walker on its intensities; pixels whose most
probable class exceeds a threshold get that class as label. Read: HiLab-git/WSL4MIS, code/dataloaders/
acdc_pseudo_label_random_walker.py and train_weakly_supervised_pCE_random_walker_2D.py, whose beta 100 in
scikit-image's scaling exp(-beta d^2 / (10 sd)) is kept, d on a slice's grey values in 0..1 and sd their
standard deviation.

The row ``random_walker_dense`` has that code's settings: every pixel is labelled (``confidence`` 0), a slice
in which a structure is not scribbled becomes background (``incomplete``), the loss is the mean of
cross-entropy and Dice (``dice_share``), and grey values are stretched by 2 / 1.7 first, which multiplies
beta.

Deviations from that code:
    * by default, pixels without a class above ``confidence`` stay unlabelled; there every pixel is labelled;
    * by default, scribbles are expanded in slices with scribbles of background and a structure, and kept in
      all others; there all structures must be scribbled, else the whole slice becomes background;
    * by default, cross-entropy only; there the mean of cross-entropy and Dice;
    * by default, intensities are not stretched by 2 / 1.7 first;
    * in both rows, padding is not labelled.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.inference.predictor import CHUNK
from cyclemix.methods.base import Batch, Labels, Method, Network, Slices
from cyclemix.ops.frame import image_frame
from cyclemix.ops.losses import partial_cross_entropy, partial_dice
from cyclemix.ops.randomwalk import random_walk


class RandomWalker(Method):
    """Cross-entropy on expanded scribbles."""

    class Config(StrictModel):
        """How scribbles grow."""

        beta: float = Field(100.0, gt=0, description="sharpness of edges, in scikit-image's scaling")
        confidence: float = Field(
            0.8, ge=0, lt=1, description="least probability of a grown label; 0 = label every pixel"
        )
        incomplete: Literal["scribbles", "background"] = Field(
            "scribbles",
            description="a slice without scribbled background or structure keeps its scribbles; background: "
            "a slice in which any structure is not scribbled is background everywhere, as in WSL4MIS",
        )
        dice_share: float = Field(
            0.0, ge=0, le=1, description="share of the Dice loss, the rest is cross-entropy; WSL4MIS: 0.5"
        )

    supervision = "scribble"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The grown labels."""
        config, grown = self.config, []
        for image, target in zip(slices.image.split(CHUNK), slices.target.long().split(CHUNK), strict=True):
            labels = grow(image, target, self.num_classes, config.beta, config.confidence)
            if config.incomplete == "background":
                labels = blank_incomplete(labels, target, image_frame(image), self.num_classes)
            grown.append(labels)
        self.labels = Labels(torch.cat(grown).to(torch.uint8))
        return {"labels": self.labels}

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``ce`` and, with a share, ``dice`` on the grown labels."""
        share, logits, target = self.config.dice_share, net(batch.image), self.labels.of(batch)
        terms = {"ce": (1 - share) * partial_cross_entropy(logits, target)}
        if share > 0:
            terms["dice"] = share * partial_dice(logits.float().softmax(dim=1), target)
        return terms


def grow(image: Tensor, scribbles: Tensor, num_classes: int, beta: float, confidence: float) -> Tensor:
    """Labels of slices from their scribbles.

    Args:
        image: (B,1,H,W) float, 0 outside.
        scribbles: (B,H,W) int64 with UNLABELLED.
        num_classes: number of classes, including background.
        beta, confidence: see `RandomWalker.Config`.

    Returns:
        (B,H,W) int64; scribbled pixels keep their labels.
    """
    inside = image_frame(image)
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    grey = (image - low) / (high - low).clamp_min(1e-6)
    spread = grey.std(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    scores = random_walk((grey / (10 * spread).sqrt())[:, 0], scribbles, num_classes, beta, inside)
    best, label = scores.max(dim=1)
    background = (scribbles == BACKGROUND).any(dim=(1, 2), keepdim=True)
    structure = ((scribbles != BACKGROUND) & (scribbles != UNLABELLED)).any(dim=(1, 2), keepdim=True)
    wins = (best > confidence) & inside & background & structure
    return torch.where(scribbles == UNLABELLED, torch.where(wins, label, UNLABELLED), scribbles)


def blank_incomplete(labels: Tensor, scribbles: Tensor, inside: Tensor, num_classes: int) -> Tensor:
    """``labels`` with slices in which a structure is not scribbled set to background, except padding.

    Args:
        labels: (B,H,W) int64, the grown labels.
        scribbles: (B,H,W) int64.
        inside: (B,H,W) bool, False in padding.
        num_classes: classes, the background included.
    """
    present = torch.stack([(scribbles == value).any(dim=2).any(dim=1) for value in range(1, num_classes)])
    background = torch.where(inside, BACKGROUND, UNLABELLED)
    return torch.where(present.all(dim=0)[:, None, None], labels, background)
