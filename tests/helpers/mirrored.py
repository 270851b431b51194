"""Results folders as finished stages leave them, without a training, for the tests of the MLflow mirror."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.provenance.digests import file_digest
from cyclemix.tracking.store import Store

TRACKING = Tracking()
SCORES = "case,subject,structure,dice,hd_mm,hd95_mm,assd_mm,volume_pred_ml,volume_true_ml,missed\n"
SUMMARY = "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs\n"


def runs_of(results: Path, stage: str = "train") -> list[Any]:
    """The runs of ``mscmr`` in the store."""
    store = Store(results, TRACKING)
    return list(store.client.search_runs([store.experiment("mscmr")], f"tags.stage = '{stage}'"))


def history_of(results: Path, run: Any, key: str) -> list[tuple[int, float]]:
    """(step, value) of a metric of a run in the store."""
    points = Store(results, TRACKING).client.get_metric_history(run.info.run_id, key)
    return sorted((point.step, round(point.value, 4)) for point in points)


def write_config(results: Path, label: str = "cyclemix", dataset: str = "mscmr") -> Path:
    """``config.json`` of a row."""
    path = layout.method_dir(results, dataset, label) / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    training = {"network": "unet", "learning_rate": 0.0012345678, "levels": [1, 2]}
    values = {"label": label, "dataset": dataset, "method": "cyclemix", "training": training}
    path.write_text(json.dumps(values))
    return path


def loss(seed: int, step: int) -> float:
    """The loss that `write_training` writes, exact in decimal."""
    return round(seed + step / 100, 2)


def write_training(
    results: Path, seed: int = 1, steps: int = 3, val_dice: float = 0.8, label: str = "cyclemix"
) -> Path:
    """A finished training on fold 0 of ``mscmr``; returns its folder."""
    config = write_config(results, label)
    folder = config.parent / f"fold0_seed{seed}"
    folder.mkdir(exist_ok=True)
    rows = [f"{step},{32 * step},{2 * step},{loss(seed, step)},0.5" for step in range(1, steps + 1)]
    (folder / "history.csv").write_text("\n".join(["step,images,seconds,loss,val_dice_avg", *rows]) + "\n")
    origin = {"commit": "c0ffee", "data_digest": "d1", "hardware": {"cores": 2}, "fold": 0, "seed": seed}
    origin |= {"config_digest": file_digest([config]), "best_val_dice": val_dice}
    (folder / "provenance.json").write_text(json.dumps(origin))
    (folder / "model.pt").write_text(f"weights of {label} with seed {seed}")
    return folder


def write_scores(results: Path, folder: Path, dice: float = 0.9, subjects: str = "ab") -> None:
    """``metrics.csv`` of a run: two frames of the first subject, one of the second, which is missed."""
    first, second = subjects
    rows = [
        f"{first}_ED,{first},LV,{dice},4,2,1,1,1,0",
        f"{first}_ES,{first},LV,0.7,8,4,3,1,1,0",
        f"{second}_ED,{second},LV,0.6,30,30,30,0,1,1",
    ]
    (folder / "metrics.csv").write_text(SCORES + "\n".join(rows) + "\n")
    folds = layout.data_dir(results, "mscmr") / "folds.json"
    folds.parent.mkdir(parents=True, exist_ok=True)
    lists = {"train": ["t"], "val": ["v", "w"], "test": ["a", "b", "c"]}
    folds.write_text(json.dumps({"protocol": {}, "folds": [lists]}))


def make_run(results: Path, seed: int = 1, dice: float = 0.9) -> Path:
    """A finished and evaluated run; returns its folder."""
    folder = write_training(results, seed)
    write_scores(results, folder, dice)
    return folder


def write_tables(results: Path, mean: float = 0.87, labels: tuple[str, ...] = ("cyclemix",)) -> None:
    """``summary.csv`` with one row per method, and one figure."""
    tables, figures = layout.table_dir(results, "mscmr"), layout.figure_dir(results, "mscmr")
    for folder in (tables, figures):
        folder.mkdir(parents=True, exist_ok=True)
    rows = [f"mscmr,{label},scribble,Avg,dice,{mean},0.03,0.84,0.9,5,2,3\n" for label in labels]
    (tables / "summary.csv").write_text(SUMMARY + "".join(rows))
    (figures / "boxplot.png").write_bytes(b"png")


def make_study(results: Path, seeds: int = 2) -> None:
    """Runs, tables and figures; the validation Dice is highest for the last seed."""
    for seed in range(seeds):
        write_scores(results, write_training(results, seed, val_dice=0.8 + seed / 100))
    write_tables(results)
