"""What a method is: settings, what supervises it, and the weighted terms of its loss on one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cyclemix.config import Supervision
from cyclemix.strict import StrictModel


@dataclass(frozen=True)
class Batch:
    """One step's augmented slices, on the training device.

    Attributes:
        image: (B,1,H,W) float32, z-scored, 0 outside the image.
        target: (B,H,W) int64, the scribbles (or dense labels) as class values, 255 = unlabelled.
        step: optimizer steps taken so far.
    """

    image: Tensor
    target: Tensor
    step: int


Network = Callable[[Tensor], Tensor]
"""(B,1,H,W) -> logits (B,C,H,W): the network, compiled or not."""


class Method(ABC):
    """Base of the methods; a subclass in its own file overrides `losses` and usually `Config`.

    The network, optimizer, schedule, augmentation, averaging, validation and checkpoints are the engine's.
    """

    class Config(StrictModel):
        """The method's own settings; defaults are the paper's values."""

    supervision: ClassVar[Supervision] = "scribble"
    config: Any  # an instance of the subclass's own Config

    def __init__(self, config: StrictModel, num_classes: int) -> None:
        self.config = config
        self.num_classes = num_classes

    def modules(self) -> dict[str, nn.Module]:
        """Further trainable parts by name (a discriminator, say); trained and checkpointed too."""
        return {}

    @abstractmethod
    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted scalar terms of one step; the loop minimises their sum.

        Args:
            net: the network in training mode.
            batch: the step's slices.
            generator: the only source of randomness, on the batch's device.
        """
