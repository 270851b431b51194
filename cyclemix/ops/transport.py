"""Move blocks of an image so that salient ones lie where the mixing mask shows them (Puzzle Mix).

The official code assigns blocks by a dense cost matrix and resolves collisions greedily, which may drop or
duplicate blocks. Here a plan is always a permutation: pairs of blocks are swapped while that raises the
transported saliency minus the cost,

    sum_j visible(j) saliency(source of j) - cost_weight |j - source of j|^2 / (n - 1)^2,

with n blocks per side (64 for 256 px and 4-px blocks: d blocks cost 0.8 d^2 / 63^2). The mean saliency of a
block is 1 / n^2, so moves are short; only the pairs of ``OFFSETS`` are tried, in that order. The plans reach
about nine tenths of the gain of the optimal assignment (tests/unit/ops/test_transport.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cyclemix.ops.saliency import distribution


@torch.no_grad()
def plan(mask: Tensor, saliency: Tensor, cost_weight: float) -> Tensor:
    """Source block of each position.

    Args:
        mask: (B, h, w) float, mixing share of this image per position; positions above 0 are visible.
        saliency: (B, h, w) float, non-negative, one value per block; normalised to sum 1 per sample.
        cost_weight: cost of moving one block along a whole side; Puzzle Mix uses 0.8.

    Returns:
        int64 (B, h, w): row-major index of the block moved to this position; a permutation per sample.

    Raises:
        ValueError: different shapes, or a negative cost.
    """
    if mask.dim() != 3 or mask.shape != saliency.shape:
        raise ValueError(
            "plan expects mask and saliency of one shape (B, h, w), "
            f"got {tuple(mask.shape)} and {tuple(saliency.shape)}"
        )
    if cost_weight < 0:
        raise ValueError(f"plan expects cost_weight >= 0, got {cost_weight}")
    height, width = mask.shape[1:]
    # _exchange divides by the cost, so a cost of 0 becomes a negligible positive one.
    unit = max(cost_weight, 1e-9) / max(height - 1, width - 1, 1) ** 2
    row, column = torch.arange(height, device=mask.device)[:, None], torch.arange(width, device=mask.device)
    # Batch last, so that slices are contiguous. Swapped: saliency, row, column; fixed: visibility.
    share = distribution(saliency.float()).permute(1, 2, 0)
    home = (position.to(share.dtype)[..., None].expand_as(share) for position in (row, column))
    state = torch.stack((share, *home, (mask > 0).to(share.dtype).permute(1, 2, 0)))
    for down, right in OFFSETS:
        if down < height and abs(right) < width:
            for near, far in _pairs(state, down, right):
                _exchange(near, far, down, right, 2 * unit)
    source = state[1] * width + state[2]
    return source.permute(2, 0, 1).round().long()


def apply(plan: Tensor, blocks: Tensor) -> Tensor:
    """Move blocks according to a plan; differentiable.

    Args:
        plan: int64 (B, h, w) from :func:`plan`.
        blocks: (B, H, W) or (B, C, H, W) of any dtype, H and W multiples of h and w: images, labels,
            predictions, or one value per block.

    Returns:
        Same shape and dtype; the block at position j is the one from ``plan[j]``.

    Raises:
        ValueError: H or W is not a multiple of the plan's h or w.
    """
    batch, rows, columns = plan.shape
    height, width = blocks.shape[-2:]
    if blocks.dim() not in (3, 4) or blocks.shape[0] != batch or height % rows or width % columns:
        raise ValueError(
            f"apply expects (B, H, W) or (B, C, H, W) "
            f"with B = {batch}, H a multiple of {rows} and W of {columns}; got {tuple(blocks.shape)}"
        )
    side_y, side_x = height // rows, width // columns
    y, x = (torch.arange(side, device=plan.device) for side in (side_y, side_x))
    corner = plan // columns * (side_y * width) + plan % columns * side_x
    within = y[:, None, None] * width + x
    pixel = (corner[:, :, None, :, None] + within).reshape(batch, 1, -1)
    flat = blocks.reshape(batch, -1, height * width)
    return flat.gather(2, pixel.expand_as(flat)).reshape(blocks.shape)


def _exchange(near: Tensor, far: Tensor, down: int, right: int, price: float) -> None:
    """Swap the blocks at positions ``near`` and ``far`` (4, ...) where that is a gain; in place.

    Swapping the blocks a and b of positions j and k, o = k - j, has the loss
    (visible_k - visible_j) (s_b - s_a) + price o . (b - a) with price = 2 unit, as the squares cancel. It is
    divided by price times one component of o, which saves a kernel. Gains within rounding error are ignored.
    """
    change = far - near
    if down:
        loss = torch.add(change[1], change[2], alpha=right / down) if right else change[1].clone()
    else:
        loss = change[2].clone()
    scale = price * (down or right)
    loss.addcmul_(change[3], change[0], value=1 / scale)
    swap = loss.lt_(-1e-4 / (down or right))
    near[:3].addcmul_(change[:3], swap)
    far[:3].addcmul_(change[:3], swap, value=-1)


def _pairs(state: Tensor, down: int, right: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of the positions ``down`` rows and ``right`` columns apart, in groups of disjoint pairs.

    Along an axis whose component is p times an odd number, p a power of two, the positions r, r + 2 p,
    r + 4 p, ... have partners of residue r + p modulo 2 p, so no position is in two pairs of a group.
    """
    height, width = state.shape[1:3]
    left, end = max(0, -right), width - max(0, right)
    power_y, power_x = down & -down, right & -right
    by_row = down > 0 and (right == 0 or power_y <= power_x)
    power = power_y if by_row else power_x
    for start in range(2 * power):
        row, column = (start, 0) if by_row else (0, start)
        rows, columns = (2 * power, 1) if by_row else (1, 2 * power)
        near = state[:, row : height - down : rows, left + column : end : columns]
        far = state[:, row + down :: rows, left + right + column : end + right : columns]
        yield near, far


def _disc(radius: int) -> list[tuple[int, int]]:
    """Offsets (down, right) of length up to ``radius``, shortest first, one per pair of opposites."""
    every = [
        (down, right)
        for down in range(radius + 1)
        for right in range(-radius, radius + 1)
        if (down or right > 0) and down**2 + right**2 <= radius**2
    ]
    return sorted(every, key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset))


def _star(lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Offsets of the given lengths along the axes, the diagonals and halfway between."""
    star = []
    for far in lengths:
        near = far // 2
        star += [(0, far), (far, 0), (far, far), (far, -far)]
        star += [(far, near), (far, -near), (near, far), (near, -far)]
    return star


OFFSETS = (*_disc(4), *_star((5, 9)), *_disc(2))
"""Swaps (rows, columns) in order: all up to four blocks, shortest first; longer ones for isolated, very
salient blocks; then the shortest again to refine."""
