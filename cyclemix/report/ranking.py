"""Draw all rows of a study on all its data sets in one figure, from their ``summary.csv``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cyclemix.data.datasets import DatasetSpec, load_dataset
from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.files.layout import table_dir
from cyclemix.report import published
from cyclemix.report.plots import ranking, style
from cyclemix.report.results import average_dice

log = logging.getLogger(__name__)


def run(results: Path, dataset_files: Sequence[Path], output_dir: Path) -> None:
    """Draw ``ranking.png`` and ``.svg``: mean Dice and its interval, rows grouped by supervision.

    Args:
        results: the results folder; its ``tables/{dataset}`` have ``summary.csv``,
            ``summary_as_predicted.csv`` and ``per_case.csv``.
        dataset_files: the YAML file of each data set; one panel per data set.

    Raises:
        ValueError: a table is missing.
    """
    specs = [load_dataset(path) for path in dataset_files]
    folders = [table_dir(results, spec.label) for spec in specs]
    panels = [
        panel(folder, spec, pd.read_csv(_made(folder / "per_case.csv")))
        for folder, spec in zip(folders, specs, strict=True)
    ]
    with style.styled():
        style.save(ranking.draw(panels), output_dir, "ranking", vector=True)
    log.info("%s: %s", output_dir / "ranking.png", ", ".join(panel.title for panel in panels))


def panel(folder: Path, spec: DatasetSpec, per_case: pd.DataFrame) -> ranking.Panel:
    """Mean Dice of every row and training on a data set, and the best published one.

    Args:
        folder: has ``summary.csv`` and ``summary_as_predicted.csv``.
        per_case: columns ``method, fold, seed, subject, case, dice`` of ``per_case.csv``.

    Raises:
        ValueError: a table is missing.
    """
    tables = [_made(folder / name) for name in ("summary.csv", "summary_as_predicted.csv")]
    cleaned, raw = (average_dice(pd.read_csv(path)) for path in tables)
    table = cleaned.dropna(subset="mean")[["supervision", "mean", "ci_low", "ci_high", "n_runs"]]
    table = table.assign(as_predicted=raw["mean"])
    return ranking.Panel(spec.title, table, trainings(per_case), best_published(spec))


def trainings(per_case: pd.DataFrame) -> pd.Series:
    """Mean Dice of every training: over structures, then cases, then patients; one entry each, by method."""
    run = ["method", "fold", "seed"]
    patients = per_case.groupby([*run, "subject", "case"])["dice"].mean().groupby([*run, "subject"]).mean()
    return patients.groupby(run).mean().droplevel(["fold", "seed"])


def _made(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; run tabulate first")
    return path


def best_published(spec: DatasetSpec) -> tuple[str, float] | None:
    """Name and Dice of the best published row from as many scribbled subjects; None where there is none."""
    count, found = len(spec.official.get("train", [])), []
    for row in published.rows_of(spec.label):
        value = row.values.get(("dice", AVERAGE))
        if value is not None and row.supervision == "scribble" and row.subjects == count:
            found.append((value[0], row.method, row.source))
    if not found:
        return None
    mean, method, source = max(found)
    return f"{method}, {source.partition(',')[0]}", mean
