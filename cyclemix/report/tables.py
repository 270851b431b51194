"""All tables of a data set, from the runs' ``metrics.csv`` to the comparison page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.strict import write_if_changed
from cyclemix.data.datasets import DatasetSpec, load_dataset
from cyclemix.data.receipts import pick_fold
from cyclemix.evaluation import clinical, statistics
from cyclemix.evaluation.scores import COLUMNS, LEVEL_COLUMNS, write_csv
from cyclemix.files.layout import data_dir, method_dir, run_dir
from cyclemix.provenance import records
from cyclemix.provenance import rows as mixed_runs
from cyclemix.provenance.digests import file_digest
from cyclemix.report import comparison, efficiency, html, latex, markdown, overview, published
from cyclemix.report.results import StudyResults

log = logging.getLogger(__name__)

RUN_COLUMNS = ("dataset", "method", "fold", "seed")
_TEXT = {"case": str, "subject": str, "structure": str, "level": str}


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
        results: the results folder.
        dataset_file: the data set's YAML file.
        study: ``methods`` (label -> supervision, summary, inference, reason for n/a or None), ``seeds``,
            ``folds``, ``protocol``, ``inference``, ``compare_to``; ``order`` (labels) where the order of
            rows is not that of ``methods``; ``seeds`` of a method that has its own.
        output_dir: the folder to write to.
        published_file: the published numbers.
        allow_mixed: average runs that differ in code, configuration, data or lock; the row is marked.

    Raises:
        ValueError: a run's file is missing or has other columns, the study names no run at all, or the runs
            of a row are mixed.
    """
    spec = load_dataset(dataset_file)
    study = {**study, "methods": _ordered(study)}
    odd = _check_mixed(results, spec.label, study, allow_mixed)
    per_case = read_runs(results, spec.label, study, "metrics.csv", COLUMNS)
    raw = read_runs(results, spec.label, study, "metrics_as_predicted.csv", COLUMNS)
    per_level = read_runs(results, spec.label, study, "metrics_by_level.csv", LEVEL_COLUMNS)
    supervision = {label: block["supervision"] for label, block in study["methods"].items()}
    patients = clinical.measures(per_case, spec)
    made = StudyResults(
        dataset=spec.label,
        title=spec.title,
        terms=spec.terms,
        structures=tuple(spec.structures),
        study=study,
        sizes=_sizes(results, spec, study),
        provenance=_provenance(results, spec.label, study),
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
    tables["efficiency"] = efficiency.table(made)
    for name, table in tables.items():
        write_csv(table, output_dir / f"{name}.csv")
    pages = _write_pages(made, published.rows_of(spec.data_label, published_file), output_dir)
    about = records.made_by("tables", study=study, mixed=odd, published=file_digest([published_file]))
    outputs = [*(output_dir / f"{name}.csv" for name in tables), *pages]
    records.write(output_dir / records.NAME, about, _sources(results, spec.label, study), outputs)
    log.info("%s: tables of %d methods, %d patients", output_dir, len(made.provenance), made.n_patients)


def _check_mixed(results: Path, dataset: str, study: Mapping[str, Any], allowed: bool) -> tuple[str, ...]:
    """Labels of mixed rows; raises ValueError if there are any and they are not ``allowed``."""
    folders: dict[str, list[Path]] = {}
    for label, fold, seed in _runs(study):
        folders.setdefault(label, []).append(run_dir(results, dataset, label, fold, seed))
    found = {label: mixed_runs.differences(results, runs) for label, runs in folders.items()}
    found = {label: lines for label, lines in found.items() if lines}
    for label, lines in found.items():
        where = method_dir(results, dataset, label)
        text = "\n  ".join(
            [f"{where}: the runs of row {label} were made from different things:", *_few(lines)]
        )
        if not allowed:
            raise ValueError(
                f"{text}\nDelete the folders of the odd runs and run the study again, or set "
                "`allow_mixed: true` in the study file (--allow-mixed) to average them and mark the row"
            )
        log.warning("%s", text)
    return tuple(found)


def _few(lines: list[str]) -> list[str]:
    rest = [f"... and {len(lines) - 6} more"] if len(lines) > 6 else []
    return lines[:6] + rest


def _sources(results: Path, dataset: str, study: Mapping[str, Any]) -> list[Path]:
    """Files of the runs that the tables come from, with the records that lead further back."""
    names = ("metrics.csv", "metrics_as_predicted.csv", "metrics_by_level.csv", records.NAME, records.METRICS)
    folders = [run_dir(results, dataset, *run) for run in _runs(study)]
    files = [folder / name for folder in folders for name in (*names, f"predictions/{records.NAME}")]
    return [data_dir(results, dataset) / "folds.json", *(file for file in files if file.is_file())]


def _write_pages(study: StudyResults, papers: list[published.PublishedRow], folder: Path) -> list[Path]:
    """Write the pages; returns their files."""
    page = comparison.build(study, papers)
    pages = {
        "comparison.md": markdown.markdown(page),
        "comparison.tex": latex.latex(page),
        "comparison.html": html.html(page),
        "overview.rst": overview.build(study),
    }
    for name, text in pages.items():
        write_if_changed(folder / name, text)
    return [folder / name for name in pages]


def read_runs(
    results: Path, dataset: str, study: Mapping[str, Any], name: str, columns: tuple[str, ...]
) -> pd.DataFrame:
    """One file of every run, with dataset, method, fold and seed in front, sorted by all keys.

    Raises:
        ValueError: a file is missing, altered or has other columns; names it.
    """
    tables = []
    for label, fold, seed in _runs(study):
        path = run_dir(results, dataset, label, fold, seed) / name
        if not path.is_file():
            raise ValueError(
                f"{path}: no such file; run evaluate for {label}, fold {fold}, seed {seed} first"
            )
        records.check([path.with_name(records.METRICS)], [path])
        table = pd.read_csv(path, dtype=_TEXT, keep_default_na=False)
        if tuple(table.columns) != columns:
            raise ValueError(f"{path}: expected columns {', '.join(columns)}, got {', '.join(table.columns)}")
        keyed = table.assign(dataset=dataset, method=label, fold=fold, seed=seed)
        tables.append(keyed[[*RUN_COLUMNS, *columns]])
    if not tables:
        raise ValueError(f"study: no method runs on {dataset}; every one is n/a: {_reasons(study)}")
    joined = pd.concat(tables, ignore_index=True)
    keys = [column for column in (*RUN_COLUMNS, "case", "structure", "level") if column in joined]
    return joined.sort_values(keys, ignore_index=True)


def _runs(study: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    labels = [label for label, block in study["methods"].items() if not block.get("reason")]
    return [
        (label, fold, seed)
        for label in labels
        for fold in study["folds"]
        for seed in study["methods"][label].get("seeds", study["seeds"])
    ]


def _reasons(study: Mapping[str, Any]) -> str:
    return "; ".join(f"{label}: {block.get('reason')}" for label, block in study["methods"].items())


def _ordered(study: Mapping[str, Any]) -> dict[str, Any]:
    methods = study["methods"]
    return {label: methods[label] for label in study.get("order", methods)}


def _sizes(results: Path, spec: DatasetSpec, study: Mapping[str, Any]) -> dict[str, int]:
    """Subjects by list, averaged over the folds that were run."""
    path = data_dir(results, spec.label) / "folds.json"
    chosen = [pick_fold(path, fold) for fold in study["folds"]]
    return {
        name: round(sum(len(fold[name]) for fold in chosen) / len(chosen))
        for name in ("train", "val", "test")
    }


def _provenance(results: Path, dataset: str, study: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for label, fold, seed in _runs(study):
        path = run_dir(results, dataset, label, fold, seed) / "provenance.json"
        if not path.is_file():
            raise ValueError(f"{path}: no such file; train {label}, fold {fold}, seed {seed} first")
        origin = json.loads(path.read_text())
        if "training_seconds" not in origin:
            raise ValueError(f"{path}: no training_seconds; train {label}, fold {fold}, seed {seed} again")
        found.setdefault(label, []).append(origin)
    return found
