"""Lengths in mm: the paper's pixels on the paper's grid, the same millimetres on every other."""

from __future__ import annotations

import pytest

from cyclemix import methods
from cyclemix.config.lengths import PAPER_SPACING_MM, in_pixels
from cyclemix.config.models import Augmentation

PAPERS = {
    "cutout": {"hole_px": 32},
    "cyclemix": {"occlusion_px": 32, "puzzle.block_px": 4},
    "gated_crf": {"radius_px": 5, "sigma_xy_px": 6.0},
    "postdae": {"patch_px": 20, "radius_px": 4, "jitter_px": 3},
    "shapepu": {"occlusion_px": 32},
    "unet_crf": {"field_px": 212.0, "sigma_xy_px": pytest.approx(41.3255, abs=6e-4)},
    "zscribbleseg": {"occlusion_px": 32, "puzzle.block_px": 4, "radius_px": 8, "sd_px": 6.0},
}


@pytest.mark.parametrize("spacing_mm", [PAPER_SPACING_MM, 1.36719])
@pytest.mark.parametrize("name", methods.names())
def test_on_the_papers_grid_lengths_are_the_papers_pixels(name: str, spacing_mm: float) -> None:
    assert in_pixels(methods.load(name).Config(), spacing_mm) == PAPERS.get(name, {})


def test_the_blur_is_one_pixel_there() -> None:
    assert in_pixels(Augmentation(), 1.36719) == {"blur_px": 1.0}


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [
        (2.4, {"occlusion_px": 18, "puzzle.block_px": 2}),  # 43.75 / 2.4 = 18.2, 5.47 / 2.4 = 2.3
        (2.0, {"occlusion_px": 22, "puzzle.block_px": 2}),  # 21.9, 2.7
        (1.8, {"occlusion_px": 24, "puzzle.block_px": 4}),  # 24.3, 3.04: nearer to 4 than to 2
        (100.0, {"occlusion_px": 1, "puzzle.block_px": 2}),  # never less than a pixel, a block of 2
    ],
)
def test_on_other_grids_they_are_the_same_millimetres(spacing_mm: float, expected: dict[str, int]) -> None:
    assert in_pixels(methods.load("cyclemix").Config(), spacing_mm) == expected


def test_zero_stays_none() -> None:
    assert in_pixels(methods.load("cyclemix").Config(occlusion_mm=0), 2.4)["occlusion_px"] == 0


def test_no_setting_is_a_length_in_pixels() -> None:
    known = {"longest_px"}  # unet_crf: how far the image is shrunk, a limit of memory
    for name in methods.names():
        fields = methods.load(name).Config.model_fields
        assert {field for field in fields if field.endswith("_px")} <= known, name
