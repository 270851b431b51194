"""Slices and batches without a single mark: no method's loss or gradient may become NaN or infinite.

And with marks every term has a gradient.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nets import batch_of, losses
from rows import BLOCKS, small

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method, Slices
from cyclemix.networks.registry import build_network

SIDE, COUNT, CLASSES = 64, 2, 4
LATE = 10_000
"""A step at which every ramp and every late term is on."""

UNSURE = {("scribble2label", "pseudo"), ("sdtnet", "pseudo"), ("ustm", "consistency")}
"""Terms of pixels that an average or a teacher is sure of: there is none in the first step of a training."""


def unmarked(marked: int) -> torch.Tensor:
    """(COUNT,SIDE,SIDE) targets of which the first ``marked`` have a stroke of each class."""
    target = torch.full((COUNT, SIDE, SIDE), UNLABELLED)
    for value in range(CLASSES):
        target[:marked, 8 * value + 4, 4:40] = value
    return target


def made(name: str, marked: int) -> tuple[Method, torch.nn.ModuleDict, Batch]:
    """A method with its row's settings, all its parts, and a batch of its slices as step 0 gets it."""
    image = torch.randn((COUNT, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    target, masks = unmarked(marked), None
    if BLOCKS[name].supervision == "scribble+masks":
        masks = torch.zeros((COUNT, SIDE, SIDE), dtype=torch.long)
        masks[:, 20:40, 20:40] = 1
    lent = None if masks is None else masks.to(torch.uint8)
    slices = Slices(image, target.to(torch.uint8), [f"case{i}" for i in range(COUNT)], lent)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build_network(small(name), CLASSES).train()
        method = methods.create(name, BLOCKS[name].config, CLASSES, name)
        parts = torch.nn.ModuleDict({"net": net, **method.modules(net, slices)})
    return method, parts, Batch(image, target, 0, torch.arange(COUNT), masks=masks)


@pytest.mark.parametrize("marked", [0, 1], ids=["batch without a mark", "one slice without a mark"])
@pytest.mark.parametrize("name", methods.names())
def test_losses_and_gradients_are_finite(name: str, marked: int) -> None:
    method, parts, batch = made(name, marked)
    draw = torch.Generator().manual_seed(1)
    for step in (0, LATE):
        terms = method.losses(parts["net"], replace(batch, step=step), draw)
        assert all(value.isfinite() for value in terms.values()), (step, terms)
        parts.zero_grad()
        sum(terms.values()).backward()
        wrong = [
            key for key, p in parts.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
        ]
        assert not wrong, (step, wrong)


@pytest.mark.parametrize("name", methods.names())
def test_every_term_teaches(name: str) -> None:
    method, parts, batch = made(name, marked=1)
    terms = method.losses(parts["net"], replace(batch, step=LATE), torch.Generator().manual_seed(1))
    for term, value in terms.items():
        parts.zero_grad()
        value.backward(retain_graph=True)
        reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in parts.parameters())
        assert reached == ((name, term) not in UNSURE), term


@pytest.mark.parametrize("name", ["unet_pce", "unet_wpce", "cutmix", "cutout", "mixup", "comixup"])
def test_supervised_terms_are_zero_without_a_mark(name: str) -> None:
    image = torch.randn((COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = torch.nn.Conv2d(1, CLASSES, 1)
    target = torch.full((COUNT, 8, 8), UNLABELLED)
    total = sum(losses(name, CLASSES, logits, batch_of(image, target)).values())
    total.backward()
    assert total.item() == 0
    assert logits.weight.grad.abs().sum() == 0
