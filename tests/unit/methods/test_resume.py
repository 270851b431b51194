"""Methods with state of their own (discriminators, teachers, labels) resume bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.methods.base import Slices
from cyclemix.training.engine import Engine, State

SIDE, STEPS = 32, 5

ROWS = {
    "maag": ("unet_attention", {"filters": 2}),
    "accl": ("unet", {"filters": 2}),
    "postdae": ("unet_dae", {}),
    "random_walker": ("unet", {}),
    "scribble2label": ("unet", {"period_steps": 2, "warmup_steps": 2, "threshold": 0.1}),
    "ustm": ("unet", {"views": 2, "rampup_steps": 1}),
}


def slices() -> Slices:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(6, 1, SIDE, SIDE, generator=generator)
    target = torch.full((6, SIDE, SIDE), UNLABELLED, dtype=torch.uint8)
    target[:, 2:5, 2:28], target[:, 14:18, 14:18] = 0, 1
    masks = (torch.rand(4, SIDE, SIDE, generator=generator) > 0.8).to(torch.uint8)
    return Slices(image, target, [f"case{i}" for i in range(6)], masks)


def engine(method: str, seed: int) -> Engine:
    network, config = ROWS[method]
    settings = RunConfig(
        label=method,
        dataset="noise",
        method=method,
        supervision="scribble",
        classes=["disc"],
        grid=Grid(spacing_mm=1.0, crop_px=SIDE),
        config=config,
        training=Recipe(
            network=network, base_filters=4, levels=3, batch_size=4, max_steps=STEPS, warmup_steps=0
        ),
    )
    return Engine(settings, seed, slices())


def train(engine: Engine, state: State, until: int) -> None:
    while state.step < until:
        engine.step(state)
    engine.check(state)


@pytest.mark.parametrize("method", ROWS)
def test_a_resumed_training_ends_as_an_undisturbed_one(method: str, tmp_path: Path) -> None:
    whole, state = engine(method, 0), State(digest="d")
    train(whole, state, 3)
    torch.save(whole.state_dict(state), tmp_path / "checkpoint.pt")
    train(whole, state, STEPS)
    other = engine(method, 1)  # whatever it drew at its start is overwritten
    train(other, other.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)), STEPS)
    for name, part in (("parts", lambda e: e.parts), ("average", lambda e: e.average)):
        ends = part(whole).state_dict(), part(other).state_dict()
        assert ends[0].keys() == ends[1].keys()
        for key, value in ends[0].items():
            assert torch.equal(value, ends[1][key]), f"{name}: {key}"
