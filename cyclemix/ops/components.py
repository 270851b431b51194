"""Largest connected component of each class, batched and exact.

On the CPU one call of connected-components-3d labels the whole batch; elsewhere a label propagation with a
fixed number of steps does, without host synchronisation. Results are identical, including ties.
"""

from __future__ import annotations

import math

import cc3d
import numpy as np
import torch
from torch import Tensor


def largest_component(labels: Tensor, num_classes: int) -> Tensor:
    """Keep each class's largest 4-connected component per slice; all other pixels become background.

    Ties are resolved in favour of the component with the first pixel in row-major order. Values outside
    [0, num_classes), such as UNLABELLED, become background.

    Args:
        labels: (B, H, W) integer.
        num_classes: number of classes, including background (0).

    Returns:
        (B, H, W), dtype and device of ``labels``.

    Raises:
        ValueError: wrong shape, dtype or number of classes.
    """
    _check(labels, num_classes)
    known = _known(labels, num_classes)
    return (known * _largest(known, num_classes)).to(labels.dtype)


def cycle_target(labels: Tensor, num_classes: int) -> Tensor:
    """Target of CycleMix's local consistency, per slice and as in the official code.

    The intersection of each class's largest 4-connected component with the largest 4-connected component of
    the foreground (all classes together).

    Args:
        labels: (B, H, W) integer, usually the argmax of a prediction.
        num_classes: number of classes, including background.

    Returns:
        (B, H, W), dtype and device of ``labels``.

    Raises:
        ValueError: as :func:`largest_component`.
    """
    _check(labels, num_classes)
    known = _known(labels, num_classes)
    both = torch.cat((known, (known > 0).to(known.dtype)))
    classes, whole = _largest(both, num_classes).chunk(2)
    return (known * (classes & whole)).to(labels.dtype)


def _check(labels: Tensor, num_classes: int) -> None:
    if labels.dim() != 3 or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"expected integer labels (B, H, W), got {labels.dtype} {tuple(labels.shape)}")
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes counts the background and is 1..255, got {num_classes}")


def _known(labels: Tensor, num_classes: int) -> Tensor:
    """Class values as uint8 (the following steps are memory-bound), 0 for all other values."""
    known = labels.clamp(0, num_classes).to(torch.uint8)
    return known * (known < num_classes)


def _largest(known: Tensor, num_classes: int) -> Tensor:
    """bool (B, H, W): pixels of the largest component per slice and class; ``known`` is uint8."""
    if known.device.type == "cpu":
        return torch.from_numpy(_largest_by_cc3d(known.numpy(), num_classes))
    return _largest_by_propagation(known, num_classes)


def _largest_by_cc3d(known: np.ndarray, num_classes: int) -> np.ndarray:
    """On the CPU: one call on the slices stacked vertically, separated by empty rows."""
    batch, height, width = known.shape
    tall = np.zeros((batch, height + 1, width), dtype=np.uint8)
    tall[:, :height] = known
    flat = tall.reshape(-1)
    component = cc3d.connected_components(tall.reshape(-1, width), connectivity=4).reshape(-1)
    keep = np.zeros(flat.shape, dtype=bool)
    pixels = np.flatnonzero(flat != 0)
    if pixels.size:
        of_pixel = component[pixels]
        size = np.bincount(of_pixel)
        first = np.zeros(size.size, dtype=np.int64)
        first[of_pixel[::-1]] = pixels[::-1]  # the last assignment wins: the first pixel in row-major order
        group = first // tall[0].size * num_classes + flat[first]  # slice and class
        order = np.lexsort((-first, size, group))
        last = np.append(group[order][1:] != group[order][:-1], True)  # largest, then earliest, of its group
        winner = np.zeros(size.size, dtype=bool)
        winner[order[last]] = True
        keep[pixels] = winner[of_pixel]
    return keep.reshape(tall.shape)[:, :height]


