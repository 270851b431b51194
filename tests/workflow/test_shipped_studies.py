"""Every shipped study file runs as it ships: all rows, all lists, all cases, through tables and figures.

Only the steps are capped, the networks and slices small and the seeds one. The studies of real data share a
results folder, as README's commands do in a clone, so what two of them have in common is trained once. The
long ones (every row on both data sets, the sweep, 70 patients) run with `make test-studies` alone; so does
the default study, which the fixture `finished` runs with fewer hearts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from studies import Project, copy_of_project

from cyclemix.data.datasets import load_dataset

SMALL = (
    "at_most_steps=2",
    "training={base_filters: 4, levels: 3, batch_size: 4}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
    "seeds=[0]",
)
STRUCTURES = ("RV", "MYO", "LV")
long = pytest.mark.skipif("CYCLEMIX_ALL_STUDIES" not in os.environ, reason="long: run `make test-studies`")


@pytest.fixture(scope="module")
def shipped(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the paper's network and its grid, which SMALL does not reach, are small too."""
    project = copy_of_project(tmp_path_factory.mktemp("shipped"), warm)
    project.edit("config/methods.yaml", "network: unet_paper", "network: unet")
    project.edit(
        "config/methods.yaml", "{spacing_mm: 1.36719, crop_px: 212, ", "{spacing_mm: 3.2, crop_px: 64, "
    )
    return project


def run(project: Project, name: str, *config: str) -> str:
    """Run a study file; what Snakemake said. Every data set ends with tables and figures of every row."""
    config = (*SMALL, *config)
    file = ("--configfile", f"config/{name}.yaml")
    output = project.snakemake(*file, config=config).stdout
    study = yaml.safe_load((project.folder / "config" / f"{name}.yaml").read_text())
    changed = re.search(r"datasets=\[(.*)\]", " ".join(config))
    results = project.folder / study["results"]
    for dataset in [changed[1]] if changed else study["datasets"]:
        page = (results / "tables" / dataset / "comparison.html").read_text()
        assert [label for label in study["methods"] if label not in page] == []
        assert "Trainings shortened by at_most_steps" in page
        for figure in ("overlays.png", "boxplot.png", "curves.png", "bland_altman.png"):
            assert (results / "figures" / dataset / figure).stat().st_size > 5000
        scores = pd.read_csv(results / "tables" / dataset / "per_case.csv")
        spec = load_dataset(project.folder / "config" / "datasets" / f"{dataset}.yaml")
        assert set(scores["subject"]) == set(spec.official["test"])
        assert set(scores["method"]) <= set(study["methods"]) or "efficiency" in study
    assert project.plan(*file, config=config) == {}
    return output


@long
def test_the_default_study(shipped: Project) -> None:
    run(shipped, "config")


@long
def test_efficiency(shipped: Project) -> None:
    run(shipped, "efficiency")
    results = shipped.folder / "results" / "efficiency"
    assert len(pd.read_csv(results / "tables" / "phantom" / "efficiency.csv")) == 20
    assert (results / "figures" / "phantom" / "efficiency.png").is_file()


def test_mscmr(shipped: Project, mirror: Path) -> None:
    output = run(shipped, "mscmr", f"mirror={mirror}")
    assert re.search(r"mscmr: 90 files to fetch from the mirror, \d+\.\d MB", output)
    results = shipped.folder / "results"
    (log,) = (results / "logs" / "prepare").glob("mscmr_3.2mm_64px_test.log")
    named = [line for line in log.read_text().splitlines() if "the image's header is used instead" in line]
    assert len(named) == 1
    assert "labels/subject43_DE_manual.nii.gz: " in named[0]
    raw = results / "data" / "mscmr" / "raw" / "MSCMR_dataset" / "TestSet"
    folder = results / "runs" / "mscmr" / "cyclemix" / "fold0_seed0"
    scores = pd.read_csv(folder / "metrics.csv").set_index(["case", "structure"])
    cases = sorted(scores.index.unique("case"))
    assert len(cases) == 15
    assert "subject43_DE" in cases
    for case in cases:
        recompute(
            raw / "images" / f"{case}.nii.gz",
            raw / "labels" / f"{case}_manual.nii.gz",
            folder / "predictions" / f"{case}.nii.gz",
            scores.loc[case],
        )


def recompute(image_file: Path, label_file: Path, predicted_file: Path, scores: pd.DataFrame) -> None:
    """Dice and volumes of a case from the voxels of its files, where the prediction lies on the image's."""
    image, predicted = nibabel.load(image_file), nibabel.load(predicted_file)
    np.testing.assert_allclose(predicted.affine, image.affine, atol=1e-5)
    truth, mask = (np.asarray(nibabel.load(path).dataobj) for path in (label_file, predicted_file))
    assert truth.shape == mask.shape == image.shape
    millilitres = float(np.prod(image.header.get_zooms())) / 1000
    for value, structure in enumerate(STRUCTURES, start=1):
        ours, theirs, row = mask == value, truth == value, scores.loc[structure]
        dice = 2 * np.sum(ours & theirs) / (np.sum(ours) + np.sum(theirs))
        assert row["dice"] == pytest.approx(dice, abs=1e-6)
        assert row["volume_true_ml"] == pytest.approx(theirs.sum() * millilitres, rel=1e-4)
        assert row["volume_pred_ml"] == pytest.approx(ours.sum() * millilitres, rel=1e-4)
        assert row["missed"] == int(not ours.any())


def test_acdc(shipped: Project, mirror: Path) -> None:
    output = run(shipped, "acdc", f"mirror={mirror}")
    assert re.search(r"acdc: \d+ files to fetch from the mirror", output)
    clinical = pd.read_csv(shipped.folder / "results" / "tables" / "acdc" / "clinical.csv")
    assert {"unet_pce", "unet_full"} <= set(clinical["method"])


@long
def test_acdc_with_seventy_scribbled_patients(shipped: Project, mirror: Path) -> None:
    run(shipped, "acdc", f"mirror={mirror}", "datasets=[acdc70]")
    assert not (shipped.folder / "results" / "data" / "acdc70" / "raw").exists()


@long
def test_the_whole_comparison(shipped: Project, mirror: Path) -> None:
    run(shipped, "paper", f"mirror={mirror}")
    tables = shipped.folder / "results" / "tables"
    mscmr = (tables / "mscmr" / "comparison.md").read_text()
    assert "the training cases of mscmr have no dense labels" in mscmr
    assert "mscmr has no list of unpaired masks" in mscmr
    assert "n/a" not in (tables / "acdc" / "comparison.md").read_text()


def test_the_readme_names_the_studies_of_this_file(repository: Path) -> None:
    block = (repository / "README.md").read_text().partition("## Real data")[2].split("```")[1]
    commands = [line.partition("#")[0].split() for line in block.splitlines()[1:] if line]
    assert commands == [
        ["snakemake", "--cores", "all", "--configfile", f"config/{name}.yaml"]
        for name in ("mscmr", "acdc", "paper")
    ]
