"""What `grid: auto` stands for, and that it stays what it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from data_files import OWN, write_case, write_nifti, write_own

from cyclemix.config.models import Grid
from cyclemix.config.strict import ConfigError
from cyclemix.data import autogrid
from cyclemix.data.autogrid import Extent, derive, extent_of, informative
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import DataError
from cyclemix.data.spec_blocks import AutoGrid


def test_extent_reaches_to_the_farthest_edge_of_a_structure() -> None:
    label = np.full((1, 10, 20), 255, np.uint8)
    label[0, 4, 17] = 2  # its right edge lies at 18 of 20, 8 pixels from the middle
    label[0, 5, 19] = 0  # 10 pixels
    dense, scribble = informative(label, "label"), informative(label, "scribble")
    assert extent_of((10, 20), (3.0, 2.0), [dense]) == Extent((3.0, 2.0), (30.0, 40.0), 16.0)
    assert extent_of((10, 20), (3.0, 2.0), [dense, scribble]) == Extent((3.0, 2.0), (30.0, 40.0), 20.0)
    assert extent_of((10, 20), (3.0, 2.0), []).reach_mm == 0


def test_numbers_are_the_median_pixel_and_the_square_of_all_structures() -> None:
    sizes = [Extent((p, p), (100.0, 120.0), reach) for p, reach in ((1.0, 30.0), (1.25, 44.0), (2.0, 20.0))]
    # 2 * 1.15 * 44 = 101.2 mm of 1.25 mm pixels are 81, and 96 is the next multiple of 16.
    assert derive(AutoGrid(), sizes) == Grid(spacing_mm=1.25, crop_px=96)
    assert derive(AutoGrid(), sizes[::-1]) == derive(AutoGrid(), sizes)
    assert derive(AutoGrid(spacing_mm=2.0), sizes) == Grid(spacing_mm=2.0, crop_px=64)
    assert derive(AutoGrid(crop_px=36), sizes) == Grid(spacing_mm=1.25, crop_px=36)


def test_small_structures_keep_their_surroundings_and_none_exceeds_the_image() -> None:
    # three quarters of 128 mm, in pixels of 1 mm
    assert derive(AutoGrid(), [Extent((1.0, 1.0), (128.0, 200.0), 5.0)]).crop_px == 96
    assert derive(AutoGrid(), [Extent((1.0, 1.0), (128.0, 128.0), 64.0)]).crop_px == 128


def auto(tmp_path: Path) -> Path:
    spec_file = write_own(tmp_path)
    spec_file.write_text(spec_file.read_text().replace("{spacing_mm: 1.0, crop_px: 32}", "auto"))
    return spec_file


def test_what_was_derived_is_said_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec, data = load_dataset(auto(tmp_path)), tmp_path / "results" / "data" / "own"
    with caplog.at_level(logging.INFO):
        grid = autogrid.resolve(spec, data)
    assert grid == Grid(spacing_mm=1.0, crop_px=48)  # 2 * 1.15 * 15 px, at most 40
    assert "own: grid: auto is {spacing_mm: 1, crop_px: 48}, derived from 2 cases and kept in" in caplog.text
    before = (data / "grid.json").read_bytes()
    write_nifti(tmp_path / "scans" / "images" / "a3.nii.gz", np.zeros((2, 400, 400)), (5.0, 0.5, 0.5))
    (tmp_path / "scans" / "images" / "a1.nii.gz").unlink()
    assert autogrid.resolve(spec, data) == grid  # neither a new case nor a lost one moves the others
    assert (data / "grid.json").read_bytes() == before


def test_another_setting_derives_anew_and_a_spoilt_file_is_refused(tmp_path: Path) -> None:
    spec_file, data = auto(tmp_path), tmp_path / "data"
    autogrid.resolve(load_dataset(spec_file), data)
    spec_file.write_text(spec_file.read_text().replace("grid: auto", "grid: {spacing_mm: 0.5}"))
    with pytest.raises(ConfigError, match=r"own\.yaml: missing key grid\.crop_px"):
        load_dataset(spec_file)
    spec_file.write_text(
        spec_file.read_text().replace("{spacing_mm: 0.5}", "{spacing_mm: 0.5, crop_px: auto}")
    )
    assert autogrid.resolve(load_dataset(spec_file), data) == Grid(spacing_mm=0.5, crop_px=80)
    assert json.loads((data / "grid.json").read_text())["derived_from_cases"] == 2
    (data / "grid.json").write_text("{")
    with pytest.raises(ConfigError, match=r"grid\.json \(delete it to derive the grid anew\): missing key"):
        autogrid.resolve(load_dataset(spec_file), data)


def test_a_damaged_case_is_named(tmp_path: Path) -> None:
    spec_file = auto(tmp_path)
    (tmp_path / "scans" / "labels" / "a2.nii.gz").write_bytes(b"no" * 400)
    with pytest.raises(DataError, match=r"own: grid: auto needs every case: .*a2\.nii\.gz"):
        autogrid.resolve(load_dataset(spec_file), tmp_path / "data")


def test_auto_needs_files_at_hand_and_wrong_numbers_are_named(tmp_path: Path) -> None:
    spec_file = tmp_path / "own.yaml"
    write_case(tmp_path / "scans", "a1")
    text = OWN.format(root="scans")
    messages = {
        "grid: {spacing_mm: auto, crop_px: 34}": "grid: crop_px must be auto or a multiple of 4 from 32 on",
        "grid: {spacing_mm: 1.0, crop_px: 34}": "grid: crop_px must be a multiple of 4",
        "grid: {spacing_mm: 1.0, crop: 34}": "unknown key grid.crop (did you mean 'crop_px'?)",
        "grid: auto\nroot: null\nkind: phantom": "grid: auto is derived from the files of `root`",
    }
    for grid, message in messages.items():
        changed = text.replace("grid: {spacing_mm: 1.0, crop_px: 32}", grid)
        spec_file.write_text(changed.replace("root: scans\n", "") if "root:" in grid else changed)
        with pytest.raises(ConfigError) as refusal:
            load_dataset(spec_file)
        assert message in str(refusal.value)
