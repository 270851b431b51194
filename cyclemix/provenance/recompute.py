"""Recompute the numbers of a table from its source files, independently of the code that wrote them."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

TOLERANCE = 1e-8
"""Relative; the files hold ten significant digits."""

METRICS = ("dice", "hd_mm", "hd95_mm", "assd_mm")
AVERAGE = "Avg"

Row = dict[str, str]


def rows(per_case: Path, metrics: Iterable[Path]) -> str:
    """The first row of ``per_case.csv`` that differs from the runs' ``metrics.csv``; empty if none does."""
    expected = [
        (dataset, method, *run.removeprefix("fold").split("_seed"), *row.values())
        for path in metrics
        for dataset, method, run in [path.parts[-4:-1]]
        for row in read(path)
    ]
    found = [tuple(row.values()) for row in read(per_case)]
    odd = sorted(set(expected) ^ set(found))
    if odd:
        which = "not in any metrics.csv" if odd[0] in found else "missing from it"
        return (
            f"{len(odd)} rows do not agree with the runs' metrics.csv, the first {which}: {','.join(odd[0])}"
        )
    return "" if len(found) == len(expected) else "it holds a row twice"


def means(summary: Path, per_case: Path) -> str:
    """The first mean or count of ``summary.csv`` that differs from ``per_case.csv``; empty if none does."""
    cases = read(per_case)
    patients = {metric: patient_means(cases, metric) for metric in METRICS}
    for row in read(summary):
        method, structure, metric = row["method"], row["structure"], row["metric"]
        own = [case for case in cases if case["method"] == method]
        missed = [case for case in own if structure in (AVERAGE, case["structure"])]
        expected = {
            "mean": fmean(patients[metric].get((method, structure), [math.nan])),
            "n_cases": len({case["case"] for case in own}),
            "n_runs": len({(case["fold"], case["seed"]) for case in own}),
            "n_missed": sum(int(case["missed"]) for case in missed),
        }
        for name, value in expected.items():
            if not math.isclose(float(row[name]), value, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                return (
                    f"{name} of {method}, {structure}, {metric} is {row[name]}, {value:.10g} by per_case.csv"
                )
    return ""


def patient_means(cases: Sequence[Row], metric: str) -> dict[tuple[str, str], list[float]]:
    """One value per patient: seeds and folds averaged per case, then the cases of a subject.

    Returns:
        (method, structure or `AVERAGE`) -> one value per patient. A case's average is over its structures.
    """
    runs: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for row in cases:
        runs[row["method"], row["subject"], row["case"], row["structure"]].append(float(row[metric]))
    whole: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    subjects: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (method, subject, case, structure), values in runs.items():
        subjects[method, structure, subject].append(fmean(values))
        whole[method, subject, case].append(fmean(values))
    for (method, subject, _), values in whole.items():
        subjects[method, AVERAGE, subject].append(fmean(values))
    patients: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (method, structure, _), values in subjects.items():
        patients[method, structure].append(fmean(values))
    return patients


def read(path: Path) -> list[Row]:
    """Rows of a CSV file as texts."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
