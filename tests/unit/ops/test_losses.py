"""Loss terms on inputs small enough to do by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.ops.losses import cosine_distance, mixed_cross_entropy, partial_cross_entropy

U = UNLABELLED


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    """(1,C,1,W) logits whose softmax is the given distribution of each pixel."""
    return torch.tensor(probabilities).log().T[None, :, None, :]


TWO_PIXELS = logits_of([[0.5, 0.5], [0.25, 0.75]])


def test_partial_cross_entropy_averages_over_labelled_pixels() -> None:
    target = torch.tensor([[[0, 1]]])
    assert partial_cross_entropy(TWO_PIXELS, target).item() == pytest.approx((log(2) + log(4 / 3)) / 2)
    target = torch.tensor([[[U, 1]]])
    assert partial_cross_entropy(TWO_PIXELS, target).item() == pytest.approx(log(4 / 3))


def test_pixel_reduction_counts_unlabelled_pixels_as_zero() -> None:
    target = torch.tensor([[[U, 1]]])
    assert partial_cross_entropy(TWO_PIXELS, target, reduction="pixels").item() == pytest.approx(
        log(4 / 3) / 2
    )


def test_nothing_labelled_gives_zero_and_a_zero_gradient() -> None:
    logits = TWO_PIXELS.clone().requires_grad_()
    loss = partial_cross_entropy(logits, torch.full((1, 1, 2), U))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_weights_shift_the_mean() -> None:
    weight = torch.tensor([[[3.0, 1.0]]])
    expected = (3 * log(2) + log(4 / 3)) / 4
    assert partial_cross_entropy(TWO_PIXELS, torch.tensor([[[0, 1]]]), weight).item() == pytest.approx(
        expected
    )


def test_mixed_cross_entropy_shares_by_ratio() -> None:
    first, second = torch.tensor([[[0, U]]]), torch.tensor([[[1, 1]]])
    ratio = torch.tensor([[[0.5, 0.25]]])
    visible = torch.ones(1, 1, 2, dtype=torch.bool)
    # first image: pixel 0 with .5; second: pixel 0 with .5, pixel 1 with .25
    expected = (0.5 * log(2) + 0.5 * log(2) + 0.25 * log(4 / 3)) / 1.25
    got = mixed_cross_entropy(TWO_PIXELS, (first, second), ratio, visible)
    assert got.item() == pytest.approx(expected)
    pixels = mixed_cross_entropy(TWO_PIXELS, (first, second), ratio, visible, reduction="pixels")
    assert pixels.item() == pytest.approx(expected * 1.25 / 2)


def test_occluded_pixels_teach_nothing() -> None:
    target = torch.tensor([[[0, 1]]])
    visible = torch.tensor([[[True, False]]])
    got = mixed_cross_entropy(TWO_PIXELS, (target, target), torch.zeros(1, 1, 2), visible)
    assert got.item() == pytest.approx(log(2))


def test_cosine_distance_of_equal_orthogonal_and_slanted_scores() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]).T[None, :, None, :]
    second = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).T[None, :, None, :]
    expected = (0 + 1 + 1 - 2**-0.5) / 3
    assert cosine_distance(first, second).item() == pytest.approx(expected, abs=1e-6)
    visible = torch.tensor([[[True, True, False]]])
    assert cosine_distance(first, second, visible).item() == pytest.approx(0.5, abs=1e-6)


def test_cosine_distance_sends_gradients_both_ways() -> None:
    first = torch.tensor([[[[0.9]], [[0.1]]]], requires_grad=True)
    second = torch.tensor([[[[0.1]], [[0.9]]]], requires_grad=True)
    cosine_distance(first, second).backward()
    assert first.grad.abs().sum() > 0
    assert second.grad.abs().sum() > 0
