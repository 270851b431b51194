"""Random walker segmentation from seeds (Grady, IEEE PAMI 2006), batched.

Transition probabilities to the four neighbours are proportional to exp(-beta (g_i - g_j)^2). The probability
of reaching a seed of class c before any other seed solves the linear system of the graph Laplacian with the
seeds as boundary values (eq. 8), here by conjugate gradients on all slices and classes at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cyclemix.config.labels import UNLABELLED

CHECK_EVERY = 50
"""Iterations between convergence checks, each of which synchronises with the device."""


def random_walk(
    intensity: Tensor,
    seeds: Tensor,
    num_classes: int,
    beta: float,
    inside: Tensor | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 2000,
) -> Tensor:
    """Probability per pixel and class that a random walk from the pixel reaches a seed of the class first.

    Args:
        intensity: (B,H,W) float.
        seeds: (B,H,W) int64 class values, UNLABELLED elsewhere.
        num_classes: number of classes, including background.
        beta: edge sensitivity, per squared intensity.
        inside: (B,H,W) bool, False for excluded pixels; None = all pixels.
        tolerance: largest residual per slice and class, relative to the norm of its right-hand side.
        max_iterations: maximum number of iterations.

    Returns:
        (B,C,H,W) float32, summing to 1 over C; all 0 where no seed is reachable.
    """
    seeded = (seeds != UNLABELLED)[:, None]
    values = torch.arange(num_classes, device=seeds.device)[:, None, None]
    boundary = (seeds[:, None] == values).float()
    down, right = _edges(intensity.float(), beta, inside)
    degree = _neighbours(torch.ones_like(intensity[:, None], dtype=torch.float32), down, right)
    free = ~seeded & (degree > 0)

    def laplacian(x: Tensor) -> Tensor:
        return (degree * x - _neighbours(x, down, right)) * free

    # Equations of the unseeded pixels; the seeds' values are moved to the right-hand side.
    target = _neighbours(boundary, down, right) * free
    found = _conjugate_gradients(laplacian, target, degree, tolerance, max_iterations)
    return torch.where(seeded, boundary, found.clamp(0, 1))


def _edges(intensity: Tensor, beta: float, inside: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights of the edges to the pixel below (B,1,H-1,W) and to the right (B,1,H,W-1)."""
    down = (-beta * (intensity[:, 1:] - intensity[:, :-1]).square()).exp()
    right = (-beta * (intensity[:, :, 1:] - intensity[:, :, :-1]).square()).exp()
    if inside is not None:
        down, right = (
            down * (inside[:, 1:] & inside[:, :-1]),
            right * (inside[:, :, 1:] & inside[:, :, :-1]),
        )
    return down[:, None], right[:, None]


def _neighbours(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Weighted sum over each pixel's neighbours of ``x`` (B,C,H,W)."""
    total = torch.zeros_like(x)
    total[..., :-1, :] += down * x[..., 1:, :]
    total[..., 1:, :] += down * x[..., :-1, :]
    total[..., :-1] += right * x[..., 1:]
    total[..., 1:] += right * x[..., :-1]
    return total


def _conjugate_gradients(
    matrix: Callable[[Tensor], Tensor],
    target: Tensor,
    diagonal: Tensor,
    tolerance: float,
    max_iterations: int,
) -> Tensor:
    """Solve ``matrix(x) = target`` for each slice and class, preconditioned by the diagonal (Jacobi)."""
    scale = 1 / diagonal.clamp_min(torch.finfo(diagonal.dtype).tiny)
    found, residual = torch.zeros_like(target), target
    steered = scale * residual
    direction, energy = steered, _dot(residual, steered)
    enough = tolerance**2 * _dot(target, target)
    for iteration in range(max_iterations):
        if iteration % CHECK_EVERY == 0 and bool((_dot(residual, residual) <= enough).all()):
            break
        image = matrix(direction)
        curvature = _dot(direction, image)
        # A solved slice has a zero search direction; its 0 / 0 becomes a step of 0.
        step = torch.where(curvature > 0, energy / curvature, 0)
        found, residual = found + step * direction, residual - step * image
        steered = scale * residual
        before, energy = energy, _dot(residual, steered)
        direction = steered + torch.where(before > 0, energy / before, 0) * direction
    return found


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Scalar product of each slice and class, (B,C,1,1)."""
    return (first * second).sum(dim=(2, 3), keepdim=True)
