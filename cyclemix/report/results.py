"""Results of a study on one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE


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
