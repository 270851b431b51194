"""Grey values on a common scale."""

from __future__ import annotations

import torch

from cyclemix.ops.intensity import unit_range


def test_each_sample_fills_its_own_range() -> None:
    image = torch.tensor([[[[-2.0, 0.0, 2.0]]], [[[5.0, 6.0, 9.0]]]])
    assert unit_range(image).tolist() == [[[[0, 0.5, 1]]], [[[0, 0.25, 1]]]]


def test_a_flat_sample_becomes_zero() -> None:
    assert torch.equal(unit_range(torch.full((1, 1, 2, 2), 3.0)), torch.zeros(1, 1, 2, 2))
