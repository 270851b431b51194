"""The stages resolve, train and predict on the tiny phantom, as the workflow calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Inference, Recipe, Training, load_run_config
from cyclemix.config.strict import ConfigError
from cyclemix.config.study import MethodBlock
from cyclemix.data.outputs import written_image
from cyclemix.data.store import read_index
from cyclemix.inference import predict, segment
from cyclemix.training import checkpoint, resolve, train
from cyclemix.training.slices import load_slices

GRID = Grid(spacing_mm=3.2, crop_px=64)
RECIPE = Recipe(base_filters=4, levels=3, batch_size=4, max_steps=6, validate_every_steps=3, warmup_steps=0)
CPU = Training(device="cpu")


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.status = ""

    def metrics(self, values: dict[str, float], step: int) -> None:
        self.steps.append(step)

    def close(self, status: str) -> None:
        self.status = status


def prepared(folder: Path, *parts: str) -> list[Path]:
    return [folder / "data" / "tiny" / "prepared" / GRID.name / f"index_{part}.csv" for part in parts]


def write_config(folder: Path, output: Path, method: str = "unet_pce", supervision: str = "scribble") -> Path:
    block = MethodBlock(method=method, supervision=supervision, summary="")
    resolve.run(folder / "tiny.yaml", "row", block, RECIPE, GRID, output / "config.json")
    return output / "config.json"


def train_in(folder: Path, run: Path, config: Path, told: Told | None = None, fold: int = 0) -> Told:
    told = told or Told()
    folds = folder / "data" / "tiny" / "folds.json"
    train.run(config, folds, prepared(folder, "train", "val"), fold, 3, run, CPU, told)
    return told


def predict_in(folder: Path, run: Path, output: Path, part: str = "test") -> list[Path]:
    """Predict the test subjects with a run's model; the index files of ``part``."""
    index, folds = prepared(folder, part), folder / "data" / "tiny" / "folds.json"
    predict.run(run / "model.pt", folds, index, 0, "test", Inference(), CPU, output)
    return index


@pytest.fixture(scope="module")
def trained(phantom_prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    folder = tmp_path_factory.mktemp("run")
    return folder, train_in(phantom_prepared, folder, write_config(phantom_prepared, folder))


def test_resolve_fills_in_defaults_and_writes_once(phantom_prepared: Path, tmp_path: Path) -> None:
    path = write_config(phantom_prepared, tmp_path, "cyclemix")
    values = json.loads(path.read_text())
    assert values["classes"] == ["RV", "MYO", "LV"]
    assert values["config"]["weight_global"] == 0.05
    assert values["training"]["max_steps"] == 6
    assert not {"device", "checkpoint_seconds", "jobs_per_gpu"} & set(values["training"])
    before = path.stat().st_mtime_ns
    write_config(phantom_prepared, tmp_path, "cyclemix")
    assert path.stat().st_mtime_ns == before


def test_resolve_refuses_scribbles_for_a_dense_method(phantom_prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="method row: supervision: expected full for unet_full, got scribble"
    ):
        write_config(phantom_prepared, tmp_path, "unet_full", "scribble")


def test_training_leaves_model_history_and_provenance(trained: tuple[Path, Told]) -> None:
    folder, told = trained
    history = pd.read_csv(folder / "history.csv")
    assert list(history["step"]) == [3, 6] == told.steps
    assert list(history.columns[:5]) == ["step", "images", "seconds", "lr", "loss"]
    assert list(history.columns[-4:]) == ["val_dice_RV", "val_dice_MYO", "val_dice_LV", "val_dice_avg"]
    origin = json.loads((folder / "provenance.json").read_text())
    assert {
        "commit",
        "dirty",
        "code_digest",
        "config_digest",
        "data_digest",
        "training_seconds",
        "cpu_seconds",
    } <= set(origin)
    assert (origin["steps"], origin["resumed_at_steps"], origin["device"]) == (6, [], "cpu")
    assert told.status == "FINISHED"


def test_a_finished_training_run_again_gives_the_same_model(
    trained: tuple[Path, Told], phantom_prepared: Path
) -> None:
    folder, _ = trained
    before = torch.load(folder / "model.pt", weights_only=True)
    train_in(phantom_prepared, folder, folder / "config.json")
    after = torch.load(folder / "model.pt", weights_only=True)
    assert all(
        torch.equal(before["state_dict"][key], after["state_dict"][key]) for key in before["state_dict"]
    )
    assert json.loads((folder / "provenance.json").read_text())["resumed_at_steps"] == [6]


def test_a_fold_that_does_not_exist_is_named(phantom_prepared: Path, tmp_path: Path) -> None:
    config = write_config(phantom_prepared, tmp_path)
    with pytest.raises(ConfigError, match=r"folds.json: no fold 4; it holds folds 0..0"):
        train_in(phantom_prepared, tmp_path, config, fold=4)


def test_a_failed_training_tells_the_reporter(
    phantom_prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise FloatingPointError("step 1: loss term pce is nan")

    monkeypatch.setattr("cyclemix.training.engine.Engine.check", break_off)
    told = Told()
    with pytest.raises(FloatingPointError):
        train_in(phantom_prepared, tmp_path, write_config(phantom_prepared, tmp_path), told)
    assert told.status == "FAILED"
    assert not (tmp_path / "model.pt").exists()


def test_sigterm_checkpoints_and_the_rest_gives_the_undisturbed_model(
    trained: tuple[Path, Told], phantom_prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cyclemix.training.engine import Engine

    plain_step = Engine.step

    def step_and_signal(self: Engine, state: Any) -> None:
        plain_step(self, state)
        if state.step == 2 and not state.resumed_at_steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Engine, "step", step_and_signal)
    config = write_config(phantom_prepared, tmp_path)
    told = Told()
    with pytest.raises(train.Interrupted) as caught:
        train_in(phantom_prepared, tmp_path, config, told)
    assert (caught.value.code, told.status) == (143, "KILLED")
    assert (tmp_path / checkpoint.NAME).is_file()
    train_in(phantom_prepared, tmp_path, config)
    assert json.loads((tmp_path / "provenance.json").read_text())["resumed_at_steps"] == [2]
    whole, resumed = (torch.load(path / "model.pt", weights_only=True) for path in (trained[0], tmp_path))
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key


def test_predictions_have_the_upstream_geometry(
    trained: tuple[Path, Told], phantom_prepared: Path, tmp_path: Path
) -> None:
    stale = written_image(np.ones((4, 4, 2), np.uint8), nibabel.Nifti1Header())
    nibabel.save(stale, tmp_path / "stale.nii.gz")
    (index,) = predict_in(phantom_prepared, trained[0], tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    cases = pd.read_csv(index)["case"]
    assert written == ["as_predicted", *(f"{case}.nii.gz" for case in cases), "provenance.json"]
    for name in written[1:-1]:
        saved = nibabel.load(tmp_path / name)
        upstream = nibabel.load(phantom_prepared / "data" / "tiny" / "raw" / "heart005" / name)
        assert saved.shape == upstream.shape
        assert np.array_equal(saved.affine, upstream.affine)
        assert set(np.unique(np.asarray(saved.dataobj))) <= {0, 1, 2, 3}


def test_predictions_never_replace_other_volumes(
    trained: tuple[Path, Told], phantom_prepared: Path, tmp_path: Path
) -> None:
    """A folder of scans given as --output: no volume in it is deleted or replaced."""
    scan = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.int16), np.eye(4)), scan)
    with pytest.raises(
        ValueError, match=r"scan\.nii\.gz: already there and no prediction; name another --out"
    ):
        predict_in(phantom_prepared, trained[0], tmp_path)
    assert [path.name for path in tmp_path.rglob("*.nii.gz")] == ["scan.nii.gz"]


