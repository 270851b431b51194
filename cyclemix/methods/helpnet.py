"""HELPNet: consistency under jigsaws, and an ensemble weighted by entropy (Zhang et al., MedIA 2025).

"HELPNet: Hierarchical Perturbations Consistency and Entropy-guided Ensemble for Scribble Supervised Medical
Image Segmentation" (Zhang, Wu, Zhang, Jin, Xiong, Bu, Chen and Feng): abstract, and official code
(IPMI-NWU/HELPNet: ``engines.py``, ``util/Jigsaw.py``, ``models/segmentation.py``). Three views are predicted
and restored to the original order: the image with changed contrast and brightness, its quarters shuffled, and
the cells of these quarters shuffled as well.
    pce          cross-entropy on the scribbles, mean over all pixels: weights 1, 1 and 0.2 for the views;
    consistency  1 - cos between either shuffled view's prediction and the first one's, weight 0.3 for the
                 coarse and 0.1 for the fine view;
    pseudo       Dice loss of each view with the ensemble's argmax, weight 0.1 each. The ensemble weighs each
                 pixel's three predictions by the softmax of their negative entropy in bits over 0.4;
    integrity    1 - cos between the ensemble and its own largest components, weight 0.3.

Deviations:
    * no boundary term (weight 0.03 there): it needs edge maps of PiDiNet, a network trained on natural
      images, that come with the authors' data;
    * one permutation per sample, there one per batch;
    * no added noise in a fifth of the steps: the shared augmentation adds noise;
    * network, optimizer, schedule and augmentation are the shared ones.
"""

from __future__ import annotations

from math import log

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops.components import cycle_target
from cyclemix.ops.jigsaw import draw_jigsaw, refined
from cyclemix.ops.losses import cosine_distance, partial_cross_entropy, partial_dice


class HELPNet(Method):
    """Partial cross-entropy, consistency and ensemble of three views of an image."""

    class Config(StrictModel):
        """Values of the authors' code."""

        weights_pce: tuple[float, float, float] = Field(
            (1.0, 1.0, 0.2), description="weight of the scribbles on the recoloured, coarse and fine view"
        )
        weights_consistency: tuple[float, float] = Field(
            (0.3, 0.1), description="weight of the consistency of the coarse and of the fine view"
        )
        weight_pseudo: float = Field(0.1, ge=0, description="weight of each view's Dice with the ensemble")
        weight_integrity: float = Field(0.3, ge=0, description="weight of the largest components")
        temperature: float = Field(0.4, gt=0, description="temperature of the ensemble's weights, bits")
        recolour: float = Field(0.7, ge=0, lt=1, description="brightness and contrast change by +- this")

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``pce``, ``consistency``, ``pseudo`` and ``integrity``."""
        config, image = self.config, batch.image
        coarse = draw_jigsaw(len(image), generator, image.device)
        fine = refined(coarse, generator)
        logits = [
            net(recolour(image, config.recolour, generator)),
            coarse.undo(net(coarse.apply(image))),
            fine.undo(net(fine.apply(image))),
        ]
        views = torch.stack([view.float().softmax(dim=1) for view in logits])
        both = ensemble(views, config.temperature)
        pseudo = both.detach().argmax(dim=1)
        largest = functional.one_hot(cycle_target(pseudo, self.num_classes), self.num_classes).movedim(-1, 1)
        pce = [
            weight * partial_cross_entropy(view, batch.target, reduction="pixels")
            for weight, view in zip(config.weights_pce, logits, strict=True)
        ]
        agreement = [
            weight * cosine_distance(view, views[0])
            for weight, view in zip(config.weights_consistency, views[1:], strict=True)
        ]
        dice = torch.stack([partial_dice(view, pseudo) for view in views]).sum()
        return {
            "pce": torch.stack(pce).sum(),
            "consistency": torch.stack(agreement).sum(),
            "pseudo": config.weight_pseudo * dice,
            "integrity": config.weight_integrity * cosine_distance(both, largest),
        }


def ensemble(views: Tensor, temperature: float) -> Tensor:
    """Mean of the views' predictions, weighted per pixel by the softmax of the negative entropy.

    Args:
        views: (V,B,C,H,W) probabilities.
        temperature: divisor of the entropies, bits.

    Returns:
        (B,C,H,W); no gradient through the weights.
    """
    bits = torch.special.entr(views.detach()).sum(dim=2, keepdim=True) / log(2)
    return ((-bits / temperature).softmax(dim=0) * views).sum(dim=0)


def recolour(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Scale the brightness by 1 +- strength, then the distance from mid-grey, within each sample's own range.

    Args:
        image: (B,1,H,W) float.
        strength: largest change of either factor.
        generator: source of randomness.
    """
    draw = torch.rand((2, len(image), 1, 1, 1), generator=generator, device=image.device) * 2 - 1
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    grey = ((image - low) / span * (1 + strength * draw[0])).clamp(0, 1)
    grey = (grey + (grey - 0.5) * strength * draw[1]).clamp(0, 1)
    return grey * span + low
