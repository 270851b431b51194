"""The tables after the scores: annotation budgets, significance, clinical measures, levels of the heart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report import wording
from cyclemix.report.page import EMPTY, Cell, Columns, Group, Row, Table
from cyclemix.report.results import AS_PREDICTED, StudyResults, budgets

MEASURES = {
    "edv": "end-diastolic volume",
    "esv": "end-systolic volume",
    "ef": "ejection fraction",
    "mass": "mass",
}


def budget_tables(study: StudyResults) -> list[Table]:
    """Dice by annotation budget; none without an `efficiency` block."""
    points = budgets(study)
    if points.empty:
        return []
    groups = [
        Group(str(method), [_budget_row(point) for point in rows.to_dict("records")])
        for method, rows in points.groupby("method", sort=False)
    ]
    names = ("Subjects", "Part of each scribble", "Labelled pixels", "Dice", "Dice as predicted", "n runs")
    caption, notes = wording.caption(study), wording.EFFICIENCY_NOTES
    columns = [Columns("", names)]
    return [Table("efficiency", "Annotation budget", caption, "Row", columns, groups, notes=notes)]


def _budget_row(point: Mapping[Any, Any]) -> Row:
    dense = point["supervision"] == "full"
    cells = (
        Cell(f"{point['subjects']:g}"),
        EMPTY if dense else Cell(f"{100 * point['scribble_fraction']:.0f} %"),
        Cell(f"{point['labelled_pixels']:,.0f}"),
        Cell(f"{point['dice']:.3f}", note=wording.interval(point["ci_low"], point["ci_high"])),
        Cell(f"{point[AS_PREDICTED]:.3f}"),
        Cell(f"{point['n_runs']:.0f}"),
    )
    return Row(str(point["label"]), cells)


def significance_tables(study: StudyResults) -> list[Table]:
    """Tests against ``compare_to``; none where nothing was tested."""
    if study.significance.empty:
        return []
    against = study.study["compare_to"]
    groups = []
    for metric, title in wording.METRIC_TITLES.items():
        tests = study.significance[study.significance["metric"] == metric].set_index("method")
        labels = [label for label in study.study["methods"] if label in tests.index]
        rows = [_test_row(label, tests.loc[label], wording.DIGITS[metric]) for label in labels]
        groups.append(Group(title, rows))
    names = (f"Difference to {against}", "Effect size", "p", "p (Holm)", "Smallest p", "n", "Claim")
    title, caption, notes = (
        f"Significance against {against}",
        wording.caption(study),
        wording.SIGNIFICANCE_NOTES,
    )
    return [Table("significance", title, caption, "Method", [Columns("", names)], groups, notes=notes)]


def _test_row(label: str, row: pd.Series, digits: int) -> Row:
    interval = wording.interval(row["ci_low"], row["ci_high"], f"+.{digits}f")
    cells = (
        Cell(f"{row['mean_difference']:+.{digits}f}", note=interval),
        Cell(f"{row['effect_size']:+.2f}"),
        Cell(wording.p_words(row["p_value"])),
        Cell(wording.p_words(row["p_holm"])),
        Cell(wording.p_words(row["smallest_p"]), note=f"({wording.p_words(row['smallest_p_holm'])})"),
        Cell(str(int(row["n_patients"]))),
        Cell(str(row["claim"])),
    )
    return Row(label, cells)


def clinical_tables(study: StudyResults) -> list[Table]:
    """Volumes, ejection fraction and mass; none where the data set names no ED and ES frames."""
    if study.agreement.empty:
        return []
    table = study.agreement.set_index(["structure", "measure"]).sort_index()
    groups = []
    for structure in study.structures:
        for measure, title in MEASURES.items():
            if (structure, measure) not in table.index:
                continue
            rows = table.loc[[(structure, measure)]].set_index("method")
            labels = [label for label in study.study["methods"] if label in rows.index]
            unit = rows["unit"].iloc[0]
            shown = [_agreement_row(label, rows.loc[label]) for label in labels]
            groups.append(Group(f"{structure} {title} ({unit})", shown))
    names = ("Predicted", "True", "Bias", "Limits of agreement", "Mean abs. error", "r", "n")
    title, caption, notes = "Clinical measures", wording.caption(study), wording.CLINICAL_NOTES
    return [Table("clinical", title, caption, "Method", [Columns("", names)], groups, notes=notes)]


def _agreement_row(label: str, row: pd.Series) -> Row:
    limits = EMPTY if pd.isna(row["sd"]) else Cell(f"{row['loa_low']:+.1f} to {row['loa_high']:+.1f}")
    cells = (
        Cell(f"{row['mean_pred']:.1f}"),
        Cell(f"{row['mean_true']:.1f}"),
        Cell(f"{row['bias']:+.1f}"),
        limits,
        Cell(f"{row['mean_abs_error']:.1f}"),
        EMPTY if pd.isna(row["correlation"]) else Cell(f"{row['correlation']:.3f}"),
        Cell(str(int(row["n_patients"]))),
    )
    return Row(label, cells)


def level_tables(study: StudyResults) -> list[Table]:
    """Dice of base, middle and apex; none for other organs."""
    if study.levels.empty:
        return []
    levels = ("base", "middle", "apex")
    names = (*study.structures, AVERAGE)
    table = study.levels.set_index(["method", "level", "structure"])["dice_mean"].to_dict()
    labels = [label for label in study.study["methods"] if label in set(study.levels["method"])]
    rows = []
    for label in labels:
        values = [table.get((label, level, structure)) for level in levels for structure in names]
        rows.append(Row(label, [EMPTY if value is None else Cell(f"{value:.3f}") for value in values]))
    columns = [Columns(f"Dice, {level}", names) for level in levels]
    title, caption, notes = "Dice by level of the heart", wording.caption(study), wording.LEVEL_NOTES
    return [Table("levels", title, caption, "Method", columns, [Group("", rows)], notes=notes)]
