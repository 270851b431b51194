"""MixUp of images and scribbles (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.losses import mixed_cross_entropy
from cyclemix.ops.puzzlemix import arcsine


class MixUp(Method):
    """Each image and its scribbles, blended with those of a random partner in the batch.

    The blend's share is drawn from Beta(1/2, 1/2), as the mixing ratio of CycleMix's official code is. Labels
    mix as one-hot vectors with one more entry for "unlabelled", which takes no part in the cross-entropy: a
    pixel that one image leaves unlabelled is supervised by the other's share alone. As in the original, only
    mixed images are trained on.

    Deviations: one share a sample, where the official code (facebookresearch/mixup-cifar10) draws one a
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
