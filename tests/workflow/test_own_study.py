"""From a folder of generated images to a table: `init`, `check`, the whole workflow, twice."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest
from studies import Project, copy_of_project

TINY = (
    "training={max_steps: 4, validate_every_steps: 2, batch_size: 2, base_filters: 4, levels: 3}",
    "inference={test_time_augmentation: false}",
    "protocol={folds: 3}",
)


@pytest.fixture(scope="module", params=[1, 7])
def study(
    request: pytest.FixtureRequest, warm: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, int]:
    """A finished study of five cases with one class or seven, non-cubic voxels and odd names."""
    project = copy_of_project(tmp_path_factory.mktemp("own"), warm)
    classes = int(request.param)
    for command in (
        ("docs/examples/make_images.py", "our scans", "--cases", "5", "--classes", str(classes)),
        ("-m", "cyclemix", "init", "our scans", "--name", "own"),
        ("-m", "cyclemix", "check", "own"),
    ):
        done = subprocess.run(
            [warm, *command], cwd=project.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    project.snakemake("--configfile", "config/own.yaml", config=TINY)
    return project, classes


def test_table_and_predictions(study: tuple[Project, int]) -> None:
    project, classes = study
    results = project.folder / "results"
    summary = pd.read_csv(results / "tables" / "own" / "summary.csv")
    structures = {f"structure{value}" for value in range(1, classes + 1)}
    assert set(summary["structure"]) == structures | {"Avg"}
    assert set(summary["method"]) == {"unet_pce", "cyclemix"}
    predictions = sorted(
        (results / "runs" / "own" / "cyclemix" / "fold0_seed0" / "predictions").glob("*.nii.gz")
    )
    assert predictions
    for path in predictions:
        predicted, image = nib.load(path), nib.load(project.folder / "our scans" / "images" / path.name)
        assert predicted.shape == image.shape
        assert predicted.header.get_zooms() == image.header.get_zooms()
        assert (predicted.affine == image.affine).all()
    assert (results / "figures" / "own" / "overlays.png").is_file()


def test_the_derived_grid_is_kept_and_the_second_run_does_nothing(study: tuple[Project, int]) -> None:
    project, _ = study
    kept = project.folder / "results" / "data" / "own" / "grid.json"
    grid = json.loads(kept.read_text())
    name = f"{grid['spacing_mm']:g}mm_{grid['crop_px']}px"
    assert [path.name for path in (kept.parent / "prepared").iterdir()] == [name]
    assert project.plan("--configfile", "config/own.yaml", config=TINY) == Counter()
