"""Puzzle Mix of a batch (Kim, Choo and Song, ICML 2020), as CycleMix uses it.

Images 1 and 2 are divided into b x b cells; a graph cut chooses per cell the share 0, 1/2 or 1 of image 2, to
show the most saliency with smooth borders; then each image's blocks (5.47 mm, the paper's 4 px) are
transported to where the mask shows them. Image, scribbles and predictions are transported and mixed alike
(the official code transports only the image).

Cells are unions of blocks, so a side that is not a multiple of b blocks needs no padding: some cells are one
block wider. For a multiple the energy has the terms of the official code, with floating-point costs,
non-negative smoothness weights and block means normalised to the slice's range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel
from cyclemix.ops import graphcut, transport
from cyclemix.ops.saliency import block_distribution, distribution

BLOCK_PX = 4
"""Side of a transported block, and of the window that the data smoothness averages, on the paper's grid."""


class PuzzleSettings(StrictModel):
    """Puzzle Mix; defaults as in the official CycleMix code."""

    grids: tuple[int, ...] = Field(
        (2, 4, 8, 16),
        min_length=1,
        description="cells per side, one size per batch in turn; cells smaller than a block are skipped",
    )
    labels: int = Field(3, ge=2, le=5, description="number of mixing shares from 0 to 1 per cell")
    prior: float = Field(0.2, ge=0, description="weight of the binomial prior on the shares")
    label_smoothness: float = Field(
        1.2, ge=0, description="cost of different shares of neighbours, divided by 16 cells per side"
    )
    data_smoothness: float = Field(
        0.5, ge=0, description="weight of image contrast across cells in that cost"
    )
    block_mm: float = length(
        BLOCK_PX,
        "side of a block: what moves, and the least that cells are made of",
        sizes=(2, 4),
        whole=True,
    )
    transport: bool = Field(True, description="move blocks to where the mask shows them")
    transport_cost: float = Field(0.8, ge=0, description="cost of moving a block along a whole side")


