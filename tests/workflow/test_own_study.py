"""From two folders of generated images to their tables: `init`, `check`, the whole workflow, twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest
from scripts import run_script
from studies import Project, copy_of_project

CLASSES = {"one": 1, "seven": 7}
"""Classes of each data set."""

OVERRIDES = (
    "datasets=[one, seven]",
    "at_most_steps=4",
    "training={batch_size: 2, base_filters: 4, levels: 3}",
    "inference={test_time_augmentation: false}",
    "protocol={folds: 3}",
)
"""For the study of the first data set: the second one beside it, and both in seconds."""


@pytest.fixture(scope="module")
def study(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished study of two data sets, each of five cases with non-cubic voxels and odd names."""
    project = copy_of_project(tmp_path_factory.mktemp("own"), warm)
    for name, classes in CLASSES.items():
        scans = f"our {name} scans"
        folder = str(project.folder / scans)
        run_script("docs/examples/make_images.py", folder, "--cases", "5", "--classes", str(classes))
        project.cyclemix("init", scans, "--name", name)
        project.cyclemix("check", name)
    project.snakemake("--configfile", "config/one.yaml", config=OVERRIDES)
    return project


@pytest.mark.parametrize("name", CLASSES)
def test_table_and_predictions(study: Project, name: str) -> None:
    results = study.folder / "results"
    summary = pd.read_csv(results / "tables" / name / "summary.csv")
    structures = {f"structure{value}" for value in range(1, CLASSES[name] + 1)}
    assert set(summary["structure"]) == structures | {"Avg"}
    assert set(summary["method"]) == {"unet_pce", "cyclemix"}
    # 300 steps are those of the drafted study
    shortened = (
        "Trainings shortened by at_most_steps, not the methods' own results: 4 of 300 steps: all rows."
    )
    assert shortened in (results / "tables" / name / "comparison.md").read_text()
    predictions = sorted(
        (results / "runs" / name / "cyclemix" / "fold0_seed0" / "predictions").glob("*.nii.gz")
    )
    assert predictions
    for path in predictions:
        image_file = study.folder / f"our {name} scans" / "images" / path.name
        predicted, image = nib.load(path), nib.load(image_file)
        assert predicted.shape == image.shape
        assert predicted.header.get_zooms() == image.header.get_zooms()
        assert (predicted.affine == image.affine).all()
    assert (results / "figures" / name / "overlays.png").is_file()


@pytest.mark.parametrize("name", CLASSES)
def test_the_derived_grid_is_kept(study: Project, name: str) -> None:
    kept = study.folder / "results" / "data" / name / "grid.json"
    grid = json.loads(kept.read_text())
    folder = f"{grid['spacing_mm']:g}mm_{grid['crop_px']}px"
    assert [path.name for path in (kept.parent / "prepared").iterdir()] == [folder]


def test_the_second_run_does_nothing(study: Project) -> None:
    assert study.plan("--configfile", "config/one.yaml", config=OVERRIDES) == Counter()
