"""Nothing a step needs waits for the device: shapes alone decide what runs, the generator what it gives.

The meta device has no values, so any read-back or data-dependent shape raises there; it takes the code path
of every device but the CPU. With a GPU the same steps run under the synchronisation guard and are captured.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cyclemix.config.models import Augmentation
from cyclemix.ops import augment, components, crf, graphcut, occlusion, rotation, saliency, transport
from cyclemix.ops.comixup import CoMixSettings, co_mix
from cyclemix.ops.puzzlemix import PuzzleSettings, puzzle_mix

BATCH, SIDE = 4, 64


def inputs(device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {
        "image": torch.randn(BATCH, 1, SIDE, SIDE, generator=generator),
        "target": torch.randint(0, 4, (BATCH, SIDE, SIDE), generator=generator),
        "saliency": torch.rand(BATCH, SIDE, SIDE, generator=generator) ** 8,
        "scores": torch.rand(BATCH, 4, SIDE, SIDE, generator=generator),
        "partner": torch.tensor([1, 2, 3, 0]),
        "angle": torch.tensor([0.1, 1.0, 3.0, 5.0]),
    }
    return {name: tensor.to(device) for name, tensor in found.items()}


def mixed(x: dict[str, torch.Tensor], generator) -> tuple[torch.Tensor, ...]:
    found = []
    for step in range(4):
        mix = puzzle_mix(x["image"], x["saliency"], x["partner"], step, PuzzleSettings(), generator)
        found += [mix.image, mix.ratio, *mix.labels(x["target"]), mix.scores(x["scores"]), *mix.plans]
    return tuple(found)


def co_mixed(x: dict[str, torch.Tensor], generator) -> tuple[torch.Tensor, ...]:
    mix = co_mix(x["image"], x["saliency"], CoMixSettings(), generator)
    return (mix.image, mix.ratio, *mix.labels(x["target"]))


Step = Callable[[dict[str, torch.Tensor], torch.Generator | None], object]
STEPS: dict[str, Step] = {
    "augment": lambda x, g: augment.augment(x["image"], x["target"], Augmentation(), g)[:2],
    "occlusion": lambda x, g: occlusion.random_squares(BATCH, SIDE, SIDE, 16, g, x["image"].device),
    "boxes": lambda x, g: occlusion.random_boxes(x["angle"] / 6, SIDE, SIDE, g),
    "dense crf": lambda x, g: crf.dense_energy(
        *(crf.shrink(x[name], 16) for name in ("scores", "image")), x["target"][:, :16, :16] > 0, 3.0, 0.1
    ),
    "gated crf": lambda x, g: crf.gated_energy(x["scores"], x["image"], x["target"] > 0, 2, 6.0, 0.1),
    "rotate": lambda x, g: (
        rotation.random_angles(BATCH, g, x["image"].device),
        rotation.rotate(x["scores"], x["angle"]),
        rotation.valid_mask(-x["angle"], SIDE, SIDE),
    ),
    "saliency": lambda x, g: saliency.block_distribution(saliency.saliency(x["scores"]), 4),
    "components": lambda x, g: (
        components.largest_component(x["target"], 4),
        components.cycle_target(x["target"], 4),
    ),
    "puzzlemix": mixed,
    "comixup": co_mixed,
}
WITHOUT_DRAWS = {"dense crf", "gated crf", "saliency", "components"}


def outputs(name: str, device: str, seed: int | None = None) -> tuple[torch.Tensor, ...]:
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    found = STEPS[name](inputs(device), generator)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", STEPS)
def test_no_step_reads_a_value(name):
    assert all(tensor.device.type == "meta" for tensor in outputs(name, "meta"))


def test_the_meta_device_would_notice():
    with pytest.raises((RuntimeError, NotImplementedError)):
        inputs("meta")["saliency"].max().item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        inputs("meta")["saliency"].nonzero()


@pytest.mark.parametrize("name", STEPS)
def test_the_generator_alone_decides(name):
    first, again, other = (outputs(name, "cpu", seed) for seed in (5, 5, 6))
    assert all(map(torch.equal, first, again))
    assert torch.equal(first[0], other[0]) == (name in WITHOUT_DRAWS)


@pytest.mark.parametrize("name", STEPS)
def test_autocast_does_not_touch_it(name):
    plain = outputs(name, "cpu", 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = outputs(name, "cpu", 0)
    assert all(map(torch.equal, plain, cast))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", STEPS)
def test_cuda_without_synchronisation_and_captured(name):
    x, generator = inputs("cuda"), torch.Generator("cuda").manual_seed(0)
    step = STEPS[name]
    step(x, generator)  # first use may initialise libraries
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(x, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        step(x, generator)
    graph.replay()
    torch.cuda.synchronize()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_finds_what_the_cpu_finds():
    host, device = inputs("cpu"), inputs("cuda")
    for classes in (components.largest_component, components.cycle_target):
        assert torch.equal(classes(host["target"], 4), classes(device["target"], 4).cpu())
    generator = torch.Generator().manual_seed(1)
    terms = [torch.rand(s, generator=generator) for s in ((8, 16, 16, 3), (8, 15, 16), (8, 16, 15))]
    share = torch.linspace(0, 1, 3)
    terms.append((share[:, None] - share).square())
    labels = graphcut.solve(*(term.cuda() for term in terms)).cpu()
    energies = [graphcut.energy(*terms, found) for found in (labels, graphcut.solve(*terms))]
    torch.testing.assert_close(*energies, rtol=1e-5, atol=0)
    blocks = torch.rand(8, 16, 16, generator=generator) ** 20
    mask = torch.rand(8, 16, 16, generator=generator).round()
    plan = transport.plan(mask.cuda(), blocks.cuda(), 0.8)
    assert torch.equal(plan.cpu().flatten(1).sort().values, torch.arange(256).expand(8, -1))
    torch.testing.assert_close(
        rotation.rotate(device["scores"], device["angle"]).cpu(),
        rotation.rotate(host["scores"], host["angle"]),
        atol=1e-4,
        rtol=0,
    )
