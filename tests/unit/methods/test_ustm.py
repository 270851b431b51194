"""USTM: the teacher's update, the gate and the ramp, by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Slices
from cyclemix.methods.ustm import USTM, entropy, gated_distance, rampup
from cyclemix.networks.unet import UNet

CLASSES, SIDE = 4, 16
SLICES = Slices(torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), ["a"])


class Grey(torch.nn.Module):
    """The grey value, times a weight, is the logit of class 1 against class 0."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([0 * image, self.weight * image], dim=1)


def create(net: torch.nn.Module, **config: object) -> USTM:
    method = methods.create("ustm", config, 2, "test")
    assert isinstance(method, USTM)
    method.modules(net, SLICES)
    return method


def batch(step: int) -> Batch:
    image = torch.linspace(-3, 3, SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
    target = torch.full((1, SIDE, SIDE), UNLABELLED)
    return Batch(image, target, step, torch.tensor([0]))


def test_the_teacher_moves_by_its_share_of_the_difference() -> None:
    net = Grey(2.0)
    method = create(net, decay=0.9)
    with torch.no_grad():
        net.weight.fill_(6.0)
    method.after_step(net, net, SLICES, 1000)
    assert method.teacher.net.weight.item() == pytest.approx(2.0 + 0.1 * 4.0)
    assert not method.teacher.net.weight.requires_grad


def test_the_ramp_ends_at_one() -> None:
    assert rampup(0, 100) == pytest.approx(exp(-5))
    assert rampup(50, 100) == pytest.approx(exp(-1.25))
    assert rampup(100, 100) == rampup(1000, 100) == 1


def test_entropy_in_nats_and_of_certainty() -> None:
    scores = torch.tensor([[0.5, 0.5], [1.0, 0.0]])[:, :, None, None]
    assert entropy(scores).flatten().tolist() == pytest.approx([log(2), 0])


def test_the_gate_leaves_uncertain_pixels_out() -> None:
    """Squared distances 2 * 0.25^2 and 2 * 1^2: half the mean of those that count."""
    scores = torch.tensor([[[[0.5, 1.0]], [[0.5, 0.0]]]])
    taught = torch.tensor([[[[0.25, 0.0]], [[0.75, 1.0]]]])
    for sure, expected in (((True, False), 0.0625), ((True, True), 0.53125), ((False, False), 0.0)):
        assert gated_distance(scores, taught, torch.tensor([[sure]])).item() == pytest.approx(expected)


def test_the_threshold_rises_with_the_ramp() -> None:
    """A teacher of entropy 0.6: above 0.75 ln 2 = 0.52 at the start, below ln 2 = 0.69 at the end."""
    image = torch.full((1, 1, SIDE, SIDE), 1.0)
    target = torch.full((1, SIDE, SIDE), UNLABELLED)
    teacher = Grey(log(0.71 / 0.29))  # entropy 0.602
    method = create(teacher, noise=0.0, views=1, rampup_steps=100)
    for step, counts in ((0, False), (100, True)):
        terms = method.losses(Grey(0.0), Batch(image, target, step, torch.tensor([0])), torch.Generator())
        assert terms["consistency"].item() == pytest.approx(0.21**2 if counts else 0)


@pytest.mark.parametrize("step", range(4))
def test_network_and_teacher_are_compared_pixel_by_pixel_under_every_turn(step: int) -> None:
    net = Grey(3.0)
    method = create(net, noise=0.0, rampup_steps=1)
    assert method.losses(net, batch(step), torch.Generator())["consistency"].item() == pytest.approx(0)


def test_noise_is_cut_off_and_drawn_from_the_generator() -> None:
    net = Grey(1.0)
    method = create(net, noise=10.0, noise_limit=0.2, rampup_steps=1)
    first, second = (
        method.losses(net, batch(1), torch.Generator().manual_seed(0))["consistency"].item() for _ in range(2)
    )
    assert first == second
    assert 0 < first < (0.2 / 4) ** 2  # a logit off by 0.2 moves a probability by a quarter of it at most


def test_gradients_reach_the_network_through_both_terms_and_never_the_teacher() -> None:
    torch.manual_seed(0)
    net = UNet(CLASSES, base_filters=4, levels=2)
    method = methods.create("ustm", {"views": 2, "rampup_steps": 1}, CLASSES, "test")
    teacher = method.modules(net, SLICES)["teacher"]
    torch.nn.init.normal_(teacher.net.head.weight, std=30)  # a sure teacher of another mind
    data = batch(1)
    data.target[:, 4:8, 4:8] = 1
    for term in ("pce", "consistency"):
        net.zero_grad()
        method.losses(net, data, torch.Generator().manual_seed(0))[term].backward()
        assert net.head.weight.grad.abs().sum() > 0, term
        assert all(p.grad is None for p in teacher.parameters())
