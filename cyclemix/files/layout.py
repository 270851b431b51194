"""Paths under the results folder, shared by rules and stages."""

from __future__ import annotations

import os
from pathlib import Path

AS_PREDICTED = "as_predicted"
"""Folder in a run's ``predictions`` with the network's own labels: one view, no post-processing."""


def data_dir(results: str | Path, source: str) -> Path:
    """Raw and prepared files of a source, and the folds of a data set."""
    return Path(results) / "data" / source


def method_dir(results: str | Path, dataset: str, label: str) -> Path:
    """``config.json`` and the runs of one method on one data set."""
    return Path(results) / "runs" / dataset / label


def run_dir(results: str | Path, dataset: str, label: str, fold: int, seed: int) -> Path:
    """One training: its model, history, provenance, predictions and metrics."""
    return method_dir(results, dataset, label) / f"fold{fold}_seed{seed}"


def table_dir(results: str | Path, dataset: str) -> Path:
    """``summary.csv``, ``per_case.csv``, ``significance.csv``, ``comparison.{md,tex,html}``."""
    return Path(results) / "tables" / dataset


def figure_dir(results: str | Path, dataset: str) -> Path:
    """Figures of a data set."""
    return Path(results) / "figures" / dataset


def mlflow_dir(results: str | Path) -> Path:
    """The MLflow store and its artifacts."""
    return Path(results) / "mlflow"


def database(results: str | Path) -> Path:
    """The sqlite file of the MLflow store, absolute."""
    return (mlflow_dir(results) / "mlflow.db").resolve()


def tracking_uri(results: str | Path, uri: str | None) -> str:
    """The MLflow URI: the study's, else ``MLFLOW_TRACKING_URI``, else sqlite under the results folder."""
    named = uri or os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{database(results)}"