@dataclass(frozen=True)
class Mix:
    """Mixed images, and the parameters to transport and mix labels and predictions alike.

    Attributes:
        image: (B, C, H, W) float32, mixed.
        ratio: (B, H, W) float32 in [0, 1], share of the second image.
        partner: (B,) int64, second image of each pair as an index into the batch.
        plans: transport of the first and of the second images, int64 (B, h, w) each; None = no transport.
    """

    image: Tensor
    ratio: Tensor
    partner: Tensor
    plans: tuple[Tensor, Tensor] | None

    def labels(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Both images' ``values`` (B, H, W) or (B, C, H, W), transported as the images, unmixed."""
        if self.plans is None:
            return values, values.index_select(0, self.partner)
        first, second = self.plans
        return transport.apply(first, values), transport.apply(second, values.index_select(0, self.partner))

    def scores(self, values: Tensor) -> Tensor:
        """Floating ``values`` (B, C, H, W), transported and mixed as the images; differentiable."""
        first, second = self.labels(values)
        return torch.lerp(first, second, self.ratio[:, None].to(first.dtype))


def puzzle_mix(
    image: Tensor,
    saliency: Tensor,
    partner: Tensor,
    step: int,
    settings: PuzzleSettings,
    generator: torch.Generator,
    block_px: int = BLOCK_PX,
) -> Mix:
    """Mix each image with its partner.

    Args:
        image: (B, C, H, W) float; H and W multiples of ``block_px``.
        saliency: (B, H, W) float, non-negative (:func:`cyclemix.ops.saliency.saliency`).
        partner: (B,) int64, index of the image that each is mixed with.
        step: optimizer steps taken so far; determines the cells (:func:`grid_of_step`).
        settings: Puzzle Mix.
        generator: randomness of the mixing ratio, on the images' device.
        block_px: side of a block, pixels.

    Raises:
        ValueError: wrong shapes, or H or W not a multiple of ``block_px``.
    """
    _check(image, saliency, block_px)
    blocks_yx = [size // block_px for size in image.shape[-2:]]
    grid = grid_of_step(step, settings.grids, min(blocks_yx))
    # No operation below is autocast to half precision; ``float`` covers inputs that already are.
    with torch.no_grad():
        image, blocks = image.float(), block_distribution(saliency.float(), block_px)
        expected = arcsine(len(image), generator, image.device)
        means = block_means(image, block_px)
        terms = puzzle_energies(blocks, blocks[partner], means, means[partner], expected, grid, settings)
        ratio = graphcut.solve(*terms).to(image.dtype) / (settings.labels - 1)
        rows, columns = (_cell_of_block(count, grid, image.device) for count in blocks_yx)
        ratio = ratio[:, rows[:, None], columns]
        plans = None
        if settings.transport:
            masks, salient = torch.cat((1 - ratio, ratio)), torch.cat((blocks, blocks[partner]))
            first, second = transport.plan(masks, salient, settings.transport_cost).chunk(2)
            plans = (first, second)
        ratio = ratio.repeat_interleave(block_px, dim=1).repeat_interleave(block_px, dim=2)
        unmixed = Mix(image, ratio, partner, plans)
        return replace(unmixed, image=unmixed.scores(image))


def grid_of_step(step: int, grids: tuple[int, ...], largest: int) -> int:
    """Cells per side in this step: cycles through the sizes up to ``largest`` (the image's blocks per side).

    The official code draws one size per batch. A function of the step needs no random number on the host and
    no synchronisation, and is reproduced after a resume.

    Raises:
        ValueError: no size fits.
    """
    fitting = [grid for grid in grids if 2 <= grid <= largest]
    if not fitting:
        raise ValueError(
            f"none of the grids {grids} has 2 to {largest} cells per side (a cell has at least one block)"
        )
    return fitting[step % len(fitting)]


def arcsine(batch: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """(batch,) float32 from Beta(1/2, 1/2), whose distribution function is 2 / pi arcsin(sqrt(x))."""
    uniform = torch.rand(batch, generator=generator, device=device)
    return (uniform * (math.pi / 2)).sin().square()


def block_means(image: Tensor, block_px: int = BLOCK_PX) -> Tensor:
    """Mean of each block of ``image`` (B, C, H, W), normalised to [0, 1] per image.

    The weights of the data smoothness assume intensities in that range, not z-scores.
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return (F.avg_pool2d(image, block_px) - low) / (high - low).clamp_min(1e-6)


def puzzle_energies(
    saliency1: Tensor,
    saliency2: Tensor,
    means1: Tensor,
    means2: Tensor,
    ratio: Tensor,
    grid: int,
    settings: PuzzleSettings,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Energy whose minimum is the mixing mask.

    Label l of L is the share z = l / (L - 1) of image 2. The unary cost is the hidden saliency
    z s1 + (1 - z) s2 plus the prior -prior log Binomial(l; L - 1, 1 - ratio) / b^2; the pairwise cost is
    (label_smoothness / (16 b) + contrast) (z - z')^2, where the contrast across the border also enters the
    unary costs (both as in the official code).

    Args:
        saliency1: (B, h, w) share of each block in image 1's saliency.
        saliency2: (B, h, w) the same of image 2.
        means1: (B, C, h, w) mean of each block of image 1 (:func:`block_means`).
        means2: (B, C, h, w) the same of image 2.
        ratio: (B,) in [0, 1], expected share of image 1.
        grid: cells per side b.
        settings: Puzzle Mix.

    Returns:
        unary (B, b, b, L), weight_x (B, b-1, b), weight_y (B, b, b-1), pairwise (L, L) for
        ``graphcut.solve``.
    """
    device, last = saliency1.device, settings.labels - 1
    contrast = settings.label_smoothness * settings.data_smoothness / (16 * grid)
    # Index 0 means that image 2 is shown, index 1 image 1, as in the official code.
    costs = _cell_sums(torch.cat((saliency1, saliency2)), grid).unflatten(0, (2, -1))
    means = torch.stack((means2, means1))
    weights = []
    for axis in (1, 2):
        table = contrast * _border_contrast(means, grid, axis)
        costs.narrow(axis + 1, 0, grid - 1).add_(table.mean(dim=1))
        costs.narrow(axis + 1, 1, grid - 1).add_(table.mean(dim=0))
        bent = (table[1, 0] + table[0, 1] - table[1, 1] - table[0, 0]) / 2
        weights.append((bent + settings.label_smoothness / (16 * grid)).clamp_min(0))
    share = torch.arange(settings.labels, device=device, dtype=torch.float32) / last
    unary = costs[0, ..., None] * share + costs[1, ..., None] * (1 - share)
    prior = _prior(ratio, share) * (settings.prior / grid**2)
    return unary + prior[:, None, None], weights[0], weights[1], (share[:, None] - share).square()


def _prior(ratio: Tensor, share: Tensor) -> Tensor:
    """(B, L): -log of the binomial probability of each label; ``ratio`` is the expected share of image 1."""
    last = len(share) - 1
    label = share * last
    ways = (
        torch.lgamma(label.new_full((), last + 1.0))
        - torch.lgamma(label + 1)
        - torch.lgamma(last - label + 1)
    )
    ratio = ratio.float()[:, None]
    probability = ways.exp() * ratio ** (last - label) * (1 - ratio) ** label
    return -(probability + 1e-8).log()


def _cell_of_block(blocks: int, grid: int, device: torch.device) -> Tensor:
    """(blocks,) int64: cell of each row or column of blocks."""
    return torch.arange(blocks, device=device) * grid // blocks


def _cell_sums(blocks: Tensor, grid: int) -> Tensor:
    """Sums over each cell's blocks, (B, h, w) -> (B, grid, grid), normalised to sum 1."""
    return distribution(_sum_by_cell(_sum_by_cell(blocks, grid, 1), grid, 2))


def _sum_by_cell(values: Tensor, grid: int, dim: int) -> Tensor:
    """Sum ``values`` along ``dim`` over the blocks of each cell."""
    size = values.shape[dim]
    if size % grid == 0:
        return values.unflatten(dim, (grid, size // grid)).sum(dim=dim + 1)
    # Cell lengths differ by one block: read the longest everywhere and mask the excess.
    longest = -(-size // grid)
    start = _cell_starts(size, grid, values.device)
    block = start[:-1, None] + torch.arange(longest, device=values.device)
    inside = (block < start[1:, None]).to(values.dtype)
    read = values.index_select(dim, block.clamp_max(size - 1).reshape(-1)).unflatten(dim, (grid, longest))
    return (read * inside.reshape(grid, longest, *[1] * (values.dim() - dim - 1))).sum(dim=dim + 1)


def _cell_starts(size: int, grid: int, device: torch.device) -> Tensor:
    """(grid + 1,) int64: first block of each cell, and the total number of blocks."""
    return (torch.arange(grid + 1, device=device) * size + grid - 1) // grid


def _border_contrast(means: Tensor, grid: int, axis: int) -> Tensor:
    """Mean absolute difference across each border between cells, image p before it and image q behind it.

    Args:
        means: (2, B, C, h, w), block means of the two images.
        grid: cells per side.
        axis: 1 for borders between rows, 2 between columns.

    Returns:
        (2, 2, B, grid - 1, grid) or (2, 2, B, grid, grid - 1), indices p and q first.
    """
    start = _cell_starts(means.shape[axis + 2], grid, means.device)
    before, behind = (means.index_select(axis + 2, border) for border in (start[1:-1] - 1, start[1:-1]))
    step = (before[:, None] - behind).abs().mean(dim=3)
    other = 5 - axis  # the axis along the border
    length = _cell_starts(step.shape[other], grid, means.device).diff().to(step.dtype)
    return _sum_by_cell(step, grid, other) / (length if other == 4 else length[:, None])


def _check(image: Tensor, saliency: Tensor, block_px: int) -> None:
    if image.dim() != 4 or saliency.shape != (image.shape[0], *image.shape[2:]):
        raise ValueError(
            f"puzzle_mix expects an image (B, C, H, W) and saliency (B, H, W), got {tuple(image.shape)} and "
            f"{tuple(saliency.shape)}"
        )
    if any(size % block_px for size in image.shape[2:]):
        raise ValueError(
            f"puzzle_mix needs sides that are multiples of {block_px} px, got {tuple(image.shape[2:])} px"
        )
