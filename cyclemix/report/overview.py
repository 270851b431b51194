"""The scores of a data set as reStructuredText, for the first page of the report."""

from __future__ import annotations

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report import comparison, wording
from cyclemix.report.page import Cell, Group, Row, Table
from cyclemix.report.results import StudyResults, average_dice

COLUMNS = {"Dice": None, "HD95 (mm)": (AVERAGE,), "": ("Missed", "Training")}
"""Columns that the overview shows, by their common heading; None for all of a heading."""


def build(study: StudyResults) -> str:
    """Title, what was compared, which method came first, and the table of our own rows."""
    table = comparison.scores(study, [])
    parts = [study.title, "-" * len(study.title), "", wording.split_sentence(study), "", headline(study), ""]
    return "\n".join([*parts, *_csv_table(table), "", *_notes(study), ""])


def headline(study: StudyResults) -> str:
    """One sentence per kind of supervision: its best row."""
    means = average_dice(study.summary)
    sentences = []
    for supervision, words in wording.LEARNED_FROM.items():
        rows = means[means["supervision"] == supervision].dropna(subset="mean")
        if rows.empty:
            continue
        best = rows.sort_values("mean", ascending=False, kind="stable").iloc[0]
        known = not pd.isna(best["ci_low"])  # one patient gives no interval
        interval = f" (95 % interval {best['ci_low']:.3f} to {best['ci_high']:.3f})" if known else ""
        score = f"{best['mean']:.3f}{interval}"
        sentences.append(wording.best_sentence(words, text(str(best.name)), len(rows), score))
    return " ".join(sentences)


def text(words: str) -> str:
    """``words`` with the characters escaped that reStructuredText reads as markup."""
    for character in "\\*`|_":
        words = words.replace(character, f"\\{character}")
    return words


def _csv_table(table: Table) -> list[str]:
    shown = [
        (position, f"{heading} {name}".strip())
        for position, (heading, name) in enumerate(
            (group.title, name) for group in table.columns for name in group.names
        )
        if heading in COLUMNS and name in (COLUMNS[heading] or (name,))
    ]
    heads = [table.first_column, "Trained on", *(name for _, name in shown)]
    lines = [".. csv-table::", f"   :header: {_csv(heads)}", ""]
    positions = [position for position, _ in shown]
    return lines + [f"   {_csv(_row(row, group, positions))}" for group in table.groups for row in group.rows]


def _row(row: Row, group: Group, positions: list[int]) -> list[str]:
    head = [text(row.name) + row.mark, group.title.lower()]
    if row.reason:
        return [*head, f"n/a: {text(row.reason)}", *[""] * (len(positions) - 1)]
    return head + [_cell(row.cells[position]) for position in positions]


def _cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.bold else cell.text
    return " ".join(filter(None, (value + text(cell.mark), text(cell.note))))


def _csv(values: list[str]) -> str:
    return ", ".join('"' + value.replace('"', '""') + '"' for value in values)


def _notes(study: StudyResults) -> list[str]:
    notes = [wording.shortened_words(study), *wording.test_notes(study), *wording.no_source_notes(study)]
    return [line for note in filter(None, notes) for line in (text(note), "")]