def test_predict_names_missing_cases(
    trained: tuple[Path, Told], phantom_prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="none of fold 0's 1 test subjects is prepared"):
        predict_in(phantom_prepared, trained[0], tmp_path, "val")


def test_training_needs_no_mlflow() -> None:
    code = (
        "import sys, cyclemix.training.train\nsys.exit('mlflow' in sys.modules or 'snakemake' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_new_images_are_segmented_as_the_data_sets_own(
    trained: tuple[Path, Told], phantom_prepared: Path, tmp_path: Path
) -> None:
    (index,) = predict_in(phantom_prepared, trained[0], tmp_path / "predicted")
    raw = phantom_prepared / "data" / "tiny" / "raw" / "heart005"
    images = [raw / f"{case}.nii.gz" for case in pd.read_csv(index)["case"]]
    segment.run([trained[0] / "model.pt"], images, tmp_path / "segmented", Inference(), "cpu")
    for image in images:
        first, second = (nibabel.load(tmp_path / name / image.name) for name in ("predicted", "segmented"))
        assert np.array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))
        assert np.array_equal(first.affine, second.affine)


def test_mask_subjects_lend_masks_and_never_images(phantom_prepared: Path, tmp_path: Path) -> None:
    """Their images are not read: a case file without any image trains the same."""
    masks = pd.read_csv(prepared(phantom_prepared, "masks")[0])
    path = phantom_prepared / "data" / "tiny" / "prepared" / GRID.name / f"{masks['case'][0]}.npz"
    with np.load(path) as stored:
        np.savez_compressed(tmp_path / path.name, meta=stored["meta"], label=stored["label"])
    rows = masks.assign(path=str(tmp_path / path.name)).head(1)
    cases = read_index(prepared(phantom_prepared, "train"))
    settings = load_run_config(write_config(phantom_prepared, tmp_path))
    slices = load_slices(cases, settings, torch.device("cpu"), rows)
    assert slices.masks is not None
    assert len(slices.masks) > 0
    assert not set(slices.case) & set(masks["case"])
    assert (slices.masks.flatten(1) % UNLABELLED > 0).any(dim=1).all()  # every one shows a structure


def test_a_scribbled_patient_lends_no_mask_by_whatever_name() -> None:
    rows = {
        "case": ["a_1", "b_1", "c_1", "d_1"],
        "subject": ["a", "b", "c", "d"],
        "person": ["a", "b", "a", "d"],  # c is a's scan under another name
        "supervision": ["both"] * 4,
    }
    cases = pd.DataFrame(rows)
    fold = {"train": ["a"], "val": ["b"], "masks": ["c", "d"], "test": []}
    lent = train._masks(cases, fold, cases[cases["subject"] == "a"], Path("folds.json"))
    assert list(lent["subject"]) == ["d"]
    with pytest.raises(ConfigError, match=r"folds.json: no prepared subject provides a mask"):
        train._masks(cases, {**fold, "masks": ["c"]}, cases[cases["subject"] == "a"], Path("folds.json"))
