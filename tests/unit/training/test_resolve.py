"""``config.json``: every setting of the method written out, shortened where the study says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclemix.config.models import Grid, Recipe
from cyclemix.config.study import MethodBlock
from cyclemix.training import resolve

DATASET = Path(__file__).parents[3] / "config" / "datasets" / "phantom.yaml"


GRID = Grid(spacing_mm=2, crop_px=64)


def resolved(
    folder: Path, method: str, at_most_steps: int | None, grid: Grid = GRID, **config: Any
) -> dict[str, Any]:
    block = MethodBlock(method=method, summary="", config=config)
    network = "unet_dual" if method == "dmsps" else "unet"
    output = folder / "config.json"
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
    short = resolved(tmp_path, "scribble2label", 1000, warmup_steps=2400)
    assert short["config"]["warmup_steps"] == 800
    assert short["config"]["period_steps"] == 33
    assert short["config"]["threshold"] == 0.8


def test_the_file_lists_every_length_in_pixels_of_the_grid(tmp_path: Path) -> None:
    """The square is 43.75 mm, a block 5.47 mm (2 or 4 px), the blur's deviation 1.367 mm."""
    fine = Grid(spacing_mm=1.36719, crop_px=212)
    assert resolved(tmp_path, "cyclemix", None, fine)["pixels"] == {
        "occlusion_px": 32,
        "puzzle.block_px": 4,
        "augmentation.blur_px": 1.0,
    }
    coarse = Grid(spacing_mm=2.4, crop_px=128)
    assert resolved(tmp_path, "cyclemix", None, coarse)["pixels"] == {
        "occlusion_px": 18,  # 18.23
        "puzzle.block_px": 2,  # 2.28 is nearer to 2 than to 4
        "augmentation.blur_px": 0.57,  # 0.5697
    }


def test_lengths_that_the_row_sets_are_converted_too(tmp_path: Path) -> None:
    grid = Grid(spacing_mm=2.5, crop_px=64)
    assert resolved(tmp_path, "cyclemix", None, grid, occlusion_mm=20)["pixels"]["occlusion_px"] == 8
    assert resolved(tmp_path, "cyclemix", None, grid, occlusion_mm=0)["pixels"]["occlusion_px"] == 0
    # a field of 212 px and a deviation of 100/513 of it, at 1.3672 mm: 289.84 mm and 56.5 mm
    crf = resolved(tmp_path, "unet_crf", None, grid)["pixels"]
    assert crf == {"field_px": 115.938, "sigma_xy_px": 22.6, "augmentation.blur_px": 0.547}


def test_the_file_names_the_grids_preparation(tmp_path: Path) -> None:
    grid = Grid(spacing_mm=1.36719, crop_px=212, preparation="paper")
    assert resolved(tmp_path, "cyclemix", None, grid)["grid"] == {
        "spacing_mm": 1.36719,
        "crop_px": 212,
        "preparation": "paper",
    }
