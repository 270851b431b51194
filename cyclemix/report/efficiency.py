"""Dice by annotation budget (number of subjects, kept part of each scribble), as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report.page import EMPTY, Cell, Columns, Group, Row, Table
from cyclemix.report.results import StudyResults
from cyclemix.report.wording import EFFICIENCY_NOTES, caption

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
    dice = study.summary[(study.summary["metric"] == "dice") & (study.summary["structure"] == AVERAGE)]
    scores = dice.set_index("method")
    rows = []
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


def tables(study: StudyResults) -> list[Table]:
    """The annotation budgets as a table of the page; none without an `efficiency` block."""
    points = table(study)
    if points.empty:
        return []
    groups = [
        Group(str(method), tuple(_row(point) for point in rows.to_dict("records")))
        for method, rows in points.groupby("method", sort=False)
    ]
    names = ("Subjects", "Part of each scribble", "Labelled pixels", "Dice", "n runs")
    title, columns = "Annotation budget", (Columns("", names),)
    return [Table("efficiency", title, caption(study), "Row", columns, tuple(groups), notes=EFFICIENCY_NOTES)]


def _row(point: Mapping[Any, Any]) -> Row:
    known = point["ci_low"] == point["ci_low"]  # one patient gives no interval
    interval = f"[{point['ci_low']:.3f}, {point['ci_high']:.3f}]" if known else ""
    dense = point["supervision"] == "full"
    cells = (
        Cell(f"{point['subjects']:g}"),
        EMPTY if dense else Cell(f"{100 * point['scribble_fraction']:.0f} %"),
        Cell(f"{point['labelled_pixels']:,.0f}"),
        Cell(f"{point['dice']:.3f}", note=interval),
        Cell(f"{point['n_runs']:.0f}"),
    )
    return Row(str(point["label"]), cells)
