"""Batched minimisation of a grid energy with convex label smoothness, on the device.

The official Puzzle Mix code calls an alpha-beta-swap graph cut on the CPU per sample, on costs rounded to
32-bit integers (which overflow). Here the energy is written with thresholds x[k] = [label > k], as in
Ishikawa's graph ("Exact optimization for Markov random fields with convex priors", 2003). Its linear
relaxation is tight, so a continuous solver finds the minimum cut: the primal-dual method of Chambolle and
Pock (2011) with diagonal step sizes (Pock and Chambolle 2011) and over-relaxation (Condat 2013). An iteration
is about ten elementwise kernels over the whole batch; the number of iterations depends on shapes alone, and
the host never synchronises.

The number of iterations was determined by measurement, see :data:`ITERATIONS_PER_NODE`. Rounding tries
several thresholds and keeps the labelling of lowest energy.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS_BASE = 60
ITERATIONS_PER_NODE = 4
"""Iterations = base + this times the longer side. Grids of 2 x 2 to 16 x 16 reach the max-flow minimum with
fewer, on 64 recorded instances and on random ones with couplings of 0 to 30 times the unary costs."""

BALANCE = 0.5
"""Ratio of dual to primal step size, both scaled by the couplings; 0.25 to 2 were tried on recorded
instances."""

RELAXATION = 1.8
"""Over-relaxation factor; 1 is the plain method and needs about twice the iterations, 2 may diverge."""

UNBOUNDED = 1e18
"""Finite substitute for infinity: its product with 0 is 0."""

THRESHOLDS = 5
"""Number of rounding thresholds, evenly spaced from 0.1 to 0.9."""


@torch.no_grad()
def solve(unary: Tensor, weight_x: Tensor, weight_y: Tensor, pairwise: Tensor) -> Tensor:
    """Labels minimising ``sum unary[l] + sum weight * pairwise[l_i, l_j]`` over a 4-connected grid.

    Args:
        unary: (B, H, W, L) float, cost of each label.
        weight_x: (B, H-1, W) float, non-negative: couples vertical neighbours.
        weight_y: (B, H, W-1) float, non-negative: couples horizontal neighbours.
        pairwise: (L, L) float, first index the upper or left node. Must be submodular,
            V[k, l] + V[k+1, l+1] <= V[k+1, l] + V[k, l+1], as is every convex function of the label
            difference.

    Returns:
        int64 (B, H, W), on the device of ``unary``.

    Raises:
        ValueError: inconsistent shapes; on the CPU also a negative weight or a pairwise term that is not
            submodular (elsewhere the check would synchronise with the device).
    """
    _check(unary, weight_x, weight_y, pairwise)
    batch, height, width, count = unary.shape
    if count == 1:
        return unary.new_zeros((batch, height, width), dtype=torch.int64)
    dtype = torch.float64 if unary.dtype == torch.float64 else torch.float32
    # Batch last, so that a gather copies contiguous rows.
    cost = unary.to(dtype).permute(3, 1, 2, 0).contiguous()
    down, right = (weight.to(dtype).permute(1, 2, 0).contiguous() for weight in (weight_x, weight_y))
    pairwise = pairwise.to(dtype)
    iterations = ITERATIONS_BASE + ITERATIONS_PER_NODE * max(height, width)
    relaxed = _relax(cost, down, right, pairwise, iterations)
    return _round(relaxed, cost, down, right, pairwise).permute(2, 0, 1).contiguous()


def energy(unary: Tensor, weight_x: Tensor, weight_y: Tensor, pairwise: Tensor, labels: Tensor) -> Tensor:
    """Energy (B,) of ``labels`` (B, H, W); the other arguments as for :func:`solve`."""
    cost = unary.permute(3, 1, 2, 0)
    down, right = weight_x.permute(1, 2, 0), weight_y.permute(1, 2, 0)
    return _energy(cost, down, right, pairwise, labels.permute(1, 2, 0)[None])[0]


def _check(unary: Tensor, weight_x: Tensor, weight_y: Tensor, pairwise: Tensor) -> None:
    if unary.dim() != 4 or not unary.is_floating_point():
        raise ValueError(
            f"solve expects floating unary costs (B, H, W, L), got {unary.dtype} {tuple(unary.shape)}"
        )
    batch, height, width, count = unary.shape
    for name, tensor, shape in (
        ("weight_x", weight_x, (batch, height - 1, width)),
        ("weight_y", weight_y, (batch, height, width - 1)),
        ("pairwise", pairwise, (count, count)),
    ):
        if tensor.shape != shape:
            raise ValueError(f"solve expects {name} of shape {shape}, got {tuple(tensor.shape)}")
    if unary.device.type == "cpu":
        _check_values(weight_x, weight_y, pairwise)


def _check_values(weight_x: Tensor, weight_y: Tensor, pairwise: Tensor) -> None:
    for name, weight in (("weight_x", weight_x), ("weight_y", weight_y)):
        if weight.numel() and not weight.min() >= 0:
            raise ValueError(f"solve expects {name} not negative, got {weight.min().item():g}; clamp it at 0")
    if (_couplings(pairwise) < -1e-6 * pairwise.abs().max()).any():
        raise ValueError(
            "solve needs a submodular pairwise term, V[k,l] + V[k+1,l+1] <= V[k+1,l] + V[k,l+1] "
            f"(convex in the label difference); got {pairwise.tolist()}"
        )


def _couplings(pairwise: Tensor) -> Tensor:
    """(L-1, L-1): coupling of threshold k of the first node with threshold l of the second."""
    return pairwise[1:, :-1] + pairwise[:-1, 1:] - pairwise[:-1, :-1] - pairwise[1:, 1:]


def _relax(cost: Tensor, down: Tensor, right: Tensor, pairwise: Tensor, iterations: int) -> Tensor:
    """Primal-dual iterations; returns the relaxed thresholds (L-1, H, W, B) in [0, 1].

    The dual variable of each pair of coupled thresholds is stored at both ends with opposite sign: this
    doubles the work, but divergence is a plain sum over a node's slots, with few kernels.
    """
    (low, high), slope, speed = _slots(cost, down, right, pairwise)
    slots, nodes, batch = high.shape
    source = _partners(slope.shape[0], slope.shape[1], slope.shape[2], cost.device)
    dual_step = speed * (BALANCE / 2)
    primal_step = 1 / (BALANCE * speed.sum(dim=0)).clamp_min(torch.finfo(cost.dtype).tiny ** 0.5)
    # One buffer per iterate (dual variables, their sum per node, thresholds), so that one kernel relaxes all.
    state = torch.empty((slots + 2, nodes, batch), device=cost.device, dtype=cost.dtype)
    work = torch.empty_like(state)
    dual, total, primal = state[:slots], state[slots], state[slots + 1]
    new_dual, new_total, new_primal = work[:slots], work[slots], work[slots + 1]
    torch.clamp(torch.zeros_like(high), low, high, out=dual)
    torch.sum(dual, dim=0, out=total)
    primal.fill_(0.5)
    gathered = new_dual.view(-1, batch)
    for _ in range(iterations):
        torch.index_select(primal, 0, source, out=gathered)
        torch.sub(primal, new_dual, out=new_dual)
        torch.addcmul(dual, new_dual, dual_step, out=new_dual)
        torch.clamp(new_dual, low, high, out=new_dual)
        torch.sum(new_dual, dim=0, out=new_total)
        torch.lerp(total, new_total, 2.0, out=new_primal)
        torch.addcmul(primal, new_primal, primal_step, value=-1, out=new_primal)
        new_primal.clamp_(0, 1)
        state.lerp_(work, RELAXATION)
    return primal.clamp(0, 1).view(slope.shape)


def _slots(
    cost: Tensor, down: Tensor, right: Tensor, pairwise: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Bounds and couplings of the dual variables.

    A submodular pair energy is linear terms plus ``c (|x_ik - x_jl|) / 2`` over all pairs of thresholds.
    Slots of node i, threshold k: one per neighbour and threshold, one per adjacent threshold of the node
    (enforces x[k] >= x[k+1]), and one fixed at the linear cost.

    Returns:
        (low, high), each (slots, (L-1) H W, B); linear costs (L-1, H, W, B); couplings that scale the step
        sizes.
    """
    coupling = _couplings(pairwise).clamp_min(0)
    levels, height, width, batch = cost.shape[0] - 1, *cost.shape[1:]
    slope = _slope(cost, down, right, pairwise, coupling)
    pad_y, pad_x = down.new_zeros((1, width, batch)), right.new_zeros((height, 1, batch))
    weight = torch.stack(
        (
            torch.cat((down, pad_y)),
            torch.cat((pad_y, down)),
            torch.cat((right, pad_x), 1),
            torch.cat((pad_x, right), 1),
        )
    )
    # [direction, neighbour's threshold, own threshold]; the upper or left node is the first of a pair.
    table = torch.stack((coupling.T, coupling, coupling.T, coupling))
    bound = (table[..., None, None, None] * weight[:, None, None]).flatten(0, 1) / 2
    low, high, speed = [-bound], [bound], [bound]
    own, partner = _levels(levels, cost.device)
    if levels > 1:
        # The order of the thresholds is a hard constraint: unbounded duals, with a step size of this scale.
        scale = 0.1 * (bound.sum(dim=0).mean(dim=0) + slope.abs().mean(dim=0))
        inside = (partner >= 0) & (partner < levels)
        over, under = ((inside & side).to(cost.dtype) for side in (partner < own, partner > own))
        low.append((-UNBOUNDED * under)[..., None, None, None].expand(-1, *slope.shape))
        high.append((UNBOUNDED * over)[..., None, None, None].expand(-1, *slope.shape))
        speed.append(inside[..., None, None, None] * scale.expand(slope.shape))
    low.append(slope[None])
    high.append(slope[None])
    speed.append(torch.zeros_like(slope)[None])
    flat = (-1, slope[..., 0].numel(), batch)
    joined = [torch.cat(parts).reshape(flat).contiguous() for parts in (low, high, speed)]
    return (joined[0], joined[1]), slope, joined[2]


