"""What a method is: settings, what supervises it, and the weighted terms of its loss on one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM, in_pixels
from cyclemix.config.models import Supervision
from cyclemix.config.strict import StrictModel
from cyclemix.ops.augment import IDENTITY, SpatialTransform


@dataclass(frozen=True)
class Slices:
    """All training slices.

    Attributes:
        image: (N,1,H,W) float32.
        target: (N,H,W) uint8, class values, 255 = unlabelled.
        case: case of each slice, for messages.
        masks: (M,H,W) uint8 dense masks of other patients; None but for ``supervision: scribble+masks``.
        amounts: how much was annotated, for `provenance.json`.
        margin_px: pixels of image and target beyond each side of what a network trains on; augmentation crops
            them after its rotation. ``masks`` have no margin.
    """

    image: Tensor
    target: Tensor
    case: list[str]
    masks: Tensor | None = None
    amounts: Mapping[str, int] = field(default_factory=dict)
    margin_px: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a batch's slices."""
        height, width = self.image.shape[-2:]
        return height - 2 * self.margin_px, width - 2 * self.margin_px


@dataclass(frozen=True)
class Batch:
    """One step's augmented slices, on the training device.

    Attributes:
        image: (B,1,H,W) float32, z-scored, 0 outside the image.
        target: (B,H,W) int64, the scribbles (or dense labels) as class values, 255 = unlabelled.
        step: optimizer steps taken so far.
        index: (B,) int64, which training slice each one is.
        transform: where each pixel came from; applies the augmentation of ``target`` to further maps.
        masks: (B,H,W) int64 unpaired dense masks, 255 = outside the image; None but for
            ``supervision: scribble+masks``.
    """

    image: Tensor
    target: Tensor
    step: int
    index: Tensor
    transform: SpatialTransform = IDENTITY
    masks: Tensor | None = None

    def inside(self) -> Tensor:
        """(B,H,W) bool: pixels that come from the slice; augmentation brings the others in from outside."""
        return self.transform.labels(torch.zeros_like(self.target)) != UNLABELLED


Network = nn.Module
"""(B,1,H,W) -> logits (B,C,H,W) in evaluation mode; some networks return more than that in training mode."""


class Method(ABC):
    """Base of the methods; a subclass in its own file overrides `losses` and usually `Config`.

    The network, optimizer, schedule, augmentation, averaging, validation and checkpoints are the engine's.
    """

    class Config(StrictModel):
        """The method's own settings; defaults are the paper's values."""

    supervision: ClassVar[Supervision] = "scribble"
    networks: ClassVar[tuple[str, ...]] = ("unet", "unet_paper")
    """Values of ``training.network`` that the method can train; these two give one map of logits."""
    config: Any  # an instance of the subclass's own Config

    def __init__(self, config: StrictModel, num_classes: int, spacing_mm: float = PAPER_SPACING_MM) -> None:
        """Keep the settings.

        Args:
            spacing_mm: in-plane pixel size of the training grid; `pixels` holds the settings' lengths on it.
        """
        self.config = config
        self.num_classes = num_classes
        self.pixels = in_pixels(config, spacing_mm)

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """Further parts by name: networks (a discriminator, a teacher) or buffers (labels grown so far).

        They live on the network's device; their parameters are trained with the network's, and all of them
        are checkpointed and resumed. A part that must not train has ``requires_grad_(False)``.

        Args:
            net: the network at its random start.
            slices: all training slices, unaugmented.
        """
        return {}

    def after_step(  # noqa: B027 - nothing, unless a method has something to do
        self, net: Network, average: Network, slices: Slices, step: int
    ) -> None:
        """Called after each optimizer step, for what is not learned by gradient.

        Args:
            net: the network, in training mode.
            average: its moving average, in evaluation mode (what is validated and saved).
            slices: all training slices, unaugmented.
            step: optimizer steps taken, this one included.
        """

    @abstractmethod
    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted scalar terms of one step; the loop minimises their sum.

        Args:
            net: the network in training mode.
            batch: the step's slices.
            generator: the only source of randomness, on the batch's device.
        """
