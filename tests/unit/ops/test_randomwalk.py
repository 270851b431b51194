"""The random walker against chains solved by hand and a dense linear solve."""

from __future__ import annotations

from math import exp, log

import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.ops.randomwalk import random_walk

EXACT = {"tolerance": 1e-6}


def dense(intensity: torch.Tensor, seeds: torch.Tensor, num_classes: int, beta: float) -> torch.Tensor:
    """One slice (H,W), by the textbook: L_U x = -B^T m, in float64."""
    height, width = intensity.shape
    laplacian = torch.zeros(height * width, height * width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            for to_y, to_x in ((y + 1, x), (y, x + 1)):
                if to_y < height and to_x < width:
                    weight = exp(-beta * float(intensity[y, x] - intensity[to_y, to_x]) ** 2)
                    i, j = y * width + x, to_y * width + to_x
                    laplacian[i, i] += weight
                    laplacian[j, j] += weight
                    laplacian[i, j] -= weight
                    laplacian[j, i] -= weight
    seeded = seeds.flatten() != UNLABELLED
    known = torch.nn.functional.one_hot(seeds.flatten()[seeded], num_classes).double()
    found = torch.zeros(height * width, num_classes, dtype=torch.float64)
    found[seeded] = known
    right = -laplacian[~seeded][:, seeded] @ known
    found[~seeded] = torch.linalg.solve(laplacian[~seeded][:, ~seeded], right)
    return found.T.reshape(num_classes, height, width).float()


def test_a_flat_chain_falls_linearly() -> None:
    seeds = torch.tensor([[[0, UNLABELLED, UNLABELLED, UNLABELLED, 1]]])
    got = random_walk(torch.zeros(1, 1, 5), seeds, 2, 1.0, **EXACT)
    torch.testing.assert_close(got[0, 1, 0], torch.tensor([0, 0.25, 0.5, 0.75, 1]))


def test_an_edge_is_a_resistance() -> None:
    """Edges 1, 1/3, 1 are resistances 1, 3, 1: the potential falls by 1/5, 3/5, 1/5."""
    seeds = torch.tensor([[[0, UNLABELLED, UNLABELLED, 1]]])
    intensity = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    got = random_walk(intensity, seeds, 2, log(3), **EXACT)
    torch.testing.assert_close(got[0, 1, 0], torch.tensor([0, 0.2, 0.8, 1.0]))


def test_slices_of_a_batch_agree_with_a_dense_solve() -> None:
    generator = torch.Generator().manual_seed(0)
    intensity = torch.rand(3, 7, 9, generator=generator)
    seeds = torch.full((3, 7, 9), UNLABELLED)
    for index in range(3):
        places = torch.randperm(63, generator=generator)[:6]
        seeds[index].view(-1)[places] = torch.tensor([0, 1, 2, 0, 1, 2])
    got = random_walk(intensity, seeds, 3, 20.0, **EXACT)
    expected = torch.stack([dense(intensity[i], seeds[i], 3, 20.0) for i in range(3)])
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(got.sum(dim=1), torch.ones(3, 7, 9), atol=1e-4, rtol=0)


def test_nobody_walks_outside() -> None:
    """A wall of outside pixels: what lies behind it is reached from its own side alone, or not at all."""
    seeds = torch.full((1, 3, 5), UNLABELLED)
    seeds[0, 1, 0] = 1
    inside = torch.ones(1, 3, 5, dtype=torch.bool)
    inside[..., 2] = False
    got = random_walk(torch.zeros(1, 3, 5), seeds, 2, 1.0, inside, **EXACT)
    torch.testing.assert_close(got[0, 1, :, :2], torch.ones(3, 2), atol=1e-5, rtol=0)
    assert got[0, :, :, 2:].abs().max() == 0


def test_a_slice_without_seeds_stays_empty_and_leaves_the_others_alone() -> None:
    seeds = torch.tensor([[[UNLABELLED] * 3], [[0, UNLABELLED, 1]]])
    got = random_walk(torch.zeros(2, 1, 3), seeds, 2, 1.0, **EXACT)
    assert got[0].abs().max() == 0
    torch.testing.assert_close(got[1, 1, 0], torch.tensor([0, 0.5, 1.0]))
