"""Co-Mixup: the objective against its definition, its descent against brute force, and what comes out."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclemix.ops.comixup import CoMixSettings, Problem, co_mix, compatibility, parts_of

SIDE = 16


def random_problem(seed: int, images: int = 6, parts: int = 2, **weights: float) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    chosen = CoMixSettings(**weights)
    share = torch.rand(parts, images, chosen.cells**2, generator=generator).pow(4)
    share = share / share.sum(-1, keepdim=True)
    return Problem(-share.mT.contiguous(), compatibility(share, chosen), chosen)


def by_definition(problem: Problem, masks: torch.Tensor, chosen: CoMixSettings) -> float:
    """The official code's energy with the threshold, of one part's masks (n,c,n), term by term."""
    outputs, cells, _ = masks.shape
    side = chosen.cells
    total = (problem.cost[0] * masks).sum()
    for j in range(outputs):
        grid = masks[j].reshape(side, side, -1)
        steps = grid.diff(dim=0).square().sum() + grid.diff(dim=1).square().sum()
        others = sum(masks[i].sum(0) for i in range(outputs) if i != j)
        pressure = problem.compatibility[0] @ others
        crowd = sum(
            n * p for n, p in zip(masks[j].sum(0), pressure, strict=True) if p > chosen.threshold * cells
        )
        total = total + chosen.smoothness / cells / 2 * steps + chosen.diversity / cells * crowd
    return float(total)


def test_objective_is_the_official_energy() -> None:
    chosen = CoMixSettings(compatibility=0.2)
    problem = random_problem(0, parts=1, compatibility=0.2)
    masks = torch.rand(1, 1, 6, 16, 6, generator=torch.Generator().manual_seed(1)).softmax(-1)
    masks[..., :2, :] = torch.tensor([0.5, 0.5, 0, 0, 0, 0])
    assert problem.objective(masks).item() == pytest.approx(
        by_definition(problem, masks[0, 0], chosen), rel=1e-5
    )


def linear_value(problem: Problem, masks: torch.Tensor, output: int, mask: torch.Tensor) -> torch.Tensor:
    """The objective's part in one output, its last term linear at the present masks: pairs count twice."""
    others = masks.sum((1, 2)) - masks[:, output].sum(1)
    pressure = (others[:, None] @ problem.compatibility)[:, 0]
    crowd = 2 * problem.gamma * (mask.sum(1) * pressure * (pressure > problem.limit)).sum(-1)
    grid = mask.reshape(len(mask), 4, 4, -1)
    steps = grid.diff(dim=1).square().sum((1, 2, 3)) + grid.diff(dim=2).square().sum((1, 2, 3))
    return (problem.cost * mask).sum((1, 2)) + problem.beta / 2 * steps + crowd


@given(seed=st.integers(0, 10**6), images=st.integers(2, 7), diversity=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=15)
def test_no_improvement_is_for_the_worse(seed: int, images: int, diversity: float) -> None:
    """By the objective where it decides, by its linear form where that does."""
    problem = random_problem(seed, images, diversity=diversity)
    start = torch.randint(images, (2, images, 16), generator=torch.Generator().manual_seed(seed))
    masks = torch.eye(images)[start]
    for sweep in range(4):
        for output in range(images):
            new = problem.improved(masks, output, halves=sweep > 0, exact=sweep >= 2)
            before, old = masks.clone(), masks[:, output].clone()
            masks[:, output] = new
            if sweep >= 2:
                fall = problem.objective(masks[:, None]) - problem.objective(before[:, None])
            else:
                fall = linear_value(problem, before, output, new) - linear_value(problem, before, output, old)
            assert (fall <= 1e-4).all()


def test_solving_ends_below_the_start_and_below_linear_sweeps_alone() -> None:
    problem = random_problem(0, images=16, parts=8)
    start = torch.randint(16, (8, 16, 16), generator=torch.Generator().manual_seed(1))
    linear = torch.eye(16)[start]
    at_start = problem.objective(linear[:, None])
    for sweep in range(4):
        for output in range(16):
            linear[:, output] = problem.improved(linear, output, halves=sweep > 0, exact=False)
    found = problem.objective(problem.solve(torch.Generator().manual_seed(1))[:, None])
    assert (found < at_start - 100).all()
    assert found.mean() < problem.objective(linear[:, None]).mean()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15)
