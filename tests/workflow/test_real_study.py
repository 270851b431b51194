"""The whole workflow on real volumes from the mirror: few steps, a small network, all stages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from studies import Project, copy_of_project

SMALL = (
    "protocol={kind: official, evaluate_on: val}",
    "training={max_steps: 3, validate_every_steps: 3, batch_size: 2, base_filters: 4, levels: 3}",
    "inference={test_time_augmentation: false}",
    "seeds=[0]",
)


@pytest.fixture(scope="module")
def mscmr(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """All 25 + 5 cases of MSCMRseg."""
    project = copy_of_project(tmp_path_factory.mktemp("mscmr"))
    config = (*SMALL, "methods=[cyclemix, unet_full]", f"mirror={mirror}")
    project.snakemake("--configfile", "config/mscmr.yaml", config=config)
    return project


@pytest.fixture(scope="module")
def acdc(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """Two training patients and one for validation of ACDC."""
    project = copy_of_project(tmp_path_factory.mktemp("acdc"))
    path = project.folder / "config" / "datasets" / "acdc.yaml"
    text = re.sub(r"^(  train:) \[.*?\]", r"\1 [4, 14]", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    path.write_text(re.sub(r"^(  val:) \[.*?\]", r"\1 [17]", text, flags=re.MULTILINE | re.DOTALL))
    config = (*SMALL, "methods=[unet_pce, unet_full]", f"mirror={mirror}", "compare_to=unet_pce")
    project.snakemake("--configfile", "config/acdc.yaml", config=config)
    return project


def evaluated(project: Project, dataset: str, label: str) -> tuple[Path, pd.DataFrame]:
    """Folder and scores of the one run."""
    run = project.folder / "results" / "runs" / dataset / label / "fold0_seed0"
    return run, pd.read_csv(run / "metrics.csv")


def test_only_what_the_study_needs_is_fetched(mscmr: Project) -> None:
    raw = mscmr.folder / "results" / "data" / "mscmr" / "raw"
    assert len(list(raw.rglob("*_DE.nii.gz"))) == 30
    assert not [path for path in raw.rglob("*") if "TestSet" in path.parts]


def test_mscmr_predictions_lie_on_the_upstream_voxels_and_scores_can_be_recomputed(mscmr: Project) -> None:
    run, scores = evaluated(mscmr, "mscmr", "cyclemix")
    raw = mscmr.folder / "results" / "data" / "mscmr" / "raw" / "MSCMR_dataset" / "val"
    assert sorted(scores["case"].unique()) == [f"subject{n}_DE" for n in (1, 29, 36, 41, 8)]
    for case in scores["case"].unique():
        image = nibabel.load(raw / "images" / f"{case}.nii.gz")
        predicted = nibabel.load(run / "predictions" / f"{case}.nii.gz")
        assert predicted.shape == image.shape
        assert predicted.header.get_zooms() == pytest.approx(image.header.get_zooms())
        np.testing.assert_allclose(predicted.affine, image.affine, atol=1e-5)
        truth = np.asarray(nibabel.load(raw / "labels" / f"{case}_manual.nii.gz").dataobj)
        mask = np.asarray(predicted.dataobj)
        for value, structure in enumerate(("RV", "MYO", "LV"), start=1):
            ours, theirs = mask == value, truth == value
            dice = 2 * np.sum(ours & theirs) / (np.sum(ours) + np.sum(theirs))
            row = scores[(scores["case"] == case) & (scores["structure"] == structure)]
            assert row["dice"].item() == pytest.approx(dice, abs=1e-6)
            millilitres = theirs.sum() * np.prod(image.header.get_zooms()) / 1000
            assert row["volume_true_ml"].item() == pytest.approx(millilitres, rel=1e-4)


def test_a_row_that_mscmr_cannot_train_is_told_with_its_reason(mscmr: Project) -> None:
    assert not (mscmr.folder / "results" / "runs" / "mscmr" / "unet_full").exists()
    table = (mscmr.folder / "results" / "tables" / "mscmr" / "comparison.md").read_text()
    assert "n/a" in table
    assert "no dense labels" in table


def test_acdc_runs_with_scribbles_and_with_dense_labels(acdc: Project) -> None:
    for label in ("unet_pce", "unet_full"):
        run, scores = evaluated(acdc, "acdc", label)
        assert set(scores["subject"]) == {"patient017"}
        assert scores["case"].nunique() == 2
        assert scores["dice"].between(0, 1).all()
        settings = json.loads((run.parent / "config.json").read_text())
        assert settings["supervision"] == ("full" if label == "unet_full" else "scribble")
    clinical = pd.read_csv(acdc.folder / "results" / "tables" / "acdc" / "clinical.csv")
    assert not clinical.empty, "ED and ES are known, so the ejection fraction is told"


def test_nothing_is_left_to_do(mscmr: Project, mirror: Path) -> None:
    config = (*SMALL, "methods=[cyclemix, unet_full]", f"mirror={mirror}")
    assert mscmr.plan("--configfile", "config/mscmr.yaml", config=config) == {}
