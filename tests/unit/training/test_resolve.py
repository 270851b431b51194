"""``config.json``: every setting of the method written out, shortened where the study says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclemix.config.models import Grid, Recipe
from cyclemix.config.study import MethodBlock
from cyclemix.training import resolve

DATASET = Path(__file__).parents[3] / "config" / "datasets" / "phantom.yaml"


def resolved(folder: Path, method: str, at_most_steps: int | None, **config: Any) -> dict[str, Any]:
    block = MethodBlock(method=method, summary="", config=config)
    network = "unet_dual" if method == "dmsps" else "unet"
    output = folder / "config.json"
    grid = Grid(spacing_mm=2, crop_px=64)
    resolve.run(DATASET, "row", block, Recipe(network=network), grid, output, at_most_steps)
    return dict(json.loads(output.read_text()))


def test_the_methods_milestones_keep_their_place_in_the_training(tmp_path: Path) -> None:
    assert resolved(tmp_path, "dmsps", None)["config"]["grow_at_step"] == 1500
    short = resolved(tmp_path, "dmsps", 300)
    assert short["config"]["grow_at_step"] == 150
    assert short["training"]["max_steps"] == 300
    assert short["training"]["warmup_steps"] == 10
    assert short["training"]["validate_every_steps"] == 10


def test_settings_of_the_row_are_scaled_as_the_defaults_are(tmp_path: Path) -> None:
    short = resolved(tmp_path, "cyclemix_plus", 1000, pseudo_from_step=2400)
    assert short["config"]["pseudo_from_step"] == 800
    assert short["config"]["pseudo_every_steps"] == 167
    assert short["config"]["teacher_decay"] == 0.99
