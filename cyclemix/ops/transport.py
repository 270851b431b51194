"""Move blocks of an image so that salient ones lie where the mixing mask shows them (Puzzle Mix).

Official Puzzle Mix lets every block choose its place in a dense cost matrix and settles collisions greedily;
places that nobody wins go empty or keep a copy. Here a plan is a permutation from the first step to the last:
blocks change places in pairs while that raises the transported saliency minus the cost,

    sum_j visible(j) saliency(source of j) - cost_weight |j - source of j|^2 / (n - 1)^2,

with n blocks a side (64 for 256 px and 4-px blocks: d blocks cost 0.8 d^2 / 63^2). A mean block has saliency
1 / n^2, so moves stay short, and only the pairs of ``OFFSETS`` are tried, in that order. Against the optimum
of the assignment problem the plans reach about nine tenths of the possible gain
(tests/unit/test_ops_transport.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cyclemix.ops.saliency import distribution


@torch.no_grad()
def plan(mask: Tensor, saliency: Tensor, cost_weight: float) -> Tensor:
    """Which block each place takes.

    Args:
        mask: (B, h, w) float, the share that each place shows of this image; places above 0 are visible.
        saliency: (B, h, w) float, not negative, one value a block; scaled to sum 1 a sample.
        cost_weight: cost of moving one block along a whole side; Puzzle Mix takes 0.8.

    Returns:
        int64 (B, h, w): row-major index of the block that goes to this place; a permutation a sample.

    Raises:
        ValueError: shapes that differ, or a negative cost.
    """
    if mask.dim() != 3 or mask.shape != saliency.shape:
        raise ValueError(
            "plan expects mask and saliency of one shape (B, h, w), "
            f"got {tuple(mask.shape)} and {tuple(saliency.shape)}"
        )
    if cost_weight < 0:
        raise ValueError(f"plan expects cost_weight >= 0, got {cost_weight}")
    height, width = mask.shape[1:]
    # Free moves are given a price too small to matter, as _exchange divides by it.
    unit = max(cost_weight, 1e-9) / max(height - 1, width - 1, 1) ** 2
    row, column = _positions(height, width, mask.device)
    # Batch last, so that slices are long runs. What travels: saliency, row, column; what stays: visibility.
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
    """Move blocks as planned.

    Args:
        plan: int64 (B, h, w) from :func:`plan`.
        blocks: (B, H, W) or (B, C, H, W) of any dtype, H and W multiples of h and w: images, labels,
            predictions, or one value a block. Differentiable.

    Returns:
        Same shape and dtype; the block at place j is the one that stood at ``plan[j]``.

    Raises:
        ValueError: the plan's grid does not divide the image.
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


def fraction_moved(plan: Tensor) -> Tensor:
    """Share (B,) of the blocks that changed place."""
    batch, rows, columns = plan.shape
    stay = torch.arange(rows * columns, device=plan.device)
    return (plan.reshape(batch, -1) != stay).float().mean(dim=1)


def _exchange(near: Tensor, far: Tensor, down: int, right: int, price: float) -> None:
    """Swap the blocks of the places in ``near`` and ``far`` (4, ...) where that gains; in place.

    Swapping the blocks a and b of places j and k, o = k - j, loses
    (visible_k - visible_j) (s_b - s_a) + price o . (b - a) with price = 2 unit, squares cancelling. All is
    divided by price times one component of o, which saves a kernel. Only a gain counts that is above
    rounding.
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
    """Views of the places ``down`` rows and ``right`` columns apart, in groups without a shared place.

    Along an axis whose component is p times an odd number, p a power of two, residues r and r + p modulo 2 p
    take turns, so the places r, r + 2 p, r + 4 p, ... never meet their own partners.
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


def _positions(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row (h, 1) and column (1, w) numbers."""
    return torch.arange(height, device=device)[:, None], torch.arange(width, device=device)[None]


def _disc(radius: int) -> list[tuple[int, int]]:
    """Offsets (down, right) up to ``radius`` long, nearest first, one of each opposite pair."""
    every = [
        (down, right)
        for down in range(radius + 1)
        for right in range(-radius, radius + 1)
        if (down or right > 0) and down**2 + right**2 <= radius**2
    ]
    return sorted(every, key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset))


def _star(lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Offsets of the given lengths along the axes, the diagonals and half-way between."""
    star = []
    for far in lengths:
        near = far // 2
        star += [(0, far), (far, 0), (far, far), (far, -far)]
        star += [(far, near), (far, -near), (near, far), (near, -far)]
    return star


OFFSETS = (*_disc(4), *_star((5, 9)), *_disc(2))
"""Exchanges (rows, columns) in order: all up to four blocks, nearest first; longer ones for lone, very
salient blocks; and the nearest again, which repairs what the long ones left."""
