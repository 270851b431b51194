"""Scribbles grown by the random walker, then cross-entropy (Grady, IEEE PAMI 2006; WSL4MIS's baseline).

Before training each slice's scribbles seed the random walker on its own grey values; what a class wins with
enough confidence is its label from then on. Read: HiLab-git/WSL4MIS, code/dataloaders/
acdc_pseudo_label_random_walker.py and train_weakly_supervised_pCE_random_walker_2D.py, whose beta 100 in
scikit-image's scaling exp(-beta d^2 / (10 sd)) is kept, d on a slice's grey values in 0..1 and sd their
standard deviation.

Deviations from that code:
    * pixels that no class wins with ``confidence`` stay unlabelled; there every pixel is labelled;
    * a slice is grown where the background and a structure are scribbled, else it keeps its scribbles; there
      all structures must be, else the whole slice becomes background;
    * padding is no place to walk and stays unlabelled;
    * cross-entropy alone; there the mean of cross-entropy and Dice;
    * grey values are not stretched by 1.18 first.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.strict import StrictModel
from cyclemix.inference.predictor import CHUNK
from cyclemix.methods.base import Batch, Method, Network, Slices
from cyclemix.ops.frame import image_frame
from cyclemix.ops.losses import partial_cross_entropy
from cyclemix.ops.randomwalk import random_walk


class Labels(nn.Module):
    """Labels (N,H,W) uint8 of the training slices, kept with the checkpoint."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)


class RandomWalker(Method):
    """Cross-entropy on grown scribbles."""

    class Config(StrictModel):
        """How scribbles grow."""

        beta: float = Field(100.0, gt=0, description="sharpness of edges, in scikit-image's scaling")
        confidence: float = Field(
            0.8, ge=0, lt=1, description="least probability of a grown label; 0 = label every pixel"
        )

    supervision = "scribble"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The grown labels."""
        parts = zip(slices.image.split(CHUNK), slices.target.split(CHUNK), strict=True)
        grown = [
            grow(image, target.long(), self.num_classes, self.config.beta, self.config.confidence)
            for image, target in parts
        ]
        self.labels = Labels(torch.cat(grown).to(torch.uint8))
        return {"labels": self.labels}

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``ce`` on the grown labels."""
        target = batch.transform.labels(self.labels.values[batch.index].long())
        return {"ce": partial_cross_entropy(net(batch.image), target)}


def grow(image: Tensor, scribbles: Tensor, num_classes: int, beta: float, confidence: float) -> Tensor:
    """Labels of slices from their scribbles.

    Args:
        image: (B,1,H,W) float, 0 outside.
        scribbles: (B,H,W) int64, UNLABELLED where nothing is known.
        num_classes: classes, the background included.
        beta, confidence: see `RandomWalker.Config`.

    Returns:
        (B,H,W) int64; the scribbles themselves are kept as they are.
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
