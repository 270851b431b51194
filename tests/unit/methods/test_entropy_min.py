"""What is particular to entropy minimisation."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix.config.labels import UNLABELLED


def terms(net: Fixed) -> dict[str, torch.Tensor]:
    target = torch.full((1, 2, 2), UNLABELLED)
    target[0, 0, 0] = 1
    return losses("entropy_min", 4, net, batch_of(torch.zeros(1, 1, 2, 2), target))


def test_entropy_is_one_without_an_idea_and_zero_when_sure() -> None:
    got = terms(Fixed(per_class(0.25, 0.25, 0.25, 0.25)))
    assert list(got) == ["pce", "entropy"]
    assert got["pce"].item() == pytest.approx(log(4))
    assert got["entropy"].item() == pytest.approx(0.1)
    assert terms(Fixed(per_class(1 - 3e-9, 1e-9, 1e-9, 1e-9)))["entropy"].item() == pytest.approx(0, abs=1e-6)


def test_entropy_is_averaged_over_all_pixels() -> None:
    halves = torch.tensor([0.5, 0.5, 1e-30, 1e-30])
    sure = torch.tensor([1.0, 1e-30, 1e-30, 1e-30])
    pixels = torch.stack([halves, sure, sure, sure]).T.reshape(1, 4, 2, 2)
    assert terms(Fixed(pixels))["entropy"].item() == pytest.approx(0.1 * log(2) / log(4) / 4)


def test_descent_sharpens_a_prediction() -> None:
    net = Fixed(per_class(0.4, 0.2, 0.2, 0.2))
    terms(net)["entropy"].backward()
    slope = net.logits.grad.flatten()
    assert slope[0] < 0
    assert (slope[1:] > 0).all()
