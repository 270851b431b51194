"""Moving averages of networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cyclemix.networks.ema import Teacher, move_towards, warmed_up


def linear(value: float) -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, value)
    return net


def test_the_average_moves_by_its_share_of_the_difference() -> None:
    average = linear(2.0)
    move_towards(average, linear(6.0), 0.75)
    assert average.weight.item() == pytest.approx(3.0)


def test_the_warm_up_gives_the_first_steps_more_weight() -> None:
    assert warmed_up(0.99, 1) == pytest.approx(2 / 11)
    assert warmed_up(0.99, 100000) == 0.99
    assert warmed_up(0.0, 5) == 0.0


def test_a_teacher_follows_takes_no_gradient_and_stays_in_evaluation_mode() -> None:
    net = nn.Sequential(linear(1.0), nn.Dropout(0.5))
    teacher = Teacher(net)
    nn.ModuleDict({"teacher": teacher}).train()
    assert not teacher.net.training
    assert not any(p.requires_grad for p in teacher.parameters())
    nn.init.constant_(net[0].weight, 5.0)
    teacher.follow(net, decay=0.5, step=1000)
    assert teacher(torch.ones(1, 1)).item() == pytest.approx(3.0)