def test_masks_sum_to_one_with_one_image_or_two_halves(seed: int) -> None:
    masks = random_problem(seed).solve(torch.Generator().manual_seed(seed))
    assert torch.equal(masks.sum(-1), torch.ones(2, 6, 16))
    assert set(masks.unique().tolist()) <= {0.0, 0.5, 1.0}


def test_it_comes_close_to_the_best_masks() -> None:
    """Two images, two outputs, 2 x 2 cells: all 256 hard masks are tried."""
    choices = torch.tensor(list(product(range(2), repeat=8))).reshape(-1, 2, 4)
    every, gaps = torch.eye(2)[choices], []
    for seed in range(40):
        problem = random_problem(seed, images=2, parts=1, cells=2)
        values = problem.objective(every[None])[0]
        masks = problem.solve(torch.Generator().manual_seed(seed))
        found = problem.objective(masks[:, None]).item()
        gaps.append((found - values.min().item()) / (values.mean() - values.min()).item())
    assert sum(gaps) / len(gaps) < 0.05
    assert max(gaps) < 1  # 1 = no better than a random mask


def test_without_neighbours_and_diversity_every_cell_shows_the_most_salient_image() -> None:
    problem = random_problem(3, smoothness=0, diversity=0)
    masks = problem.solve(torch.Generator().manual_seed(0))
    best = problem.cost.argmin(-1)
    assert torch.equal(masks.argmax(-1), best[:, None].expand(-1, 6, -1))


def test_diversity_shares_the_outputs_among_the_images() -> None:
    """One image outshines all others; others may use tau of it freely, and no more."""
    share = torch.full((1, 8, 16), 1 / 160)
    share[:, 0] = 1 / 16
    chosen = CoMixSettings(smoothness=0)
    used = []
    for diversity in (0.0, 1.0):
        problem = Problem(-share.mT, torch.eye(8)[None], chosen.model_copy(update={"diversity": diversity}))
        used.append(problem.solve(torch.Generator().manual_seed(0))[0, ..., 0].sum().item())
    assert used[0] == 8 * 16
    assert used[1] <= 2 * 16


def test_compatibility_is_the_distance_of_salient_cells() -> None:
    share = torch.zeros(1, 3, 16)
    share[0, 0, 0] = share[0, 1, 5] = share[0, 2, 0] = 1  # cells (0,0), (1,1), (0,0)
    got = compatibility(share, CoMixSettings(compatibility=0.1))[0]
    far = 0.1 * 2 * 3 / 8  # L1 distance 2, all distances (four times 2) scaled to sum 3
    expected = torch.tensor([[0.9, far, 0], [far, 0.9, far], [0, far, 0.9]])
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("batch", "parts"), [(32, 2), (20, 1), (4, 1), (21, 3), (2, 1), (100, 5)])
def test_parts_are_few_and_equal(batch: int, parts: int) -> None:
    assert parts_of(batch, 20) == parts


def test_a_batch_that_does_not_split_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"a batch of 23 cannot be split .* of 2 to 20 images; .*config.mix.part"
    ):
        parts_of(23, 20)


def test_pixels_and_labels_come_from_the_sources() -> None:
    """Grey value and label are the image's number: a mixed pixel is the mean of its sources' numbers."""
    batch = 6
    number = torch.arange(batch)[:, None, None].expand(-1, SIDE + 1, SIDE)
    generator = torch.Generator().manual_seed(0)
    saliency = torch.rand(batch, SIDE + 1, SIDE, generator=generator).pow(6)
    mix = co_mix(number[:, None].float(), saliency, CoMixSettings(part=3), generator)
    first, second = mix.labels(number)
    assert torch.equal(first, mix.sources[0])
    torch.testing.assert_close(mix.image[:, 0], torch.lerp(first.float(), second.float(), mix.ratio))
    shown = mix.image[:, 0].flatten(1)
    assert shown[:3].max() <= 2  # parts do not mix with each other
    assert shown[3:].min() >= 3
    assert sum(len(row.unique()) > 1 for row in shown) >= 3
