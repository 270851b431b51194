"""Parameters, tags, metrics and artifacts of a results folder's runs for the MLflow mirror.

Everything here is a pure function of the files, so a run can be mirrored after each stage, after an outage,
or into an empty store, with the same result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.models import modules_of
from cyclemix.data.receipts import pick_fold
from cyclemix.files import layout
from cyclemix.provenance import digests
from cyclemix.provenance.digests import file_digest
from cyclemix.tracking.record import BestModel, RunKey, RunRecord, finite, flatten, rounded

SHOWN = ("dice", "hd95_mm")
"""Measures mirrored as metrics, each a chart in the UI; all others are only in the CSV artifacts."""


def run_key(config: Path, fold: int, seed: int) -> RunKey:
    """Identity of the training of ``config`` on a fold with a seed."""
    values = json.loads(config.read_text())
    return RunKey(values["dataset"], values["label"], fold, seed, file_digest([config]))


def read_history(path: Path) -> tuple[dict[str, dict[int, float]], dict[int, float]]:
    """Metrics by key and step, and the seconds at each step, of a ``history.csv``.

    The column ``images``, a multiple of the step, is omitted.

    Raises:
        ValueError: the file has no ``step`` column.
    """
    table = pd.read_csv(path)
    if "step" not in table.columns:
        raise ValueError(f"{path}: expected a column 'step', got {list(table.columns)}; train the run again")
    metrics: dict[str, dict[int, float]] = {}
    seconds: dict[int, float] = {}
    for row in table.to_dict("records"):
        step = int(row.pop("step"))
        row.pop("images", None)
        if "seconds" in row:
            seconds[step] = float(row["seconds"])
        for name, value in finite({str(column): v for column, v in row.items()}).items():
            metrics.setdefault(name, {})[step] = value
    return metrics, seconds


def read_scores(path: Path, prefix: str) -> dict[str, float]:
    """Scores of a ``metrics.csv``, averaged over each patient's frames, then over patients.

    Keys: ``{prefix}/dice_{structure}``, ``{prefix}/dice_mean`` (mean over structures), ``hd95_mm_..``
    likewise, and ``{prefix}/missed`` (number of structures missing in predictions, over all cases).
    """
    table = pd.read_csv(path, dtype={"case": str, "subject": str})
    names = [name for name in SHOWN if name in table.columns]
    patients = table.groupby(["structure", "subject"], sort=False)[names].mean()
    means = patients.groupby("structure", sort=False).mean()
    scores = {
        f"{prefix}/{name}_{structure}": float(row[name])
        for structure, row in means.iterrows()
        for name in names
    }
    scores |= {f"{prefix}/{name}_mean": float(means[name].mean()) for name in names}
    if "missed" in table.columns:
        scores[f"{prefix}/missed"] = float(table["missed"].sum())
    return finite(scores)


def evaluated_on(folds: Path, fold: int, metrics: Path) -> str:
    """``test`` or ``val``: the list of the fold that contains the subjects of a ``metrics.csv``.

    Raises:
        ValueError: neither contains all of them.
    """
    scored = set(pd.read_csv(metrics, usecols=["subject"], dtype=str)["subject"])
    lists = pick_fold(folds, fold)
    for name in ("test", "val"):
        if scored <= set(lists[name]):
            return name
    raise ValueError(
        f"{metrics}: expected subjects of one list of fold {fold}, test or val, in {folds}; "
        f"got {', '.join(sorted(scored)[:5])}; evaluate the run again"
    )


def read_run(results: Path, run_dir: Path) -> RunRecord:
    """The record of a training from its folder ``.../{method}/fold{F}_seed{S}`` and ``../config.json``.

    Missing files are skipped. Scores of test subjects have the prefix ``test/``, of validation subjects
    ``val_native/``, because ``val/`` are the curves on the training grid.

    Raises:
        ValueError: not the folder of a run, or a file with unexpected content.
    """
    match = re.fullmatch(r"fold(\d+)_seed(\d+)", run_dir.name)
    config = run_dir.parent / "config.json"
    if match is None or not config.is_file():
        raise ValueError(
            f"{run_dir}: expected a folder fold<F>_seed<S> beside a config.json; name a run's folder"
        )
    key = run_key(config, int(match[1]), int(match[2]))
    record = RunRecord(key, params=run_params(config, key))
    origin, history, metrics = (run_dir / name for name in ("provenance.json", "history.csv", "metrics.csv"))
    if origin.is_file():
        values = json.loads(origin.read_text())
        record.tags |= provenance_tags(values)
        record.data_digest = values.get("data_digest")
    if history.is_file():
        record.metrics, record.seconds = read_history(history)
        record.started = history.stat().st_mtime - max(record.seconds.values(), default=0.0)
    if metrics.is_file():
        part = evaluated_on(layout.data_dir(results, key.dataset) / "folds.json", int(match[1]), metrics)
        prefix = {"test": "test", "val": "val_native"}[part]
        # at step 0: the UI draws metrics without later steps as bars
        record.metrics |= {name: {0: value} for name, value in read_scores(metrics, prefix).items()}
        record.tags["evaluated_on"] = part
    files = [config, history, metrics, origin, *sorted(run_dir.glob("*.png"))]
    record.artifacts = [(path, "") for path in files if path.is_file()]
    return record


def finished_runs(results: Path, dataset: str, label: str = "*") -> list[Path]:
    """Folders of finished trainings, except those whose ``config.json`` has changed since."""
    pattern = f"runs/{dataset}/{label}/fold*_seed*/provenance.json"
    return [path.parent for path in sorted(results.glob(pattern)) if _current(path)]


def _current(origin: Path) -> bool:
    config = origin.parent.parent / "config.json"
    try:
        values = json.loads(origin.read_text())
    except json.JSONDecodeError:
        return True  # damaged: reported when the run is read
    return config.is_file() and values.get("config_digest") == file_digest([config])


def best_model(results: Path, dataset: str, label: str) -> BestModel | None:
    """The method's model with the highest validation Dice (the first of ties); None if there is no model."""
    found = []
    for folder in finished_runs(results, dataset, label):
        values = json.loads((folder / "provenance.json").read_text())
        path = folder / "model.pt"
        if path.is_file() and "best_val_dice" in values:
            found.append(BestModel(label, path, values["fold"], values["seed"], values["best_val_dice"]))
    return max(found, key=lambda model: model.val_dice, default=None)


