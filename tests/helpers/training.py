"""Tiny trainings: bright discs, an engine's settings, and steps taken with it."""

from __future__ import annotations

import io

import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.methods.base import Slices
from cyclemix.training.engine import Engine, State
from cyclemix.training.slices import Volume

SIDE = 32


def settings(
    method: str = "unet_pce", config: dict[str, object] | None = None, **recipe: object
) -> RunConfig:
    small = {
        "base_filters": 4,
        "levels": 2,
        "batch_size": 4,
        "max_steps": 40,
        "warmup_steps": 0,
        "learning_rate": 0.01,
        "precision": "fp32",
    }
    return RunConfig(
        label=method,
        dataset="disc",
        method=method,
        supervision="scribble",
        classes=["disc"],
        grid=Grid(spacing_mm=1.0, crop_px=SIDE),
        config=config or {},
        training=Recipe(**(small | recipe)),
    )


def discs(count: int = 6) -> tuple[Slices, list[Volume]]:
    """Bright discs on a dark ground, a dot of scribble in each and one beside it."""
    axis = torch.arange(SIDE)
    truth = torch.stack([(axis[:, None] - 12 - i) ** 2 + (axis - 16) ** 2 < 49 for i in range(count)])
    noise = 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    image = (2.0 * truth - 1 + noise)[:, None]
    target = torch.full(truth.shape, UNLABELLED, dtype=torch.uint8)
    for i in range(count):
        target[i, 11 + i : 14 + i, 14:18] = 1
        target[i, 1:3, 4:28] = 0
    return Slices(image, target, [f"case{i}" for i in range(count)]), [
        Volume("v", image, truth.to(torch.uint8))
    ]


def train(engine: Engine, state: State, until: int) -> None:
    while state.step < until:
        engine.step(state)
    engine.check(state)


def weights(engine: Engine) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in engine.parts.parameters()])


def saved_and_loaded(engine: Engine, state: State) -> dict[str, object]:
    """The snapshot as it comes back from a checkpoint file."""
    file = io.BytesIO()
    torch.save(engine.state_dict(state), file)
    file.seek(0)
    return torch.load(file, weights_only=True)
