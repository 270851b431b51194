"""Networks that say what a test tells them to."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Fixed(nn.Module):
    """Predicts the given probabilities, whatever the image; keeps what it was shown.

    Args:
        probabilities: broadcast to (B,C,H,W); its logarithms are the one parameter, ``logits``.
    """

    def __init__(self, probabilities: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(probabilities.log())
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,C,H,W)."""
        self.seen.append(image.detach())
        return self.logits + 0 * image


def per_class(*probabilities: float) -> Tensor:
    """The same distribution everywhere, (1,C,1,1)."""
    return torch.tensor(probabilities)[None, :, None, None]


class Pointwise(nn.Module):
    """Logits that favour the class whose number is the grey value."""

    def __init__(self, classes: int, sharpness: float = 8.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))
        self.classes = classes

    def forward(self, image: Tensor) -> Tensor:
        numbers = torch.arange(self.classes, dtype=image.dtype)[None, :, None, None]
        return -self.sharpness * (image - numbers).square()


class Logits(nn.Module):
    """Given logits (B,C,H,W), whatever the image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, image: Tensor) -> Tensor:
        return self.logits + 0 * image
