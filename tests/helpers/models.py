"""Model files with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.inference.domain import Domain
from cyclemix.inference.model_file import Model, save_model
from cyclemix.networks.registry import build_network

WIDE: Domain = {
    name: [0.0, 1000.0]
    for name in ("pixel", "slice distance", "field of view")
} | {f"percentile {p}": [-100.0, 100.0] for p in (1, 25, 50, 75, 99)}  # fmt: skip
"""A domain in which every image lies."""


GRID = Grid(spacing_mm=3.2, crop_px=64)


def write_model(
    path: Path,
    *,
    seed: int = 0,
    classes: tuple[str, ...] = ("RV", "MYO", "LV"),
    domain: Domain = WIDE,
    grid: Grid = GRID,
    slice_axis: int = 3,
) -> Path:
    """A ``model.pt`` whose weights the seed draws."""
    recipe = Recipe(base_filters=4, levels=2, max_steps=1)
    config = RunConfig(
        label="cyclemix",
        dataset="mscmr",
        method="cyclemix",
        supervision="scribble",
        classes=list(classes),
        grid=grid,
        slice_axis=slice_axis,
        config={},
        training=recipe,
    )
    torch.manual_seed(seed)
    net = build_network(recipe, len(classes) + 1).eval()
    save_model(path, Model(net, config, domain, {"commit": "abc", "hardware": "left out"}), 1, 0.5)
    return path
