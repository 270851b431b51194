"""What CycleMix+ adds: absent classes, adjacency, a teacher, labels of its own."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import nn

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Slices
from cyclemix.methods.cyclemix import MixedView
from cyclemix.methods.cyclemix_plus import CycleMixPlus, Memory, absent_loss, adjacency_loss, taught_loss
from cyclemix.ops.puzzlemix import Mix

SIDE = 32


def slices(count: int = 4) -> Slices:
    """Class 1 and background scribbled in all, class 2 in the first alone; class 3 nowhere."""
    target = torch.full((count, SIDE, SIDE), UNLABELLED, dtype=torch.uint8)
    target[:, 0, :], target[:, 10, 8:20], target[0, 20, 8:20] = 0, 1, 2
    image = torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Slices(image, target, [f"case{i}" for i in range(count)])


def create(**config: object) -> CycleMixPlus:
    method = methods.create("cyclemix_plus", config, 4, "test")
    assert isinstance(method, CycleMixPlus)
    return method


def batch(data: Slices) -> Batch:
    return Batch(data.image, data.target.long(), 0, torch.arange(len(data.case)))


def test_absent_classes_cost_the_log_of_what_is_left() -> None:
    """Four equal classes, two of them absent: -log(1 - 1/2)."""
    present = torch.tensor([[True, True, False, False], [True, True, True, True]])
    loss = absent_loss(torch.zeros(2, 4, 5, 5), present)
    assert loss.item() == pytest.approx(log(2) / 2)


def test_a_ring_closes_the_pool_and_a_gap_costs_its_contacts() -> None:
    labels = torch.zeros(1, 7, 7, dtype=torch.int64)
    labels[0, 1:6, 1:6] = 2
    labels[0, 2:5, 2:5] = 3
    scores = nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    assert adjacency_loss(scores, [(3, 2)]).item() == 0
    labels[0, 1, 3] = 0  # above the middle of the pool's upper row: one contact, nine pixels
    scores = nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    assert adjacency_loss(scores, [(3, 2)]).item() == pytest.approx(1 / 9)


def test_the_teacher_is_followed_where_it_is_sure() -> None:
    """Half of the visible pixels have a sure target; uniform logits cost log 2 there."""
    scores = torch.full((1, 2, 4, 4), 0.5)
    scores[:, 0, :2], scores[:, 1, :2] = 1.0, 0.0
    mix = Mix(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4), torch.tensor([0]), None)
    view = MixedView(mix, torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))
    assert taught_loss(view, scores, 0.8).item() == pytest.approx(log(2) / 2)


def test_memory_knows_what_was_scribbled() -> None:
    memory = Memory(slices(2), 4)
    assert memory.present.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert (memory.labels == UNLABELLED).all()


def test_labels_of_the_second_stage_are_sure_connected_and_keep_the_scribbles() -> None:
    data = slices(1)
    memory = Memory(data, 4)
    labels = torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    labels[0, 2:8, 2:8] = 3
    labels[0, 28:30, 28:30] = 3  # an island: neither class 3 nor sure background
    probs = nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    probs[:, :, 15] = 0.25  # an unsure row
    memory.label(probs, data, 0.9)
    made = memory.labels[0]
    assert (made[2:8, 2:8] == 3).all()
    assert (made[28:30, 28:30] == UNLABELLED).all()
    assert (made[15] == UNLABELLED).all()
    assert (made[10, 8:20] == 1).all()
    assert made[13, 3] == 0


def test_terms_and_what_a_weight_of_zero_leaves_out() -> None:
    data = slices()
    net = nn.Conv2d(1, 4, 3, padding=1)
    method = create(enclosed=[[3, 2]], weight_adjacent=1.0)
    method.modules(net, data)
    terms = method.losses(net, batch(data), torch.Generator().manual_seed(0))
    names = ["unmix", "mix", "global", "local", "absent", "adjacent", "teacher", "pseudo"]
    assert list(terms) == names
    assert terms["teacher"].item() == 0  # its ramp begins at step 0
    assert terms["pseudo"].item() == 0  # no labels yet
    plain = create(weight_absent=0, weight_teacher=0, weight_pseudo=0)
    assert list(plain.modules(net, data)) == ["memory"]
    terms = plain.losses(net, batch(data), torch.Generator().manual_seed(0))
    assert list(terms) == ["unmix", "mix", "global", "local"]


def test_the_second_stage_begins_and_repeats_at_its_steps() -> None:
    data = slices(2)
    net = nn.Conv2d(1, 4, 1)
    nn.init.zeros_(net.weight)
    net.bias = nn.Parameter(torch.tensor([9.0, 0.0, 0.0, 0.0]))
    method = create(weight_teacher=0, pseudo_from_step=3, pseudo_every_steps=2)
    memory = method.modules(net, data)["memory"]
    method.after_step(net, net.eval(), data, 2)
    assert (memory.labels == UNLABELLED).all()
    method.after_step(net, net.eval(), data, 3)
    assert ((memory.labels == 0) | (data.target != UNLABELLED)).all()
    memory.labels.fill_(UNLABELLED)
    method.after_step(net, net.eval(), data, 4)
    assert (memory.labels == UNLABELLED).all()
    method.after_step(net, net.eval(), data, 5)
    assert (memory.labels[:, 2] == 0).all()
