"""CycleMix: mix increment and decrement with cycle consistency (Zhang and Zhuang, CVPR 2022).

Terms (section 3 of the paper):
    unmix   cross-entropy on the scribbles of the original images (eq. 2);
    mix     cross-entropy of the mixed, occluded, rotated image with the scribbles transformed alike (eq. 5);
    global  1 - cos between the prediction of the mixed image and the mix of the predictions (eq. 9);
    local   1 - cos between a prediction and its own largest components (eq. 11).

Deviations from the official code (BWGZK/CycleMix), each because the code contradicts the paper or itself:
    * image, scribbles and predictions are transported alike; there only the image;
    * pixels from outside the image (augmentation, padding) are unlabelled; there they are background (but
      the rotation of the mixed one-hot scribbles leaves them without label there, too);
    * occluded pixels and pixels from outside are excluded from the consistency; there they are constants;
    * the graph cut minimises the energy in floating point; there costs overflow 32-bit integers;
    * no adversarial noise; there it is computed and never used, but its initial value, 10/255, is added to
      all pixels in a fifth of the steps;
    * one forward pass for the saliency and the unmixed terms;
    * the mixing ratio is drawn per sample; there per batch;
    * logits are rotated back bilinearly; there probabilities, by nearest neighbour;
    * block means are scaled to [0, 1] per slice; there half the z-score plus one half;
    * ``rotate`` does not depend on the occlusion; there only occluded images are rotated;
    * the sizes of the mask's cells are used in turn, there drawn at random (a random number on the host);
    * the mask's cells divide the image; there the image padded from 212 to 256 px;
    * slices are drawn with replacement, and the best step has the highest Dice of whole validation volumes;
      there each epoch uses every slice once, and the Dice is computed on batches of slices;
    * rows on the shared grid clip intensities to percentiles of the crop before the z-score; there, as in
      ``cyclemix_paper`` (``preparation: paper``), the z-score is that of the native volume;
    * ``preparation: paper`` normalises once; there slices are normalised a second time, in training all by
      the first slice loaded, in inference by their own crop. Here images are resampled with a tent kernel
      and rotated bilinearly, scribbles resampled by area, half of the slices are flipped, and rotation keeps
      the corners; there images and scribbles are rotated, and scribbles resampled, by nearest neighbour, a
      quarter of the slices is flipped, and rotated corners are cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.methods.base import Batch, Method, Network
from cyclemix.ops import occlusion, rotation
from cyclemix.ops.components import cycle_target
from cyclemix.ops.losses import cosine_distance, mixed_cross_entropy, partial_cross_entropy
from cyclemix.ops.puzzlemix import Mix, PuzzleSettings, puzzle_mix
from cyclemix.ops.saliency import saliency


@dataclass(frozen=True)
class MixedView:
    """Prediction of the mixed image, rotated back: logits (B,C,H,W), and valid pixels (B,H,W)."""

    mix: Mix
    logits: Tensor
    visible: Tensor


class CycleMix(Method):
    """All five terms; terms of weight zero are not computed."""

    class Config(StrictModel):
        """Weights of the paper; ``cyclemix_released`` in ``config/methods.yaml`` has the official code's."""

        weight_unmix: float = Field(1.0, ge=0, description="weight of the unmixed cross-entropy")
        weight_mix: float = Field(1.0, ge=0, description="weight of the mixed cross-entropy")
        weight_global: float = Field(0.05, ge=0, description="weight of the global consistency")
        weight_local: float = Field(1.0, ge=0, description="weight of the local consistency")
        reduction: Literal["labelled", "pixels"] = Field(
            "labelled",
            description="cross-entropy over labelled pixels, or over all pixels as the official code",
        )
        occlusion_mm: float = length(32, "side of the occluded square (0 = none)", whole=True)
        rotate: bool = Field(True, description="rotate the mixed image by 0-360 degrees")
        puzzle: PuzzleSettings = Field(PuzzleSettings(), description="Puzzle Mix")

    supervision = "scribble"

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms ``unmix``, ``mix``, ``global``, ``local``, those of weight zero left out."""
        config = self.config
        mixes = config.weight_mix > 0 or config.weight_global > 0
        image = batch.image.detach().requires_grad_(mixes)
        logits = net(image)
        unmix = partial_cross_entropy(logits, batch.target, reduction=config.reduction)
        scores = logits.float().softmax(dim=1)
        terms = {"unmix": config.weight_unmix * unmix} if config.weight_unmix > 0 else {}
        if mixes:
            (gradient,) = torch.autograd.grad(unmix, image, retain_graph=True)
            mix = self._mix(image.detach(), gradient, batch.step, generator)
            terms |= self._mixed_terms(self._mixed_view(net, mix, generator), batch.target, scores)
        if config.weight_local > 0:
            target = cycle_target(logits.detach().argmax(dim=1), self.num_classes)
            onehot = functional.one_hot(target, self.num_classes).permute(0, 3, 1, 2)
            terms["local"] = config.weight_local * cosine_distance(scores, onehot)
        return terms

    def _mix(self, image: Tensor, gradient: Tensor, step: int, generator: torch.Generator) -> Mix:
        """Mix each image (B,1,H,W) with a random partner, by the saliency of ``gradient``."""
        partner = torch.randperm(len(image), generator=generator, device=image.device)
        block_px, settings = self.pixels["puzzle.block_px"], self.config.puzzle
        return puzzle_mix(image, saliency(gradient), partner, step, settings, generator, block_px)

    def _mixed_view(self, net: Network, mix: Mix, generator: torch.Generator) -> MixedView:
        """Occlude and rotate the mixed image, predict it, rotate the prediction back."""
        config, image = self.config, mix.image
        (batch_size, _, height, width), device = image.shape, image.device
        side = self.pixels["occlusion_px"]
        visible = ~occlusion.random_squares(batch_size, height, width, side, generator, device)
        image = image * visible[:, None]
        if not config.rotate:
            return MixedView(mix, net(image), visible)
        angle = rotation.random_angles(batch_size, generator, device)
        logits = rotation.rotate(net(rotation.rotate(image, angle)), -angle)
        return MixedView(mix, logits, visible & rotation.valid_mask(-angle, height, width))

    def _mixed_terms(self, view: MixedView, target: Tensor, scores: Tensor) -> dict[str, Tensor]:
        config, terms = self.config, {}
        if config.weight_mix > 0:
            targets = view.mix.labels(target)
            loss = mixed_cross_entropy(view.logits, targets, view.mix.ratio, view.visible, config.reduction)
            terms["mix"] = config.weight_mix * loss
        if config.weight_global > 0:
            mixed = view.logits.float().softmax(dim=1)
            distance = cosine_distance(mixed, view.mix.scores(scores), view.visible)
            terms["global"] = config.weight_global * distance
        return terms
