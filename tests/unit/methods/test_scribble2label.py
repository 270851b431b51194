"""Scribble2Label: the average, the labels that it gives and where they count."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, per_class

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method, Slices
from cyclemix.methods.scribble2label import Average, Scribble2Label
from cyclemix.ops.augment import SpatialTransform

SIDE = 16


def network(sure: float) -> Fixed:
    """Probability ``sure`` of class 1 everywhere, of two classes."""
    return Fixed(per_class(1 - sure, sure))


def slices(count: int = 3) -> Slices:
    image = torch.ones(count, 1, SIDE, SIDE)
    image[:, :, 0] = 0  # a row of padding
    target = torch.full((count, SIDE, SIDE), UNLABELLED, dtype=torch.uint8)
    target[:, 4, 4], target[:, 8, 8] = 0, 1
    return Slices(image, target, [f"case{i}" for i in range(count)])


def create(data: Slices, **config: object) -> Method:
    method = methods.create("scribble2label", config, 2, "test")
    method.modules(network(0.5), data)
    return method


def test_the_average_starts_at_the_first_prediction_and_moves_by_alpha() -> None:
    data = slices()
    method = create(data, period_steps=10, alpha=0.25)
    assert isinstance(method, Scribble2Label)
    seen = []
    for step, sure in ((9, 0.9), (10, 0.6), (11, 0.9), (20, 0.8)):
        method.after_step(network(0.5), network(sure).eval(), data, step)
        seen.append(method.average.scores[0, 1, 5, 5].item())
    assert seen == pytest.approx([0, 0.6, 0.6, 0.6 + 0.25 * 0.2], abs=1e-3)


def test_labels_are_above_the_threshold_and_inside_the_image() -> None:
    average = Average(slices(1), 3)
    average.scores[0, :, 2, 2] = torch.tensor([0.1, 0.1, 0.8001])
    average.scores[0, :, 3, 3] = torch.tensor([0.9, 0.1, 0.0])
    average.scores[0, :, 4, 4] = torch.tensor([0.3, 0.7, 0.0])
    average.scores[0, :, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    labels = average.labels(torch.tensor([0]), 0.8)[0]
    assert (labels[2, 2].item(), labels[3, 3].item()) == (2, 0)
    assert (labels != UNLABELLED).sum() == 2


def test_pseudo_labels_join_after_the_warm_up_beside_the_scribbles() -> None:
    """The average says 1 everywhere, the scribbles keep their say, and the network is at one half."""
    data = slices()
    method = create(data, warmup_steps=5, period_steps=1)
    method.after_step(network(0.5), network(0.99).eval(), data, 1)
    for step, expected in ((4, 0.0), (5, 0.5 * log(4))):
        batch = batch_of(data.image, data.target.long(), step)
        terms = method.losses(network(0.25), batch, torch.Generator())
        assert terms["pce"].item() == pytest.approx((log(4) + log(4 / 3)) / 2)
        assert terms["pseudo"].item() == pytest.approx(expected)


def test_labels_are_those_of_the_drawn_slices_and_move_with_them() -> None:
    data = slices()
    method = create(data, warmup_steps=0)
    assert isinstance(method, Scribble2Label)
    method.average.scores[2, 1, 1:, :8] = 1
    flip = torch.linspace(1 - 1 / SIDE, -1 + 1 / SIDE, SIDE)
    y = torch.linspace(-1 + 1 / SIDE, 1 - 1 / SIDE, SIDE)
    where = torch.stack(torch.broadcast_tensors(flip[None, :], y[:, None]), dim=-1)[None]

    class RightHalf(torch.nn.Module):
        """Class 1 in the right half, where the flip brings the labels."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(1, 2, SIDE, SIDE)
            logits[:, 1, :, 8:], logits[:, 0, :, :8] = 50, 50
            return logits

    nowhere = torch.full((1, SIDE, SIDE), UNLABELLED)
    batch = Batch(data.image[2:], nowhere, 0, torch.tensor([2]), SpatialTransform(where))
    assert method.losses(RightHalf(), batch, torch.Generator())["pseudo"].item() == pytest.approx(0)
    batch = Batch(data.image[2:], nowhere, 0, torch.tensor([2]))
    assert method.losses(RightHalf(), batch, torch.Generator())["pseudo"].item() == pytest.approx(25)
