"""Networks that see no neighbours, whose losses a person can compute."""

from __future__ import annotations

import torch


class Pointwise(torch.nn.Module):
    """Logits that favour the class whose number is the grey value."""

    def __init__(self, classes: int, sharpness: float = 8.0) -> None:
        super().__init__()
        self.sharpness = torch.nn.Parameter(torch.tensor(sharpness))
        self.classes = classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        numbers = torch.arange(self.classes, dtype=image.dtype)[None, :, None, None]
        return -self.sharpness * (image - numbers).square()


class Logits(torch.nn.Module):
    """Given logits (B,C,H,W), whatever the image."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits.clone())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits + 0 * image
