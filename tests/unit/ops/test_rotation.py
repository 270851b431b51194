"""Rotation: quarter turns are exact, the inverse restores the labels, the mask marks what has a source."""

from __future__ import annotations

import math

import pytest
import torch

from cyclemix.ops import rotation


def smooth(batch=3, channels=2, side=32):
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    planes = [torch.sin(3 * x + i) + torch.cos(2 * y - i) for i in range(batch * channels)]
    return torch.stack(planes).reshape(batch, channels, side, side)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_exact_and_clockwise(mode, turns):
    x = smooth()
    turned = rotation.rotate(x, torch.full((3,), turns * math.pi / 2), mode)
    torch.testing.assert_close(turned, torch.rot90(x, -turns, (2, 3)), atol=2e-5, rtol=0)


def test_each_sample_has_its_own_angle():
    x = smooth()
    turned = rotation.rotate(x, torch.tensor([0.0, math.pi / 2, math.pi]))
    expected = torch.stack([torch.rot90(x[i], -i, (1, 2)) for i in range(3)])
    torch.testing.assert_close(turned, expected, atol=2e-5, rtol=0)


def test_turning_back_comes_home_where_the_mask_says_so():
    x, angle = smooth(), torch.tensor([0.3, 2.0, -1.1])
    home = rotation.rotate(rotation.rotate(x, angle), -angle)
    inside = rotation.valid_mask(-angle, 32, 32)
    error = (home - x).abs().amax(dim=1)
    # One pixel further in, both interpolations read inside the frame; the curvature bounds their error.
    core = torch.nn.functional.avg_pool2d(inside.float(), 3, stride=1, padding=1) > 0.999
    assert error[core].max() < 0.02
    assert 0.6 < inside.float().mean() < 1


def test_valid_mask_matches_what_reads_a_constant():
    angle = torch.tensor([0.0, 0.5, math.pi / 4, math.pi / 2, 4.0])
    ones = rotation.rotate(torch.ones(5, 1, 21, 33), angle)
    assert torch.equal(rotation.valid_mask(angle, 21, 33), ones[:, 0] > 1 - 1e-3)


def test_mask_of_45_degrees_is_the_octagon():
    # A square turned by 45 degrees covers 2 (sqrt(2) - 1) of itself.
    share = rotation.valid_mask(torch.tensor([math.pi / 4]), 200, 200).float().mean().item()
    assert share == pytest.approx(2 * (math.sqrt(2) - 1), abs=0.01)


def test_outside_reads_zero():
    angle = torch.tensor([math.pi / 4])
    assert rotation.rotate(torch.ones(1, 1, 16, 16), angle)[0, 0, 0, 0] == 0


def test_gradient_flows_and_sums_to_what_was_read():
    x = smooth().requires_grad_()
    rotation.rotate(x, torch.full((3,), math.pi / 2)).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x), atol=1e-4, rtol=0)


def test_angles_are_uniform_and_seeded():
    angles = rotation.random_angles(2000, torch.Generator().manual_seed(0), "cpu")
    assert angles.min() >= 0
    assert angles.max() < 2 * math.pi
    assert angles.mean().item() == pytest.approx(math.pi, abs=0.15)
    assert torch.equal(angles, rotation.random_angles(2000, torch.Generator().manual_seed(0), "cpu"))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"one angle per sample, shape \(2,\), got \(3,\)"):
        rotation.rotate(torch.zeros(2, 1, 4, 4), torch.zeros(3))
    with pytest.raises(ValueError, match=r"floating \(B, C, H, W\) tensor, got torch.int64"):
        rotation.rotate(torch.zeros(2, 1, 4, 4, dtype=torch.int64), torch.zeros(2))
