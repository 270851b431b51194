"""What training images were like, and what is unlike them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cyclemix.config.models import Grid
from cyclemix.data.resample import make_geometry
from cyclemix.data.store import PreparedCase, save_case
from cyclemix.inference.domain import describe, measure, out_of_distribution, union

HEADER = nibabel.Nifti1Header().binaryblock
GRID = Grid(spacing_mm=1.0, crop_px=32)


def test_measures_by_hand() -> None:
    """A ramp of 0..1023 in a 32-px square; native 64 x 40 pixels of 1 x 4 mm, 7 mm apart."""
    geometry = make_geometry((2, 64, 40), (7.0, 1.0, 4.0), HEADER, GRID)
    image = np.broadcast_to(np.arange(1024.0).reshape(32, 32), (2, 32, 32))
    found = measure(image, geometry)
    assert found["pixel"] == 2.0
    assert found["slice distance"] == 7.0
    assert found["field of view"] == 64.0
    assert found["percentile 50"] == pytest.approx(511.5)
    assert found["percentile 25"] == pytest.approx(0.25 * 1023, abs=1)


def test_the_range_is_over_the_training_cases(tmp_path: Path) -> None:
    paths = []
    for number, pixel in enumerate((1.0, 1.5)):
        geometry = make_geometry((1, 64, 64), (8.0, pixel, pixel), HEADER, GRID)
        case = PreparedCase(str(number), "s", "", "", np.zeros((1, 32, 32), np.float32), None, None, geometry)
        paths.append(tmp_path / f"{number}.npz")
        save_case(paths[-1], case)
    domain = describe(paths)
    assert domain["pixel"] == [1.0, 1.5]
    assert domain["field of view"] == [64.0, 96.0]


@pytest.mark.parametrize(
    ("value", "outside"), [(0.79, True), (0.81, False), (1.2, False), (2.49, False), (2.51, True)]
)
def test_sizes_may_pass_the_range_by_a_quarter(value: float, outside: bool) -> None:
    found = out_of_distribution({"pixel": value}, {"pixel": [1.0, 2.0]})
    assert bool(found) is outside
    if outside:
        assert found == [f"pixel {value:.4g} mm, 1 to 2 in training"]


def test_grey_values_may_pass_the_range_by_a_quarter_of_a_deviation() -> None:
    domain = {"percentile 99": [2.0, 3.0]}
    assert out_of_distribution({"percentile 99": 3.2}, domain) == []
    assert out_of_distribution({"percentile 99": 3.3}, domain) == [
        "grey values: percentile 99 is 3.30 SD from the mean, 2.00 to 3.00 in training"
    ]


def test_an_ensemble_knows_what_one_of_its_models_knows() -> None:
    assert union([{"pixel": [1.0, 2.0]}, {"pixel": [0.5, 1.5]}]) == {"pixel": [0.5, 2.0]}
