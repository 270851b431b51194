"""The runs of a study on one data set, as tables and figures read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.models import Protocol
from cyclemix.config.strict import validate
from cyclemix.data.datasets import DatasetSpec, load_dataset
from cyclemix.files import layout
from cyclemix.provenance import records

RUN_COLUMNS = ("dataset", "method", "fold", "seed")
"""What `Runs.table` adds to the columns of the files."""


@dataclass(frozen=True)
class Runs:
    """The files of a study's runs on one data set."""

    spec: DatasetSpec
    results: Path
    protocol: Protocol
    compare_to: str
    supervision: dict[str, str]
    """By label; all rows of the study, in its order."""
    labels: list[str]
    """Rows that ran."""
    folds: list[int]
    seeds: dict[str, list[int]]
    """By label."""

    @property
    def judge(self) -> str:
        """The method whose scores select the patients that are shown."""
        return self.compare_to if self.compare_to in self.labels else self.labels[-1]

    def folder(self, label: str, fold: int, seed: int) -> Path:
        """Folder of one training."""
        return layout.run_dir(self.results, self.spec.label, label, fold, seed)

    def folders(self, label: str) -> dict[tuple[int, int], Path]:
        """Folders of a row's trainings by (fold, seed)."""
        keys = [(fold, seed) for fold in self.folds for seed in self.seeds[label]]
        return {key: self.folder(label, *key) for key in keys}

    def table(self, name: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """One CSV file of all runs, with `RUN_COLUMNS` in front.

        Args:
            columns: expected ones, if given.

        Raises:
            ValueError: a run lacks the file, or it is altered or has other columns; names it.
        """
        tables = []
        for label in self.labels:
            for (fold, seed), folder in self.folders(label).items():
                table = read_table(folder / name)
                if columns and tuple(table) != columns:
                    expected, got = ", ".join(columns), ", ".join(map(str, table))
                    raise ValueError(f"{folder / name}: expected columns {expected}, got {got}")
                run = dict(zip(RUN_COLUMNS, (self.spec.label, label, fold, seed), strict=True))
                tables.append(pd.DataFrame({**run, **table}, index=table.index))
        return pd.concat(tables, ignore_index=True)

    def histories(self) -> dict[str, list[pd.DataFrame]]:
        """``history.csv`` of every run, by label."""
        return {
            label: [read_table(folder / "history.csv") for folder in self.folders(label).values()]
            for label in self.labels
        }

    def describe(self, per_case: pd.DataFrame) -> str:
        """Which cases and how many runs, e.g. ``official split, test, 15 patients; 3 seeds averaged``."""
        patients = per_case["subject"].nunique()
        kind = (
            "official split" if self.protocol.kind == "official" else f"{self.protocol.folds}-fold by patient"
        )
        counts = sorted({len(self.seeds[label]) for label in self.labels})
        seeds = "one seed" if counts == [1] else f"{'-'.join(map(str, counts))} seeds averaged"
        noun = "patient" if patients == 1 else "patients"
        return f"{kind}, {self.protocol.evaluate_on}, {patients} {noun}; {seeds}"


def open_runs(results: Path, dataset_file: Path, study: Mapping[str, Any]) -> Runs:
    """The runs that ``study`` (see :func:`cyclemix.report.figures.run`) names for a data set.

    Raises:
        ValueError: the study has no row that ran.
    """
    rows = study["methods"]
    order = [label for label in study.get("order", rows) if label in rows]
    labels = [label for label in order if not rows[label].get("reason")]
    if not labels:
        reasons = "; ".join(f"{label}: {rows[label]['reason']}" for label in order)
        raise ValueError(f"study: every row is n/a on {dataset_file.stem}: {reasons}")
    return Runs(
        spec=load_dataset(dataset_file),
        results=results,
        protocol=validate(Protocol, study["protocol"], "study: protocol"),
        compare_to=study["compare_to"],
        supervision={label: rows[label]["supervision"] for label in order},
        labels=labels,
        folds=list(study["folds"]),
        seeds={label: list(rows[label].get("seeds", study["seeds"])) for label in labels},
    )


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file of a run; names stay text.

    Raises:
        ValueError: it is not there, or altered; names it and the stage that writes it.
    """
    if not path.is_file():
        stage = "train" if path.name == "history.csv" else "evaluate"
        raise ValueError(f"{path}: no such file; run `{stage}` for this method, fold and seed first")
    records.check([path.with_name(records.NAME), path.with_name(records.METRICS)], [path])
    text = dict.fromkeys(("case", "subject", "structure", "level"), str)
    return pd.read_csv(path, dtype=text, na_filter=path.name == "history.csv")