def _slope(cost: Tensor, down: Tensor, right: Tensor, pairwise: Tensor, coupling: Tensor) -> Tensor:
    """Linear cost (L-1, H, W, B) of each threshold, including the couplings' linear parts."""
    first = pairwise[1:, 0] - pairwise[:-1, 0] - coupling.sum(dim=1) / 2
    second = pairwise[0, 1:] - pairwise[0, :-1] - coupling.sum(dim=0) / 2
    slope = cost[1:] - cost[:-1]
    slope[:, :-1] += first[:, None, None, None] * down
    slope[:, 1:] += second[:, None, None, None] * down
    slope[:, :, :-1] += first[:, None, None, None] * right
    slope[:, :, 1:] += second[:, None, None, None] * right
    return slope


def _levels(levels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Thresholds (levels,) and their adjacent thresholds (1 or 2, levels), out of range where none exists."""
    own = torch.arange(levels, device=device)
    return own, (1 - own)[None] if levels == 2 else torch.stack((own - 1, own + 1))


def _partners(levels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Index into the flattened thresholds of the other end of each slot of :func:`_slots`."""
    own, partner = _levels(levels, device)
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    every = own[:, None, None, None].expand(levels, levels, 1, 1)
    pixel = [
        ((y + dy).clamp(0, height - 1) * width + (x + dx).clamp(0, width - 1))
        for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    slots = [(every * (height * width) + place).reshape(-1) for place in pixel]
    here = y * width + x
    if levels > 1:
        slots.append((partner.clamp(0, levels - 1)[..., None, None] * (height * width) + here).reshape(-1))
    slots.append((own[:, None, None] * (height * width) + here).reshape(-1))
    return torch.cat(slots)


def _round(relaxed: Tensor, cost: Tensor, down: Tensor, right: Tensor, pairwise: Tensor) -> Tensor:
    """The rounding of lowest energy: int64 (H, W, B)."""
    threshold = torch.linspace(0.1, 0.9, THRESHOLDS, device=cost.device, dtype=cost.dtype)
    labels = (relaxed > threshold[:, None, None, None, None]).sum(dim=1)
    best = _energy(cost, down, right, pairwise, labels).argmin(dim=0)
    return labels.gather(0, best.expand(1, *labels.shape[1:]))[0]


def _energy(cost: Tensor, down: Tensor, right: Tensor, pairwise: Tensor, labels: Tensor) -> Tensor:
    """Energies (T, B) of labellings (T, H, W, B)."""
    count = cost.shape[0]
    vertical = torch.take(pairwise, labels[:, :-1] * count + labels[:, 1:]) * down
    horizontal = torch.take(pairwise, labels[:, :, :-1] * count + labels[:, :, 1:]) * right
    return cost.gather(0, labels).sum(dim=(1, 2)) + vertical.sum(dim=(1, 2)) + horizontal.sum(dim=(1, 2))
