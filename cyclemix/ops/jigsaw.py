"""Jigsaw shuffling of image quarters and its inverse (HELPNet's perturbation)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

CELLS = 2
"""Cells per side of either shuffle."""


@dataclass(frozen=True)
class Jigsaw:
    """Permutation of each sample's quarters, and of the cells within each quarter.

    Attributes:
        coarse: (B, 4) int64, source quarter of each quarter, in row-major order.
        fine: (4 B, 4) int64, the same within each quarter of each sample; None = quarters stay whole.
    """

    coarse: Tensor
    fine: Tensor | None = None

    def apply(self, image: Tensor) -> Tensor:
        """Shuffle (B,C,H,W): first the quarters, then the cells within them."""
        image = _shuffle(image, self.coarse)
        return image if self.fine is None else _join(_shuffle(_cut(image), self.fine))

    def undo(self, image: Tensor) -> Tensor:
        """The inverse of `apply`."""
        if self.fine is not None:
            image = _join(_shuffle(_cut(image), self.fine.argsort(dim=1)))
        return _shuffle(image, self.coarse.argsort(dim=1))


def draw_jigsaw(batch: int, generator: torch.Generator, device: torch.device) -> Jigsaw:
    """A random permutation of each sample's quarters."""
    return Jigsaw(_orders(batch, generator, device))


def refined(jigsaw: Jigsaw, generator: torch.Generator) -> Jigsaw:
    """The same permutation of the quarters, with a random one within each quarter."""
    return replace(jigsaw, fine=_orders(CELLS**2 * len(jigsaw.coarse), generator, jigsaw.coarse.device))


def _orders(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand((count, CELLS**2), generator=generator, device=device).argsort(dim=1)


def _cut(image: Tensor) -> Tensor:
    """(B,C,H,W) -> (4 B, C, H/2, W/2), quarters in row-major order; ValueError for an odd side."""
    batch, channels, height, width = image.shape
    if height % CELLS or width % CELLS:
        raise ValueError(
            f"jigsaw halves each side, the fine one twice, and needs even sides: got {height} x {width} px"
        )
    cells = image.reshape(batch, channels, CELLS, height // CELLS, CELLS, width // CELLS)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // CELLS, width // CELLS)


def _join(cells: Tensor) -> Tensor:
    """The inverse of `_cut`."""
    count, channels, height, width = cells.shape
    grid = cells.reshape(count // CELLS**2, CELLS, CELLS, channels, height, width)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, CELLS * height, CELLS * width)


def _shuffle(image: Tensor, order: Tensor) -> Tensor:
    cells = _cut(image)
    first = torch.arange(len(image), device=image.device)[:, None] * CELLS**2
    return _join(cells.index_select(0, (first + order).reshape(-1)))
