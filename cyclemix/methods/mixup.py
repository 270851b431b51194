"""MixUp of images and scribbles (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import mixed_cross_entropy
from cyclemix.ops.puzzlemix import arcsine


class MixUp(Method):
    """Each image and its scribbles, blended with those of a random partner in the batch.

    The mixing share is drawn from Beta(1/2, 1/2), as in CycleMix's official code. Labels are mixed as one-hot
    vectors with an additional entry for "unlabelled", which is ignored by the cross-entropy: a pixel that is
    unlabelled in one image is supervised by the other, weighted by its share. As in the original, only mixed
    images are trained on.

    Deviations: one share per sample, where the official code (facebookresearch/mixup-cifar10) draws one per
    batch; the sum is divided by the labelled shares, not by all pixels. How CycleMix's authors ran their
    MixUp row is not published.
    """

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """One term, ``mix``."""
        image, target = batch.image, batch.target
        share = arcsine(len(image), generator, image.device)
        partner = torch.randperm(len(image), generator=generator, device=image.device)
        logits = net(torch.lerp(image, image[partner], share[:, None, None, None]))
        ratio, everywhere = share[:, None, None].expand(target.shape), torch.ones_like(target).bool()
        return {"mix": mixed_cross_entropy(logits, (target, target[partner]), ratio, everywhere)}
