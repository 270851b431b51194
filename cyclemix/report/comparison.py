"""Assemble the page of a data set: own rows by supervision, with comparable and other published numbers.

A published row is shown in the table of our scores only if both were scored on the official test patients
after training on the same number of subjects; all others are in separate tables, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report import supplement, wording
from cyclemix.report.page import EMPTY, Cell, Columns, Group, Kind, Page, Row, Table
from cyclemix.report.published import CHECKED, PublishedRow
from cyclemix.report.results import AS_PREDICTED, StudyResults


def build(study: StudyResults, published: Sequence[PublishedRow]) -> Page:
    """The page of a data set.

    Args:
        published: rows of the data set, comparable or not.
    """
    beside = [row for row in published if not apart(study, row)]
    tables = [scores(study, beside), *_published_tables(study, published)]
    tables += supplement.budget_tables(study) + supplement.significance_tables(study)
    tables += supplement.clinical_tables(study) + supplement.level_tables(study)
    return Page(f"{study.title}: comparison", wording.facts(study), tables)


def apart(study: StudyResults, row: PublishedRow) -> str:
    """Why a published row is not comparable with ours; empty if it is."""
    protocol = study.study["protocol"]
    if (protocol["kind"], protocol["evaluate_on"]) != ("official", "test"):
        return "patients"
    if row.subjects is None:
        return "unstated"
    return "" if row.subjects == study.sizes["train"] else "other"


def scores(study: StudyResults, beside: Sequence[PublishedRow]) -> Table:
    """Own rows, with the comparable published rows."""
    names = (*study.structures, AVERAGE)
    columns = [("dice", structure) for structure in names] + [(AS_PREDICTED, AVERAGE)]
    columns += [("hd95_mm", structure) for structure in names] + [("assd_mm", AVERAGE)]
    sources = _sources(beside)
    groups = []
    for supervision, title in wording.LEARNED_FROM.items():
        labels = [k for k, block in study.study["methods"].items() if block["supervision"] == supervision]
        papers = [row for row in beside if row.supervision == supervision]
        best = _best(study, labels, papers, columns)
        rows = [_own_row(study, label, columns, best) for label in labels]
        rows += [_published_row(row, columns, best, sources, beside=True) for row in papers]
        if rows:
            groups.append(Group(title.capitalize(), rows))
    heads = (
        Columns(wording.METRIC_TITLES["dice"], names),
        Columns("Dice as predicted", (AVERAGE,)),
        Columns(wording.METRIC_TITLES["hd95_mm"], names),
        Columns(wording.METRIC_TITLES["assd_mm"], (AVERAGE,)),
        Columns("", ("Missed", "Training")),
    )
    title = "Scores" if not beside else "Scores beside published numbers"
    warning, notes = wording.shortened_words(study), wording.score_notes(study, bool(beside))
    notes += wording.source_notes(beside, sources)
    return Table("scores", title, wording.caption(study), "Method", heads, groups, warning, notes)


def _best(
    study: StudyResults,
    labels: Sequence[str],
    papers: Sequence[PublishedRow],
    columns: Sequence[tuple[str, str]],
) -> dict[tuple[str, str], float]:
    """Best value of each column as it is printed, among own and verified rows; none for a group of one."""
    best, verified = {}, [paper for paper in papers if paper.checked == "yes"]
    for column in columns:
        values = [float(row["mean"]) for label in labels if (row := study.scores.get((label, *column)))]
        values += [paper.values[column][0] for paper in verified if column in paper.values]
        if len(values) > 1:
            pick = max if column[0] in ("dice", AS_PREDICTED) else min
            best[column] = round(pick(values), wording.DIGITS[column[0]])
    return best


def _own_row(
    study: StudyResults,
    label: str,
    columns: Sequence[tuple[str, str]],
    best: Mapping[tuple[str, str], float],
) -> Row:
    block = study.study["methods"][label]
    mark = wording.NO_SOURCE if block.get("source") == "none" else ""
    if block.get("reason"):
        return Row(label, kind="na", detail=block.get("summary", ""), mark=mark, reason=block["reason"])
    kind: Kind = "reference" if label == study.study["compare_to"] else "own"
    tags = ["reference"] if kind == "reference" else []
    detail = block.get("summary", "")
    inference = block.get("inference", study.study["inference"])
    if inference != study.study["inference"]:
        tags.append("other inference")
        detail = f"{detail}; inference: {wording.inference_words(inference)}"
    if "shortened" in block and not wording.all_shortened_alike(study):
        tags.append("shortened")
        detail = f"{detail}; {block['shortened']['to']} of its {block['shortened']['from']} steps"
    if label in study.mixed:
        tags.append("mixed runs")
        detail = f"{detail}; its runs differ in code, configuration, data or lock"
    cells = [_own_cell(study, label, column, best) for column in columns]
    average = study.scores.get((label, "dice", AVERAGE))
    if average is None:
        raise ValueError(f"summary: no row of {label} for Dice of {AVERAGE}; run tabulate again")
    seconds = [float(origin["training_seconds"]) for origin in study.provenance[label]]
    cells.append(Cell(str(int(average["n_missed"])), note=f"of {study.n_scored[label]}"))
    cells.append(Cell(wording.duration(sum(seconds) / len(seconds))))
    return Row(label, cells, kind, tags, detail, mark=mark)


def _own_cell(
    study: StudyResults, label: str, column: tuple[str, str], best: Mapping[tuple[str, str], float]
) -> Cell:
    found = study.scores.get((label, *column))
    if found is None:
        return EMPTY
    metric, structure = column
    mean, digits = float(found["mean"]), wording.DIGITS[metric]
    cell = _value(mean, None if pd.isna(found["std"]) else float(found["std"]), digits, best.get(column))
    if structure != AVERAGE:
        return cell
    mark = _mark(study, label, metric)
    low, high = (None if pd.isna(found[key]) else float(found[key]) for key in ("ci_low", "ci_high"))
    note = wording.interval(found["ci_low"], found["ci_high"], f".{digits}f")
    return replace(cell, note=note, mark=mark, interval=(low, mean, high) if metric == "dice" else None)


def _mark(study: StudyResults, label: str, metric: str) -> str:
    table = study.significance
    row = table[(table["method"] == label) & (table["metric"] == metric)]
    return wording.MARK if not row.empty and row["claim"].iloc[0] in ("better", "worse") else ""


def _published_row(
    row: PublishedRow,
    columns: Sequence[tuple[str, str]],
    best: Mapping[tuple[str, str], float],
    sources: Mapping[str, str],
    *,
    beside: bool,
) -> Row:
    """A published row; ``beside`` ours it is tagged and has no missed structures and no training time."""
    cells = []
    for column in columns:
        if column not in row.values:
            cells.append(EMPTY)
            continue
        mean, std = row.values[column]
        target = best.get(column) if row.checked == "yes" else None
        drawn = (None, mean, None) if column == ("dice", AVERAGE) else None
        cells.append(replace(_value(mean, std, wording.DIGITS[column[0]], target), interval=drawn))
    cells += [EMPTY, EMPTY] if beside else []
    tags = list(filter(None, ("published" if beside else "", CHECKED[row.checked])))
    return Row(row.method, cells, "published", tags, row.stated, source=sources[row.source])


def _value(mean: float, std: float | None, digits: int, best: float | None) -> Cell:
    spread = "" if std is None else f"{std:.{digits}f}"
    return Cell(f"{mean:.{digits}f}", spread, bold=best is not None and round(mean, digits) == best)


def _sources(rows: Sequence[PublishedRow]) -> dict[str, str]:
    """Number of each source, in the order of first use by group."""
    kinds = list(wording.LEARNED_FROM)
    ordered = dict.fromkeys(row.source for row in sorted(rows, key=lambda row: kinds.index(row.supervision)))
    return {source: str(number) for number, source in enumerate(ordered, start=1)}


def _published_tables(study: StudyResults, published: Sequence[PublishedRow]) -> list[Table]:
    """Published rows that are not comparable with ours, one table per reason."""
    names = (*study.structures, AVERAGE)
    columns = [("dice", structure) for structure in names]
    title, heads = "Published numbers, not comparable", [Columns(wording.METRIC_TITLES["dice"], names)]
    tables = []
    for key, warning in wording.not_comparable(study).items():
        rows = [row for row in published if apart(study, row) == key]
        sources, groups = _sources(rows), []
        for supervision, heading in wording.LEARNED_FROM.items():
            papers = [row for row in rows if row.supervision == supervision]
            shown = [_published_row(row, columns, {}, sources, beside=False) for row in papers]
            groups += [Group(heading.capitalize(), shown)] if shown else []
        if groups:
            notes, caption = wording.source_notes(rows, sources), wording.PUBLISHED_CAPTION
            tables.append(Table(f"published-{key}", title, caption, "Method", heads, groups, warning, notes))
    return tables
