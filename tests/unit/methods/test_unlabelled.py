"""Slices and batches without a single mark: no method's loss or gradient may become NaN or infinite."""

from __future__ import annotations

import pytest
import torch
from nets import batch_of, losses
from rows import BLOCKS, small

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Slices
from cyclemix.networks.registry import build_network

SIDE, COUNT, CLASSES = 64, 2, 4
LATE = 10_000
"""A step at which every ramp and every late term is on."""

ONE_A_METHOD = {block.method: label for label, block in reversed(BLOCKS.items())}


def unmarked(marked: int) -> torch.Tensor:
    """(COUNT,SIDE,SIDE) targets of which the first ``marked`` have a stroke of each class."""
    target = torch.full((COUNT, SIDE, SIDE), UNLABELLED)
    for value in range(CLASSES):
        target[:marked, 8 * value + 4, 4:40] = value
    return target


@pytest.mark.parametrize("marked", [0, 1], ids=["batch without a mark", "one slice without a mark"])
@pytest.mark.parametrize("name", sorted(ONE_A_METHOD))
def test_losses_and_gradients_are_finite(name: str, marked: int) -> None:
    block = BLOCKS[ONE_A_METHOD[name]]
    draw = torch.Generator().manual_seed(0)
    image = torch.randn((COUNT, 1, SIDE, SIDE), generator=draw)
    target = unmarked(marked)
    masks = torch.zeros((COUNT, SIDE, SIDE), dtype=torch.long)
    masks[:, 20:40, 20:40] = 1
    lent = masks.to(torch.uint8) if block.supervision == "scribble+masks" else None
    slices = Slices(image, target.to(torch.uint8), [f"case{i}" for i in range(COUNT)], lent)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build_network(small(ONE_A_METHOD[name]), CLASSES).train()
        method = methods.create(block.method, block.config, CLASSES, name)
        parts = torch.nn.ModuleDict({"net": net, **method.modules(net, slices)})
    for step in (0, LATE):
        batch = Batch(image, target, step, torch.arange(COUNT), masks=None if lent is None else masks)
        terms = method.losses(net, batch, draw)
        assert all(value.isfinite() for value in terms.values()), (step, terms)
        parts.zero_grad()
        sum(terms.values()).backward()
        wrong = [
            key for key, p in parts.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
        ]
        assert not wrong, (step, wrong)


@pytest.mark.parametrize("name", ["unet_pce", "unet_wpce", "cutmix", "cutout", "mixup", "comixup"])
def test_supervised_terms_are_zero_without_a_mark(name: str) -> None:
    image = torch.randn((COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    logits = torch.nn.Conv2d(1, CLASSES, 1)
    target = torch.full((COUNT, 8, 8), UNLABELLED)
    total = sum(losses(name, CLASSES, logits, batch_of(image, target)).values())
    total.backward()
    assert total.item() == 0
    assert logits.weight.grad.abs().sum() == 0
