"""No row's losses wait for the device: all of them run, backward too, where there are no values to wait for.

The meta device takes the code path of every device but the CPU and raises where a value is read back or
decides a shape. On a GPU the whole step of the engine runs under the synchronisation guard.
"""

from __future__ import annotations

import pytest
import torch
from rows import BLOCKS, run_config, small
from torch import nn

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Augmentation, Grid
from cyclemix.methods.base import Batch, Slices
from cyclemix.networks.registry import build_network
from cyclemix.ops.augment import draw_transform
from cyclemix.training.engine import Engine, State

SIDE, COUNT, BATCH = 64, 6, 4

DISTINCT = {
    f"{block.method} {block.config} {small(label).network} {block.supervision == 'scribble+masks'}": label
    for label, block in BLOCKS.items()
}
"""One row of each method, settings, network and kind of input; others differ in labels or steps alone."""


def slices(label: str) -> Slices:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(COUNT, 1, SIDE, SIDE, generator=generator)
    classes = torch.randint(0, 4, (COUNT, SIDE, SIDE), generator=generator).to(torch.uint8)
    known = torch.rand(COUNT, SIDE, SIDE, generator=generator) < 0.2
    target = torch.where(known, classes, UNLABELLED).to(torch.uint8)
    masks = classes if BLOCKS[label].supervision == "scribble+masks" else None
    return Slices(image, target, [f"case{i}" for i in range(COUNT)], masks)


@pytest.mark.parametrize("label", DISTINCT.values())
def test_losses_and_gradients_read_no_value(label: str) -> None:
    block, data = BLOCKS[label], slices(label)
    net = build_network(small(label), 4).train()
    method = methods.create(block.method, block.config, 4, label)
    # Made on the CPU (a training does this once, before its first step), then moved.
    parts = nn.ModuleDict({"net": net, **method.modules(net, data)}).to("meta").train()
    image, target = torch.empty(BATCH, 1, SIDE, SIDE, device="meta"), data.target[:BATCH].long().to("meta")
    generator: torch.Generator = None  # type: ignore[assignment]  # the meta device has none
    transform = draw_transform(target, Augmentation(), generator)
    masks = None if data.masks is None else data.masks[:BATCH].long().to("meta")
    for step in (0, 2000):  # some terms begin later
        batch = Batch(image, target, step, torch.arange(BATCH, device="meta"), transform, masks)
        terms = method.losses(parts["net"], batch, generator)  # type: ignore[arg-type]
        assert all(term.device.type == "meta" and term.dim() == 0 for term in terms.values())
        sum(terms.values()).backward()  # type: ignore[union-attr]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("label", DISTINCT.values())
def test_cuda_step_never_waits(label: str) -> None:
    data = slices(label)
    masks = None if data.masks is None else data.masks.cuda()
    data = Slices(data.image.cuda(), data.target.cuda(), data.case, masks)
    settings = run_config(label, Grid(spacing_mm=1.0, crop_px=SIDE), batch_size=BATCH, warmup_steps=0)
    engine, state = Engine(settings, 0, data), State(digest="sync")
    for _ in range(4):  # every mixing grid once: first uses may initialise libraries
        engine.step(state)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            engine.step(state)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    engine.check(state)
