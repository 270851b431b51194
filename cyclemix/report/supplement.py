"""The tables after the scores: significance tests, clinical measures, Dice by level of the heart."""

from __future__ import annotations

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report.page import EMPTY, Cell, Columns, Group, Row, Table
from cyclemix.report.results import StudyResults
from cyclemix.report.wording import (
    CLINICAL_NOTES,
    DIGITS,
    LEVEL_NOTES,
    METRIC_TITLES,
    SIGNIFICANCE_NOTES,
    caption,
    p_words,
)

MEASURES = {
    "edv": "end-diastolic volume",
    "esv": "end-systolic volume",
    "ef": "ejection fraction",
    "mass": "mass",
}


def significance_tables(study: StudyResults) -> list[Table]:
    """Tests against ``compare_to``; none where nothing was tested."""
    if study.significance.empty:
        return []
    against = study.study["compare_to"]
    groups = []
    for metric, title in METRIC_TITLES.items():
        tests = study.significance[study.significance["metric"] == metric].set_index("method")
        labels = [label for label in study.study["methods"] if label in tests.index]
        rows = tuple(_test_row(label, tests.loc[label], DIGITS[metric]) for label in labels)
        groups.append(Group(title, rows))
    names = (f"Difference to {against}", "Effect size", "p", "p (Holm)", "Smallest p", "n", "Claim")
    columns = (Columns("", names),)
    title = f"Significance against {against}"
    return [
        Table(
            "significance", title, caption(study), "Method", columns, tuple(groups), notes=SIGNIFICANCE_NOTES
        )
    ]


def _test_row(label: str, row: pd.Series, digits: int) -> Row:
    interval = (
        "" if pd.isna(row["ci_low"]) else f"[{row['ci_low']:+.{digits}f}, {row['ci_high']:+.{digits}f}]"
    )
    cells = (
        Cell(f"{row['mean_difference']:+.{digits}f}", note=interval),
        Cell(f"{row['effect_size']:+.2f}"),
        Cell(p_words(row["p_value"])),
        Cell(p_words(row["p_holm"])),
        Cell(p_words(row["smallest_p"]), note=f"({p_words(row['smallest_p_holm'])})"),
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
            shown = tuple(_agreement_row(label, rows.loc[label]) for label in labels)
            groups.append(Group(f"{structure} {title} ({unit})", shown))
    names = ("Predicted", "True", "Bias", "Limits of agreement", "Mean abs. error", "r", "n")
    columns = (Columns("", names),)
    title = "Clinical measures"
    return [Table("clinical", title, caption(study), "Method", columns, tuple(groups), notes=CLINICAL_NOTES)]


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
        rows.append(Row(label, tuple(EMPTY if value is None else Cell(f"{value:.3f}") for value in values)))
    columns = tuple(Columns(f"Dice, {level}", names) for level in levels)
    title = "Dice by level of the heart"
    return [
        Table(
            "levels", title, caption(study), "Method", columns, (Group("", tuple(rows)),), notes=LEVEL_NOTES
        )
    ]
