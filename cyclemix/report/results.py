"""Results of a study on one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE

AS_PREDICTED = "dice_as_predicted"
"""Metric of the average Dice without test-time augmentation and post-processing."""

BUDGET_COLUMNS = (
    "dataset",
    "method",
    "label",
    "supervision",
    "subjects",
    "scribble_fraction",
    "labelled_pixels",
    "dice",
    "ci_low",
    "ci_high",
    AS_PREDICTED,
    "n_runs",
)
"""Of ``efficiency.csv``; subjects and labelled pixels are those used for training, mean over runs."""


def average_dice(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of a ``summary.csv`` with the Dice averaged over structures, by method."""
    return summary[(summary["metric"] == "dice") & (summary["structure"] == AVERAGE)].set_index("method")


@dataclass(frozen=True)
class StudyResults:
    """The results of a study on one data set, from which its tables are made.

    Attributes:
        dataset: label of the data set.
        title: its full name.
        terms: licence and citation duty.
        structures: in the order of tables, without the average.
        study: the study as JSON gives it: methods, seeds, folds, protocol, inference, compare_to.
        sizes: subjects by list (train, val, test), averaged over folds.
        provenance: one ``provenance.json`` per run, by method.
        as_predicted: like ``summary``, for the network's labels without test-time augmentation and
            post-processing.
        summary, significance, agreement, levels: tables as they are written to CSV.
        n_patients, n_cases: what was scored.
        n_scored: structures scored over all runs, by method.
        mixed: methods whose runs differ in code, configuration, data or lock.
    """

    dataset: str
    title: str
    terms: str
    structures: tuple[str, ...]
    study: Mapping[str, Any]
    sizes: Mapping[str, int]
    provenance: Mapping[str, Sequence[Mapping[str, Any]]]
    summary: pd.DataFrame
    as_predicted: pd.DataFrame
    significance: pd.DataFrame
    agreement: pd.DataFrame
    levels: pd.DataFrame
    n_patients: int
    n_cases: int
    n_scored: Mapping[str, int]
    mixed: tuple[str, ...] = ()

    @cached_property
    def scores(self) -> Mapping[tuple[str, str, str], Mapping[Any, Any]]:
        """Rows of ``summary`` by method, metric and structure, with the Dice of ``as_predicted``."""
        predicted = self.as_predicted[self.as_predicted["metric"] == "dice"].assign(metric=AS_PREDICTED)
        rows = [*self.summary.to_dict("records"), *predicted.to_dict("records")]
        return {(row["method"], row["metric"], row["structure"]): row for row in rows}


def budgets(study: StudyResults) -> pd.DataFrame:
    """One row per annotation budget, in the study's order; only a header without an `efficiency` block."""
    scores, rows = average_dice(study.summary), []
    predicted = average_dice(study.as_predicted)["mean"]
    for label, block in study.study["methods"].items():
        point = block.get("budget")
        if point is None or label not in scores.index:
            continue
        amounts = [run.get("training_data", {}) for run in study.provenance[label]]
        row = (study.dataset, point["method"], label, block["supervision"])
        budget = (_mean(amounts, "subjects"), point["fraction"], _mean(amounts, "labelled_pixels"))
        mean, low, high, n_runs = scores.loc[label, ["mean", "ci_low", "ci_high", "n_runs"]]
        rows.append((*row, *budget, mean, low, high, predicted[label], n_runs))
    return pd.DataFrame(rows, columns=list(BUDGET_COLUMNS))


def _mean(amounts: Sequence[Mapping[str, Any]], key: str) -> float:
    known = [amount[key] for amount in amounts if key in amount]
    return round(sum(known) / len(known), 1) if known else float("nan")
