"""All tables of a data set, from the runs' ``metrics.csv`` to the comparison page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.strict import write_if_changed
from cyclemix.data.receipts import pick_fold
from cyclemix.evaluation import clinical, statistics
from cyclemix.evaluation.scores import COLUMNS, LEVEL_COLUMNS, write_csv
from cyclemix.files.layout import data_dir, method_dir
from cyclemix.provenance import records
from cyclemix.provenance import rows as mixed_runs
from cyclemix.provenance.digests import file_digest
from cyclemix.report import comparison, overview, published, render
from cyclemix.report.results import StudyResults, budgets
from cyclemix.report.runs import RUN_COLUMNS, Runs, open_runs

log = logging.getLogger(__name__)


def run(
    results: Path,
    dataset_file: Path,
    study: Mapping[str, Any],
    output_dir: Path,
    published_file: Path = published.PATH,
    allow_mixed: bool = False,
) -> None:
    """Write the tables of one data set into ``output_dir``.

    ``per_case.csv`` and ``summary.csv``, both also with ``_as_predicted`` in the name; ``significance.csv``;
    ``clinical.csv``, ``clinical_per_patient.csv`` and ``levels.csv`` (a header alone where the data set has
    no ED and ES frames, or no heart); ``efficiency.csv`` (a header alone without an `efficiency` block);
    ``comparison.{md,tex,html}``; ``overview.rst``, our own scores for the first page of the report;
    ``provenance.json``, the hashes of all these and of the runs' files.

    Args:
        study: ``methods`` (label -> supervision, summary, inference, reason for n/a or None), ``seeds``,
            ``folds``, ``protocol``, ``inference``, ``compare_to``; ``order`` (labels) where the order of
            rows is not that of ``methods``; ``seeds`` of a method that has its own.
        allow_mixed: average runs that differ in code, configuration, data or lock; the row is marked.

    Raises:
        ValueError: a run's file is missing or has other columns, the study names no run at all, or the runs
            of a row are mixed.
    """
    runs = open_runs(results, dataset_file, study)
    spec, supervision = runs.spec, runs.supervision
    study = {**study, "methods": {label: study["methods"][label] for label in supervision}}
    odd = _check_mixed(runs, allow_mixed)
    per_case = _sorted(runs.table("metrics.csv", COLUMNS))
    raw = _sorted(runs.table("metrics_as_predicted.csv", COLUMNS))
    per_level = _sorted(runs.table("metrics_by_level.csv", LEVEL_COLUMNS))
    patients = clinical.measures(per_case, spec)
    made = StudyResults(
        dataset=spec.label,
        title=spec.title,
        terms=spec.terms,
        structures=tuple(spec.structures),
        study=study,
        sizes=_sizes(runs),
        provenance=_provenance(runs),
        summary=statistics.summarise(per_case, supervision, spec.structures),
        as_predicted=statistics.summarise(raw, supervision, spec.structures),
        significance=statistics.compare(per_case, study["compare_to"]),
        agreement=clinical.agreement(patients),
        levels=clinical.by_level(per_level),
        n_patients=per_case["subject"].nunique(),
        n_cases=per_case["case"].nunique(),
        n_scored={str(label): len(rows) for label, rows in per_case.groupby("method")},
        mixed=odd,
    )
    tables = {"per_case": per_case, "clinical_per_patient": patients, "clinical": made.agreement}
    tables |= {"per_case_as_predicted": raw, "summary_as_predicted": made.as_predicted}
    tables |= {"summary": made.summary, "significance": made.significance, "levels": made.levels}
    tables["efficiency"] = budgets(made)
    for name, table in tables.items():
        write_csv(table, output_dir / f"{name}.csv")
    pages = _write_pages(made, published.rows_of(spec.data_label, published_file), output_dir)
    about = records.made_by("tables", study=study, mixed=odd, published=file_digest([published_file]))
    outputs = [*(output_dir / f"{name}.csv" for name in tables), *pages]
    records.write(output_dir / records.NAME, about, _sources(runs), outputs)
    log.info("%s: tables of %d methods, %d patients", output_dir, len(made.provenance), made.n_patients)


def _check_mixed(runs: Runs, allowed: bool) -> tuple[str, ...]:
    """Labels of mixed rows; raises ValueError if there are any and they are not ``allowed``."""
    mixed = []
    for label in runs.labels:
        lines = mixed_runs.differences(runs.results, list(runs.folders(label).values()))
        if not lines:
            continue
        where = method_dir(runs.results, runs.spec.label, label)
        more = [f"... and {len(lines) - 6} more"] if len(lines) > 6 else []
        text = "\n  ".join(
            [f"{where}: the runs of row {label} were made from different things:", *lines[:6], *more]
        )
        if not allowed:
            raise ValueError(
                f"{text}\nDelete the folders of the odd runs and run the study again, or set "
                "`allow_mixed: true` in the study file (--allow-mixed) to average them and mark the row"
            )
        log.warning("%s", text)
        mixed.append(label)
    return tuple(mixed)


def _sources(runs: Runs) -> list[Path]:
    """Files of the runs that the tables come from, with the records that lead further back."""
    names = (*records.SCORES, records.NAME, records.METRICS)
    folders = [folder for label in runs.labels for folder in runs.folders(label).values()]
    files = [folder / name for folder in folders for name in (*names, f"predictions/{records.NAME}")]
    folds = data_dir(runs.results, runs.spec.label) / "folds.json"
    return [folds, *(file for file in files if file.is_file())]


def _write_pages(study: StudyResults, papers: list[published.PublishedRow], folder: Path) -> list[Path]:
    """Write the pages; returns their files."""
    page = comparison.build(study, papers)
    pages = {
        "comparison.md": render.markdown(page),
        "comparison.tex": render.latex(page),
        "comparison.html": render.html(page),
        "overview.rst": overview.build(study),
    }
    for name, text in pages.items():
        write_if_changed(folder / name, text)
    return [folder / name for name in pages]


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of all keys."""
    keys = [column for column in (*RUN_COLUMNS, "case", "structure", "level") if column in table]
    return table.sort_values(keys, ignore_index=True)


def _sizes(runs: Runs) -> dict[str, int]:
    """Subjects by list, averaged over the folds that were run."""
    path = data_dir(runs.results, runs.spec.label) / "folds.json"
    chosen = [pick_fold(path, fold) for fold in runs.folds]
    return {
        name: round(sum(len(fold[name]) for fold in chosen) / len(chosen))
        for name in ("train", "val", "test")
    }


def _provenance(runs: Runs) -> dict[str, list[dict[str, Any]]]:
    """``provenance.json`` of every run, by label."""
    found: dict[str, list[dict[str, Any]]] = {label: [] for label in runs.labels}
    for label in runs.labels:
        for folder in runs.folders(label).values():
            path = folder / records.NAME
            if not path.is_file():
                raise ValueError(f"{path}: no such file; train this run first")
            origin = json.loads(path.read_text())
            if "training_seconds" not in origin:
                raise ValueError(f"{path}: no training_seconds; train this run again")
            found[label].append(origin)
    return found