def run_params(config: Path, key: RunKey) -> dict[str, str]:
    """Parameters of a training: its config, flattened, with fold and seed."""
    values = json.loads(config.read_text())
    return {**flatten(values), "fold": str(key.fold), "seed": str(key.seed)}


def provenance_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """A provenance as tags, without file hashes; the commit also as MLflow's source version."""
    short = {name: value for name, value in values.items() if name not in ("inputs", "outputs", "checksum")}
    tags = {f"provenance.{name}": text for name, text in flatten(short).items()}
    commit = values.get("commit")
    if commit:
        tags["mlflow.source.git.commit"] = str(commit)
    return tags


def early_provenance(config: Path) -> dict[str, Any]:
    """The part of a training's ``provenance.json`` that is known before the data are read."""
    values = json.loads(config.read_text())
    known = digests.collect(config, [], modules_of(values["method"], values["training"]["network"]))
    return {name: value for name, value in known.items() if name != "data_digest"}


def read_summary(results: Path, dataset: str) -> list[RunRecord]:
    """One record per method from ``summary.csv``: ``cv/dice_mean``, ``cv/dice_std``, ``cv/dice_LV``, ...

    For comparison in the UI, whose chart page shows ten runs, fewer than a study has trainings.
    """
    path = layout.table_dir(results, dataset) / "summary.csv"
    table, records = pd.read_csv(path), []
    colours = _colours(path, table)
    for method, rows in table.groupby("method", sort=False):
        scores = _summary_scores(rows)
        if not scores:
            continue  # n/a row
        record = RunRecord(RunKey(dataset, str(method), stage="summary"))
        record.metrics = {name: {0: value} for name, value in scores.items()}
        first = rows.iloc[0]
        record.params = {"label": str(method), "dataset": dataset}
        record.tags["mlflow.runColor"] = colours[str(method)]
        record.params |= {
            name: rounded(first[name]) for name in ("supervision", "n_cases", "n_runs") if name in rows
        }
        record.best = best_model(results, dataset, str(method))
        if record.best is not None:
            record.params |= {"best_fold": str(record.best.fold), "best_seed": str(record.best.seed)}
        records.append(record)
    return records


def _colours(path: Path, table: pd.DataFrame) -> dict[str, str]:
    """The figures' colour of each method; MLflow's colours, drawn from run ids, may coincide."""
    from cyclemix.report.plots.style import method_colours  # matplotlib, which no training needs

    rows = table.drop_duplicates("method")
    supervision = dict(zip(rows["method"].astype(str), rows["supervision"].astype(str), strict=True))
    significance = path.with_name("significance.csv")
    against = pd.read_csv(significance)["compare_to"] if significance.is_file() else pd.Series(dtype=str)
    return method_colours(supervision, str(against.iloc[0]) if len(against) else "cyclemix")


def _summary_scores(rows: pd.DataFrame) -> dict[str, float]:
    scores: dict[str, Any] = {}
    for row in rows[rows["metric"].isin(SHOWN)].to_dict("records"):
        metric, structure = row["metric"], row["structure"]
        if structure == "Avg":
            scores |= {f"cv/{metric}_mean": row["mean"], f"cv/{metric}_std": row["std"]}
            scores["cv/missed"] = row["n_missed"]
        else:
            scores[f"cv/{metric}_{structure}"] = row["mean"]
    return finite(scores)


def read_report(results: Path, dataset: str) -> RunRecord:
    """The record with a data set's tables and figures as artifacts (stage ``report``)."""
    record = RunRecord(RunKey(dataset, "comparison", stage="report"))
    tables, figures = layout.table_dir(results, dataset), layout.figure_dir(results, dataset)
    record.artifacts = [(path, "tables") for path in sorted(tables.glob("*")) if path.is_file()]
    record.artifacts += [(path, "figures") for path in sorted(figures.glob("*.png"))]
    return record