def _largest_by_propagation(labels: Tensor, num_classes: int) -> Tensor:
    """On other devices: tensor operations only, their number determined by the shapes."""
    batch, height, width = labels.shape
    root = component_roots(labels).reshape(-1)
    pixel = torch.arange(root.numel(), device=labels.device, dtype=torch.int32)
    foreground = labels.reshape(-1) > 0
    # Scatter to the root; background pixels to themselves, to avoid contention on one address.
    place = torch.where(foreground, root, pixel).long()
    size = torch.zeros_like(pixel).scatter_add_(0, place, torch.ones_like(pixel))
    first = pixel.scatter_reduce(0, place, pixel, "amin")
    per_slice = height * width
    earliness = per_slice - 1 - first % per_slice
    rank = size.long() * per_slice + earliness  # unique per slice; ordered by size, then by position
    rank = torch.where(root == pixel, rank, -1).reshape(batch, per_slice)
    of_pixel = rank.reshape(-1).index_select(0, root).reshape(batch, per_slice)
    flat = labels.reshape(batch, per_slice)
    keep = torch.zeros_like(flat, dtype=torch.bool)
    for value in range(1, num_classes):
        mine = flat == value
        best = torch.where(mine, rank, -1).amax(dim=1, keepdim=True)
        keep |= mine & (of_pixel == best)
    return keep.reshape(labels.shape)


def component_roots(labels: Tensor) -> Tensor:
    """One representative pixel for each 4-connected component of equal values above 0.

    Boruvka's contraction of the horizontal runs: per round every root joins the smallest root that touches
    its component. The only possible cycles are pairs that choose each other (on a longer cycle each second
    choice would have to be smaller than the previous one), of which the smaller stays root. So every
    unfinished root merges, and a component of n runs is done in ceil(log2 n) rounds, n at most H ceil(W / 2).
    Chains of choices have at most n / 2^round links, and pointer doubling follows m links in ceil(log2 m)
    steps.

    Args:
        labels: (B, H, W) integer.

    Returns:
        int32 (B, H, W): row-major index in the batch of the component's representative; background pixels
        have their own index.
    """
    height, width = labels.shape[1:]
    pixel = torch.arange(labels.numel(), device=labels.device, dtype=torch.int32).reshape(labels.shape)
    joins = (labels[:, :, 1:] == labels[:, :, :-1]) & (labels[:, :, 1:] > 0)
    starts = torch.cat((pixel[:, :, :1], torch.where(joins, 0, pixel[:, :, 1:])), dim=2)
    root = torch.cummax(starts, dim=2).values
    vertical = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    pixel, runs = pixel.reshape(-1), height * ((width + 1) // 2)
    while runs > 1:
        chosen = _smallest_neighbour(root, vertical, pixel)
        for _ in range(max(1, math.ceil(math.log2(runs)))):
            chosen = chosen.index_select(0, chosen)
        root = chosen.index_select(0, root.reshape(-1)).reshape(labels.shape)
        runs //= 2
    return root


def _smallest_neighbour(root: Tensor, vertical: Tensor, pixel: Tensor) -> Tensor:
    """Smallest other root that touches each root's component; the root itself where there is none, and for
    the smaller of a pair that choose each other."""
    upper, lower = root[:, :-1], root[:, 1:]
    touch = vertical & (upper != lower)
    above, below = (pixel.reshape(root.shape)[:, rows] for rows in (slice(None, -1), slice(1, None)))
    last = torch.iinfo(torch.int32).max
    # Edges within a component write a neutral value to their own pixel, which avoids contention.
    index = torch.cat((torch.where(touch, upper, above), torch.where(touch, lower, below)), dim=1)
    value = torch.cat((torch.where(touch, lower, last), torch.where(touch, upper, last)), dim=1)
    smallest = torch.full_like(pixel, last).scatter_reduce_(
        0, index.reshape(-1).long(), value.reshape(-1), "amin"
    )
    chosen = torch.where(smallest < last, smallest, pixel)
    pair = chosen.index_select(0, chosen) == pixel
    return torch.where(pair & (pixel < chosen), pixel, chosen)
