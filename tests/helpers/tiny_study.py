"""One run on the tiny phantom through all stages, in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cyclemix.cli.stages import Silent
from cyclemix.config.models import Grid, Inference, Recipe, Training
from cyclemix.config.study import MethodBlock
from cyclemix.evaluation import evaluate
from cyclemix.files.layout import data_dir, run_dir, table_dir
from cyclemix.inference import predict
from cyclemix.report import tables
from cyclemix.training import resolve, train

GRID = Grid(spacing_mm=3.2, crop_px=64)
RECIPE = Recipe(base_filters=4, levels=3, batch_size=4, max_steps=4, validate_every_steps=2, warmup_steps=0)
CPU = Training(device="cpu")
LABEL = "row"


def study(phantom: Path, results: Path, seed: int = 0) -> Path:
    """Train, predict, evaluate and tabulate one run on the tiny phantom, as the workflow does."""
    source, dataset_file = phantom / "data" / "tiny", phantom / "tiny.yaml"
    folder = data_dir(results, "tiny")
    shutil.copytree(source, folder)
    run = run_dir(results, "tiny", LABEL, 0, seed)
    config, folds, receipt = run.parent / "config.json", folder / "folds.json", folder / "raw_test.json"
    index = {part: folder / "prepared" / GRID.name / f"index_{part}.csv" for part in ("train", "val", "test")}
    block = MethodBlock(method="cyclemix", supervision="scribble", summary="")
    resolve.run(dataset_file, LABEL, block, RECIPE, GRID, config)
    train.run(config, folds, [index["train"], index["val"]], 0, seed, run, CPU, Silent())
    predict.run(run / "model.pt", folds, [index["test"]], 0, "test", Inference(), CPU, run / "predictions")
    evaluate.run(dataset_file, receipt, folds, 0, "test", run / "predictions", run / "metrics.csv")
    tables.run(results, dataset_file, described([seed]), table_dir(results, "tiny"))
    return results


def described(seeds: list[int]) -> dict[str, Any]:
    """The study as ``tabulate`` takes it."""
    row = {"supervision": "scribble", "summary": "", "inference": Inference().model_dump(), "reason": None}
    study = {"methods": {LABEL: row}, "seeds": seeds, "folds": [0], "inference": row["inference"]}
    return study | {"protocol": {"kind": "official", "folds": 5, "evaluate_on": "test"}, "compare_to": LABEL}
