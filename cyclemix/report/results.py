"""Results of a study on one data set, and the sentences that every table of them repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

METRIC_TITLES = {"dice": "Dice", "hd_mm": "HD (mm)", "hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}
DIGITS = {"dice": 3, "hd_mm": 1, "hd95_mm": 1, "assd_mm": 2}


@dataclass(frozen=True)
class Study:
    """What the tables of one data set are made from.

    Attributes:
        dataset: label of the data set.
        title: its full name.
        terms: licence and citation duty.
        structures: in the order of tables, without the average.
        study: the study as JSON gives it: methods, seeds, folds, protocol, inference, compare_to.
        sizes: subjects by list (train, val, test), averaged over folds.
        provenance: one ``provenance.json`` a run, by method.
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
    significance: pd.DataFrame
    agreement: pd.DataFrame
    levels: pd.DataFrame
    n_patients: int
    n_cases: int
    n_scored: Mapping[str, int]
    mixed: tuple[str, ...] = ()

    @property
    def on_official_test(self) -> bool:
        """Whether the scored patients are those that papers report."""
        protocol = self.study["protocol"]
        return bool(protocol["kind"] == "official" and protocol["evaluate_on"] == "test")


def split_sentence(study: Study) -> str:
    """Which patients trained and which were scored."""
    protocol, sizes = study.study["protocol"], study.sizes
    which = {"val": "validation", "test": "test"}[protocol["evaluate_on"]]
    if protocol["kind"] == "official":
        split = f"Official split, {sizes['train']} training subjects"
    else:
        run = study.study["folds"]
        some = "" if len(run) == protocol["folds"] else f" (only fold {', '.join(map(str, run))})"
        split = f"{protocol['folds']}-fold by patient{some}, {sizes['train']} training subjects a fold"
    scored = f"{count(study.n_patients, which + ' patient')} ({count(study.n_cases, 'volume')})"
    optimistic = ", the ones that select the model, hence optimistic" if which == "validation" else ""
    seeds = ", ".join(map(str, study.study["seeds"]))
    return f"{split}; scored on {scored}{optimistic}; {'seeds' if ',' in seeds else 'seed'} {seeds}."


def inference_words(inference: Mapping[str, Any]) -> str:
    """The inference setting in words."""
    flips = "mean over flips and quarter turns" if inference["flip_average"] else "single pass"
    parts = "largest component of each structure" if inference["largest_component"] else "no clean-up"
    return f"{flips}, {parts}"


def precision_words(study: Study) -> str:
    """Numeric precision and device of the trainings."""
    origins = [origin for runs in study.provenance.values() for origin in runs]
    kinds = {
        f"{origin.get('precision', 'unknown')} on {origin.get('device', 'unknown')}" for origin in origins
    }
    return ", ".join(sorted(kinds)) or "no run"


def caption(study: Study) -> str:
    return (
        f"{split_sentence(study)} Native grid, mm. Inference: {inference_words(study.study['inference'])}. "
        f"Precision: {precision_words(study)}."
    )


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    origins = [origin for runs in study.provenance.values() for origin in runs]
    commits = sorted(
        {f"{(o.get('commit') or 'unknown')[:10]}{' (edited)' if o.get('dirty') else ''}" for o in origins}
    )
    compare_to = study.study["compare_to"]
    return (
        ("Split", split_sentence(study)),
        ("Inference", f"{inference_words(study.study['inference'])}, unless a row says otherwise"),
        ("Precision", precision_words(study)),
        (
            "Scores",
            "native grid, per volume, in mm; mean ± SD over patients; [95 % bootstrap interval of the mean]",
        ),
        (
            "Tested against",
            compare_to if compare_to in study.provenance else f"{compare_to} was not run: no tests",
        ),
        ("Code", ", ".join(commits) or "unknown"),
        ("Terms", " ".join(study.terms.split())),
    )


def duration(seconds: float) -> str:
    """``42 s``, ``3.5 min`` or ``1.2 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def p_words(p: float) -> str:
    """Three decimals, or a bound where those would read zero."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
