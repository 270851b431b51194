"""Networks that predict what a test says, and the losses of a method with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclemix import methods
from cyclemix.methods.base import Batch
from cyclemix.ops.augment import IDENTITY, SpatialTransform


def batch_of(image: Tensor, target: Tensor, step: int = 0, transform: SpatialTransform = IDENTITY) -> Batch:
    """A batch of all slices of a data set: images (B,1,H,W), targets (B,H,W)."""
    return Batch(image, target, step, torch.arange(len(image)), transform)


def losses(
    method: str, classes: int, net: nn.Module, batch: Batch, seed: int = 0, **config: object
) -> dict[str, Tensor]:
    """The terms of a method by its name."""
    made = methods.create(method, config, classes, "test")
    return made.losses(net, batch, torch.Generator().manual_seed(seed))


class Logits(nn.Module):
    """Predicts the given logits, whatever the image; keeps what it was shown.

    Args:
        logits: broadcast to (B,C,H,W); the one parameter.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,C,H,W)."""
        self.seen.append(image.detach())
        return self.logits + 0 * image


class Fixed(Logits):
    """Predicts the given probabilities, broadcast to (B,C,H,W); their logarithms are the parameter."""

    def __init__(self, probabilities: Tensor) -> None:
        super().__init__(probabilities.log())


class Outputs(nn.Module):
    """Several given maps of logits, whatever the image and the channels to keep."""

    channels = 1

    def __init__(self, *logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: Tensor, keep: Tensor | None = None) -> tuple[Tensor, ...]:
        return self.logits


def per_class(*probabilities: float) -> Tensor:
    """The same distribution everywhere, (1,C,1,1)."""
    return torch.tensor(probabilities)[None, :, None, None]


class Pointwise(nn.Module):
    """Logits that favour the class whose number is the grey value; keeps what it was shown."""

    def __init__(self, classes: int, sharpness: float = 8.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))
        self.classes = classes
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(image.detach())
        numbers = torch.arange(self.classes, dtype=image.dtype)[None, :, None, None]
        return -self.sharpness * (image - numbers).square()
