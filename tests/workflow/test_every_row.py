"""Every row of config/methods.yaml trains on the phantom, is saved, loaded and predicts."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from rows import BLOCKS, small

from cyclemix.cli.stages import Silent
from cyclemix.config.models import Grid, Inference, Training
from cyclemix.inference import predict
from cyclemix.training import resolve, train

GRID = Grid(spacing_mm=3.2, crop_px=64)
CPU = Training(device="cpu")


@pytest.mark.parametrize("label", BLOCKS)
def test_row_trains_and_predicts(label: str, phantom_prepared: Path, tmp_path: Path) -> None:
    block = BLOCKS[label]
    recipe = small(label, batch_size=2, max_steps=2, validate_every_steps=1)
    config = tmp_path / "config.json"
    resolve.run(phantom_prepared / "tiny.yaml", label, block, recipe, GRID, config)
    folder = phantom_prepared / "data" / "tiny"
    parts = ["train", "val", *(["masks"] if block.supervision == "scribble+masks" else [])]
    index = [folder / "prepared" / GRID.name / f"index_{part}.csv" for part in parts]
    train.run(config, folder / "folds.json", index, 0, 0, tmp_path, CPU, Silent())
    history = pd.read_csv(tmp_path / "history.csv")
    terms = [column for column in history if column.startswith("loss_")]
    assert len(history) == 2
    assert terms
    assert np.isfinite(history[terms].to_numpy()).all()
    output = tmp_path / "predictions"
    predict.run(
        tmp_path / "model.pt",
        folder / "folds.json",
        index,
        0,
        "val",
        Inference(test_time_augmentation=False),
        CPU,
        output,
    )
    val = json.loads((folder / "folds.json").read_text())["folds"][0]["val"]
    written = sorted(output.glob("*.nii.gz"))
    assert {path.name.split("_")[0] for path in written} == set(val)
    assert set(np.unique(np.asarray(nibabel.load(written[0]).dataobj))) <= {0, 1, 2, 3}
