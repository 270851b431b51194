"""What is particular to the Mumford-Shah functional: grey values inside a class should be one value."""

from __future__ import annotations

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.mumford_shah import level_set

INSIDE = torch.ones(1, 1, 4, dtype=torch.bool)
GREY = torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]])


def shares(first: list[float]) -> torch.Tensor:
    """Two classes over four pixels, given the first one's share."""
    share = torch.tensor(first)
    return torch.stack([share, 1 - share])[None, :, None, :]


def test_regions_of_one_grey_value_cost_nothing() -> None:
    assert level_set(shares([1, 1, 0, 0]), GREY, INSIDE).item() == pytest.approx(0)


def test_mixed_regions_cost_their_variance() -> None:
    # each class holds half of everything: mean 1/2, squared distance 1/4 at every pixel
    assert level_set(shares([0.5] * 4), GREY, INSIDE).item() == pytest.approx(0.25)
    # class 0 holds grey 0, 0, 1: mean 1/3, distances 1/9 + 1/9 + 4/9; class 1 holds one pixel
    assert level_set(shares([1, 1, 1, 0]), GREY, INSIDE).item() == pytest.approx(6 / 9 / 4)


def test_the_images_scale_does_not_matter() -> None:
    assert level_set(shares([0.5] * 4), 7 * GREY - 3, INSIDE).item() == pytest.approx(0.25)


def test_pixels_from_outside_do_not_count() -> None:
    inside = torch.tensor([[[True, True, False, False]]])
    assert level_set(shares([0.5] * 4), GREY, inside).item() == pytest.approx(0)


def test_terms_and_their_weights() -> None:
    target = torch.full((1, 1, 4), UNLABELLED)
    net = Fixed(shares([1, 1, 1, 0]).clamp_min(1e-30))
    terms = losses("mumford_shah", 2, net, batch_of(GREY, target), weight_level_set=2, weight_length=0.5)
    assert list(terms) == ["pce", "level_set", "length"]
    assert terms["level_set"].item() == pytest.approx(2 * 6 / 9 / 4)
    assert terms["length"].item() == pytest.approx(0.5 * 2 / 4)  # one edge, both classes, four pixels
    assert terms["pce"].item() == 0


def test_an_absent_class_keeps_the_gradient_finite() -> None:
    net = Fixed(per_class(1.0, 1e-38))
    terms = losses("mumford_shah", 2, net, batch_of(GREY, torch.zeros(1, 1, 4, dtype=torch.int64)))
    sum(terms.values()).backward()
    assert net.logits.grad.isfinite().all()
