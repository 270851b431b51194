"""CutMix of images and scribbles (Yun et al., ICCV 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import partial_cross_entropy
from cyclemix.ops.occlusion import random_boxes


class CutMix(Method):
    """A box of each image and of its scribbles is replaced by the same box of a random partner.

    As in the official code (clovaai/CutMix-PyTorch, train.py) the box has sides sqrt(1 - lambda) times the
    image's and a centre uniform over it, clipped at the border, and lambda is uniform in [0, 1], which is
    Beta(1, 1). Only mixed images are trained on: its ``cutmix_prob`` 1 for ImageNet.

    Deviations: pixels keep their own labels, where the original (one label per image) mixes the two images'
    labels by area; one lambda and one box per sample, where it draws one per batch. How CycleMix's authors
    ran their CutMix row is not published.
    """

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``mix``."""
        image, target = batch.image, batch.target
        batch_size, height, width = target.shape
        share = torch.rand(batch_size, generator=generator, device=image.device)
        box = random_boxes(share, height, width, generator)
        partner = torch.randperm(batch_size, generator=generator, device=image.device)
        mixed = torch.where(box[:, None], image[partner], image)
        labels = torch.where(box, target[partner], target)
        return {"mix": partial_cross_entropy(net(mixed), labels)}
