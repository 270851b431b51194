"""Transport: every place filled once, gains against the optimal assignment, applied alike to all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import identity, share_moved
from scipy.optimize import linear_sum_assignment

from cyclemix.ops import transport

COST = 0.8


def objective(mask, saliency, plan, cost=COST):
    """(B,) transported share under the mask minus the cost, in float64."""
    batch, height, width = plan.shape
    place = torch.arange(height * width)
    source = plan.reshape(batch, -1)
    share = saliency.double().reshape(batch, -1)
    share = share / share.sum(dim=1, keepdim=True)
    squared = (source // width - place // width) ** 2 + (source % width - place % width) ** 2
    unit = cost / max(height - 1, width - 1) ** 2
    seen = (mask.reshape(batch, -1) > 0) * share.gather(1, source)
    return seen.sum(dim=1) - unit * squared.sum(dim=1)


def optimum(mask, saliency):
    """Best plan by the assignment problem, sample by sample."""
    batch, height, width = mask.shape
    place = torch.arange(height * width)
    row, column = place // width, place % width
    squared = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    plans = []
    for index in range(batch):
        share = saliency[index].double().flatten() / saliency[index].double().sum()
        gain = (mask[index].flatten() > 0)[:, None] * share - COST / max(height - 1, width - 1) ** 2 * squared
        plans.append(torch.from_numpy(linear_sum_assignment(gain.numpy(), maximize=True)[1]))
    return torch.stack(plans).reshape(mask.shape)


def peaked(batch, side, cells, power, seed):
    generator = torch.Generator().manual_seed(seed)
    saliency = torch.rand((batch, side, side), generator=generator) ** power
    mask = torch.randint(0, 2, (batch, cells, cells), generator=generator).float()
    scale = side // cells
    return mask.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2), saliency


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(1, 30))
def test_a_plan_is_a_permutation_that_gains(seed, batch, height, width, power):
    generator = torch.Generator().manual_seed(seed)
    saliency = torch.rand((batch, height, width), generator=generator) ** power
    mask = torch.randint(0, 3, (batch, height, width), generator=generator) / 2
    plan = transport.plan(mask, saliency, COST)
    assert plan.dtype == torch.int64
    assert torch.equal(plan.flatten(1).sort(dim=1).values, identity(batch, height, width).flatten(1))
    if height * width > 1:
        gain = objective(mask, saliency, plan) - objective(mask, saliency, identity(batch, height, width))
        assert gain.min() >= -1e-6


@pytest.mark.parametrize(("cells", "power"), [(2, 8), (4, 20), (8, 8), (16, 20)])
def test_plans_reach_most_of_the_optimal_gain(cells, power):
    mask, saliency = peaked(4, 16, cells, power, seed=cells)
    stay = objective(mask, saliency, identity(4, 16, 16))
    reached = objective(mask, saliency, transport.plan(mask, saliency, COST)) - stay
    possible = objective(mask, saliency, optimum(mask, saliency)) - stay
    assert possible.sum() > 0.01
    assert (reached <= possible + 1e-6).all()
    assert reached.sum() > 0.8 * possible.sum()


def test_one_salient_block_by_hand():
    # 9 blocks a side: moving d blocks costs 0.8 d^2 / 64 there and as much for the block that makes way.
    saliency = torch.zeros(3, 9, 9)
    saliency[:, 4, 4] = 1.0
    mask = torch.zeros(3, 9, 9)
    mask[0, 4, 7] = 1  # 3 away: gain 1 - 2 * 0.1125
    mask[1, 4, 8] = 1  # 4 away: gain 1 - 2 * 0.2
    mask[2, 4, 4] = 1  # there already
    plan = transport.plan(mask, saliency, COST)
    assert plan[0, 4, 7] == plan[1, 4, 8] == plan[2, 4, 4] == 4 * 9 + 4
    gain = objective(mask, saliency, plan) - objective(mask, saliency, identity(3, 9, 9))
    assert gain.min() >= 0
    assert gain[0] >= 1 - 2 * 0.8 * 9 / 64 - 1e-6
    assert share_moved(plan[2:]) == 0
    # At ten times the cost no move pays (2 * 8 * 9 / 64 > 1).
    assert torch.equal(transport.plan(mask, saliency, 10 * COST), identity(3, 9, 9))


def test_the_official_cost_on_256_px():
    """64 x 64 blocks: a lone block of share s moves d blocks where s > 2 * 0.8 d^2 / 63^2."""
    distance, unit = 3, 0.8 / 63**2
    for factor, moves in ((1.05, True), (0.95, False)):
        saliency = torch.zeros(1, 64, 64)
        saliency[0, 20, 20] = share = 2 * unit * distance**2 * factor
        saliency[0, 50, 50] = 1 - share
        mask = torch.zeros(1, 64, 64)
        mask[0, 20, 20 + distance] = mask[0, 50, 50] = 1
        plan = transport.plan(mask, saliency, COST)
        assert (plan[0, 20, 20 + distance] == 20 * 64 + 20) == moves


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_uniform_mask_moves_nothing(value):
    saliency = peaked(2, 16, 4, 20, 0)[1]
    plan = transport.plan(torch.full((2, 16, 16), value), saliency, COST)
    assert torch.equal(plan, identity(2, 16, 16))


def test_the_scale_of_the_saliency_does_not_matter():
    mask, saliency = peaked(2, 16, 4, 20, 1)
    assert torch.equal(transport.plan(mask, saliency, COST), transport.plan(mask, saliency * 1e-6, COST))


def test_samples_do_not_touch_each_other():
    mask, saliency = peaked(5, 16, 4, 20, 2)
    together = transport.plan(mask, saliency, COST)
    assert torch.equal(together[3:4], transport.plan(mask[3:4], saliency[3:4], COST))


def test_apply_moves_whole_blocks_by_hand():
    plan = torch.tensor([[[1, 0], [2, 3]]])
    image = torch.arange(16).reshape(1, 4, 4)
    expected = [[2, 3, 0, 1], [6, 7, 4, 5], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert transport.apply(plan, image).tolist() == [expected]
    assert transport.apply(plan, image[:, None].expand(-1, 2, -1, -1)).tolist() == [[expected, expected]]
    assert transport.apply(plan, torch.tensor([[[5, 6], [7, 8]]])).tolist() == [[[6, 5], [7, 8]]]


def test_apply_treats_image_labels_and_predictions_alike():
    mask, saliency = peaked(3, 8, 4, 20, 3)
    plan = transport.plan(mask, saliency, COST)
    assert share_moved(plan) > 0
    labels = torch.randint(0, 5, (3, 32, 32))
    onehot = torch.nn.functional.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    moved = transport.apply(plan, labels)
    assert torch.equal(transport.apply(plan, onehot).argmax(dim=1), moved)
    assert torch.equal(transport.apply(plan, labels.float()).long(), moved)
    assert torch.equal(moved.flatten(1).sort(dim=1).values, labels.flatten(1).sort(dim=1).values)


def test_gradient_returns_to_the_block_it_came_from():
    plan = torch.tensor([[[3, 1], [2, 0]]])
    image = torch.zeros(1, 1, 2, 2, requires_grad=True)
    weight = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    (transport.apply(plan, image) * weight).sum().backward()
    assert image.grad.tolist() == [[[[4.0, 2.0], [3.0, 1.0]]]]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"one shape \(B, h, w\), got \(1, 4, 4\) and \(1, 4, 5\)"):
        transport.plan(torch.zeros(1, 4, 4), torch.zeros(1, 4, 5), COST)
    with pytest.raises(ValueError, match="cost_weight >= 0, got -1"):
        transport.plan(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), -1)
    with pytest.raises(ValueError, match=r"H a multiple of 4 .* got \(1, 6, 8\)"):
        transport.apply(identity(1, 4, 4), torch.zeros(1, 6, 8))
