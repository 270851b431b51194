"""Interface of methods: settings, supervision, and the weighted loss terms of one batch."""

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
        masks: (M,H,W) uint8 dense masks of other patients; None unless ``supervision: scribble+masks``.
        amounts: numbers of annotated cases, slices and pixels, for `provenance.json`.
        margin_px: margin of image and target around the training crop, removed by the augmentation after its
            rotation. ``masks`` have no margin.
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
        index: (B,) int64, indices of the training slices.
        transform: spatial augmentation of ``target``, applicable to further maps.
        masks: (B,H,W) int64 unpaired dense masks, 255 = outside the image; None unless
            ``supervision: scribble+masks``.
    """

    image: Tensor
    target: Tensor
    step: int
    index: Tensor
    transform: SpatialTransform = IDENTITY
    masks: Tensor | None = None

    def inside(self) -> Tensor:
        """(B,H,W) bool: pixels whose source is inside the slice (before augmentation)."""
        return self.transform.labels(torch.zeros_like(self.target)) != UNLABELLED

    def unpaired_masks(self) -> Tensor:
        """``masks``, for methods that need them.

        Raises:
            ValueError: ``masks`` is None.
        """
        if self.masks is None:
            raise ValueError(
                "expected unpaired masks in the batch, got none; set supervision: scribble+masks"
            )
        return self.masks


class Labels(nn.Module):
    """Labels of all training slices that a method makes, a buffer kept with the checkpoint.

    Args:
        values: (N,H,W) uint8, class values, 255 = unlabelled; copied.
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Buffer(values.clone())

    def of(self, batch: Batch) -> Tensor:
        """Labels (B,H,W) int64 of the batch's slices, transformed as its target."""
        return batch.transform.labels(self.values[batch.index].long())


Network = nn.Module
"""(B,1,H,W) -> logits (B,C,H,W) in evaluation mode; some networks return more than that in training mode."""


class Method(ABC):
    """Base of the methods; a subclass in its own file overrides `losses` and usually `Config`.

    Network, optimizer, schedule, augmentation, averaging, validation and checkpoints belong to the engine.
    """

    class Config(StrictModel):
        """The method's own settings; defaults are the paper's values."""

    supervision: ClassVar[Supervision] = "scribble"
    networks: ClassVar[tuple[str, ...]] = ("unet", "unet_paper")
    """Values of ``training.network`` that the method can train; these two give one map of logits."""
    config: Any  # an instance of the subclass's own Config

    def __init__(self, config: StrictModel, num_classes: int, spacing_mm: float = PAPER_SPACING_MM) -> None:
        """Store the settings.

        Args:
            spacing_mm: in-plane pixel size of the training grid, on which `pixels` has the settings' lengths.
        """
        self.config = config
        self.num_classes = num_classes
        self.pixels = in_pixels(config, spacing_mm)

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """Further parts by name: networks (a discriminator, a teacher) or buffers (pseudo-labels).

        They are moved to the network's device, trained together with it, and checkpointed. Parts that must
        not be trained have ``requires_grad_(False)``.

        Args:
            net: the initialised network.
            slices: all training slices, unaugmented.
        """
        return {}

    def after_step(  # noqa: B027 - nothing, unless a method has something to do
        self, net: Network, average: Network, slices: Slices, step: int
    ) -> None:
        """Called after each optimizer step, for updates without gradient (a teacher, pseudo-labels).

        Args:
            net: the network, in training mode.
            average: its moving average, in evaluation mode (validated and saved).
            slices: all training slices, unaugmented.
            step: optimizer steps taken, including this one.
        """

    @abstractmethod
    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted scalar terms of one step; the loop minimises their sum.

        Args:
            net: the network in training mode.
            batch: the step's slices.
            generator: the only source of randomness, on the batch's device.
        """
