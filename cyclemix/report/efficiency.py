"""Dice by annotation budget: number of subjects, kept part of each scribble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cyclemix.report.results import StudyResults, average_dice

COLUMNS = (
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
    "n_runs",
)
"""``subjects`` and ``labelled_pixels`` are those used for training, on the training grid, mean over runs."""


def table(study: StudyResults) -> pd.DataFrame:
    """One row per annotation budget, in the study's order; only a header without an `efficiency` block."""
    scores, rows = average_dice(study.summary), []
    for label, block in study.study["methods"].items():
        point = block.get("budget")
        if point is None or label not in scores.index:
            continue
        amounts = [run.get("training_data", {}) for run in study.provenance[label]]
        found = scores.loc[label]
        rows.append(
            {
                "dataset": study.dataset,
                "method": point["method"],
                "label": label,
                "supervision": block["supervision"],
                "subjects": _mean(amounts, "subjects"),
                "scribble_fraction": point["fraction"],
                "labelled_pixels": _mean(amounts, "labelled_pixels"),
                "dice": found["mean"],
                "ci_low": found["ci_low"],
                "ci_high": found["ci_high"],
                "n_runs": found["n_runs"],
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(amounts: Sequence[Mapping[str, Any]], key: str) -> float:
    known = [amount[key] for amount in amounts if key in amount]
    return round(sum(known) / len(known), 1) if known else float("nan")
