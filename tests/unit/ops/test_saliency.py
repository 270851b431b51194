"""Saliency and its block sums on numbers that a person can check."""

from __future__ import annotations

import pytest
import torch

from cyclemix.ops.saliency import block_distribution, distribution, saliency


def test_saliency_is_the_root_mean_square_over_channels():
    gradient = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert saliency(gradient).item() == pytest.approx((25 / 2) ** 0.5)
    one_channel = torch.tensor([[-2.0, 0.5]]).reshape(1, 1, 1, 2)
    assert saliency(one_channel).tolist() == [[[2.0, 0.5]]]


def test_blocks_hold_their_share():
    values = torch.zeros(2, 4, 8)
    values[0, :2, :2] = 1.0
    values[0, 2:, 6:] = 3.0
    shares = block_distribution(values, 2)
    assert shares[0].tolist() == [[0.25, 0, 0, 0], [0, 0, 0, 0.75]]
    assert shares[1].tolist() == [[0.125] * 4] * 2  # no saliency at all: uniform


def test_tiny_gradients_are_scaled_too():
    torch.testing.assert_close(distribution(torch.full((1, 2, 2), 1e-30)), torch.full((1, 2, 2), 0.25))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"gradient \(B, C, H, W\), got \(2, 4, 4\)"):
        saliency(torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match="blocks of 3 px do not divide an image of 4 x 4 px"):
        block_distribution(torch.zeros(2, 4, 4), 3)
