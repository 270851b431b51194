"""All sentences of the tables: titles, captions, notes, warnings and number formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cyclemix.evaluation.statistics import ALPHA
from cyclemix.report.published import PublishedRow
from cyclemix.report.results import AS_PREDICTED, StudyResults

METRIC_TITLES = {"dice": "Dice", "hd_mm": "HD (mm)", "hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}

DIGITS = {"dice": 3, AS_PREDICTED: 3, "hd_mm": 1, "hd95_mm": 1, "assd_mm": 2}

MARK = "*"
"""Mark of a significant difference."""

NO_SOURCE = "†"
"""Mark of a row for which no published code was read."""

LEARNED_FROM = {
    "scribble": "scribbles",
    "scribble+masks": "scribbles and unpaired masks",
    "full": "dense labels",
}

SIGNIFICANCE_NOTES = (
    "Difference of the mean over structures, [95 % bootstrap interval]. Effect size: matched-pairs "
    "rank-biserial correlation, positive where the method is better.",
    "Smallest p: the smallest p-value possible with this number of patients (after Holm's correction).",
)

CLINICAL_NOTES = (
    "Bland-Altman: bias = mean of predicted - true over patients, limits = bias ± 1.96 SD. "
    "Mass: myocardial volume at end-diastole times 1.05 g/mL.",
)

LEVEL_NOTES = (
    "Thirds of the labelled extent of each heart; the base is the end with the larger area. A structure "
    "absent from both truth and prediction at a level counts as Dice 1 there.",
)

EFFICIENCY_NOTES = (
    "Subjects and labelled pixels (background included, on the training grid) are those used for training, "
    "mean over runs. Dice: average over structures, [95 % bootstrap interval]. All methods of one seed train "
    "on the same subjects, and smaller sets of subjects are contained in larger ones.",
)

PUBLISHED_CAPTION = "Official test sets, as published, with each paper's own inference and precision."


def split_sentence(study: StudyResults) -> str:
    """Which patients trained and which were scored."""
    protocol, sizes = study.study["protocol"], study.sizes
    which = {"val": "validation", "test": "test"}[protocol["evaluate_on"]]
    if protocol["kind"] == "official":
        split = f"Official split, {sizes['train']} training subjects"
    else:
        run = study.study["folds"]
        some = "" if len(run) == protocol["folds"] else f" (only fold {', '.join(map(str, run))})"
        split = f"{protocol['folds']}-fold by patient{some}, {sizes['train']} training subjects per fold"
    scored = f"{count(study.n_patients, which + ' patient')} ({count(study.n_cases, 'volume')})"
    optimistic = ", which also select the model: optimistic" if which == "validation" else ""
    own = [row.get("seeds", study.study["seeds"]) for row in study.study["methods"].values()]
    seeds = ", ".join(map(str, sorted({seed for row in own for seed in row})))
    varying = " (not all of them in every row)" if any(row != own[0] for row in own) else ""
    named = f"{'seeds' if ',' in seeds else 'seed'} {seeds}{varying}"
    return f"{split}; scored on {scored}{optimistic}; {named}."


def shortened_words(study: StudyResults) -> str:
    """Which rows were trained for fewer steps than their own (`at_most_steps`); empty where none was."""
    lengths: dict[tuple[int, int], list[str]] = {}
    for label, block in study.study["methods"].items():
        if (steps := block.get("shortened")) and not block.get("reason"):
            lengths.setdefault((steps["from"], steps["to"]), []).append(label)
    if not lengths:
        return ""
    alike = all_shortened_alike(study)
    words = "; ".join(
        f"{to} of {own} steps: {'all rows' if alike else ', '.join(labels)}"
        for (own, to), labels in lengths.items()
    )
    return f"Trainings shortened by at_most_steps, not the methods' own results: {words}."


def all_shortened_alike(study: StudyResults) -> bool:
    """True if all rows have one number of steps instead of one other number."""
    steps = [block.get("shortened") for block in study.study["methods"].values() if not block.get("reason")]
    return len(steps) > 1 and steps[0] is not None and all(other == steps[0] for other in steps)


def inference_words(inference: Mapping[str, Any]) -> str:
    """The inference setting in words."""
    flips = "mean over flips and quarter turns" if inference["test_time_augmentation"] else "single pass"
    parts = "largest component of each structure" if inference["largest_component"] else "no post-processing"
    return f"{flips}, {parts}"


def precision_words(study: StudyResults) -> str:
    """Numeric precision and device of the trainings."""
    origins = [origin for runs in study.provenance.values() for origin in runs]
    kinds = {
        f"{origin.get('precision', 'unknown')} on {origin.get('device', 'unknown')}" for origin in origins
    }
    return ", ".join(sorted(kinds)) or "no run"


def caption(study: StudyResults) -> str:
    return (
        f"{split_sentence(study)} Native grid, mm. Inference: {inference_words(study.study['inference'])}. "
        f"Precision: {precision_words(study)}."
    )


def facts(study: StudyResults) -> tuple[tuple[str, str], ...]:
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


def interval(low: float, high: float, form: str = ".3f") -> str:
    """``[0.812, 0.893]``; empty where there is none, as for one patient."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{low:{form}}, {high:{form}}]"


def p_words(p: float) -> str:
    """Three decimals, or a bound where those would read zero."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def score_notes(study: StudyResults, with_published: bool) -> list[str]:
    """How to read the table of scores."""
    return [
        "Mean ± SD over patients (seeds averaged per case, frames per patient); [95 % bootstrap interval].",
        "Bold: best of its group" + (", verified published rows included." if with_published else "."),
        "Missed: structures present in only one of prediction and truth, over all runs; each counts as Dice "
        "0 and as the diagonal of the volume in mm.",
        "As predicted: the network's own labels, without test-time augmentation and largest component.",
        "Training: mean wall time per run.",
        *dense_label_notes(study),
        *test_notes(study),
        *no_source_notes(study),
    ]


def dense_label_notes(study: StudyResults) -> list[str]:
    """One note per row that used dense labels for cases without scribbles."""
    notes = []
    for label, runs in study.provenance.items():
        amounts = [run.get("training_data", {}) for run in runs]
        dense = max((amount.get("dense_cases", 0) for amount in amounts), default=0)
        if dense and study.study["methods"][label]["supervision"] != "full":
            scribbled = max(amount.get("scribbled_cases", 0) for amount in amounts)
            notes.append(f"{label}: trained on {scribbled} scribbled and {dense} densely labelled cases.")
    return notes


def no_source_notes(study: StudyResults) -> list[str]:
    """The meaning of the mark of rows without a source; empty where there are none."""
    if all(block.get("source") != "none" for block in study.study["methods"].values()):
        return []
    return [f"{NO_SOURCE} No published code was read for this row (source: none)."]


def test_notes(study: StudyResults) -> list[str]:
    """The meaning of the mark of significant differences, or why no difference can be significant."""
    tested = study.significance[study.significance["metric"] == "dice"]
    if tested.empty:
        return []
    against, family = study.study["compare_to"], len(tested)
    test = f"exact Wilcoxon signed-rank test over patients, Holm over {count(family, 'comparison')}"
    least = float(tested["smallest_p_holm"].min())
    if least <= ALPHA:
        return [f"{MARK} differs from {against} ({test}, p ≤ {ALPHA:g})."]
    patients = count(study.n_patients, "patient")
    return [
        f"No difference to {against} is called significant, however large: {patients} cannot give a p below "
        f"{least:.3g} ({test})."
    ]


def source_notes(rows: Sequence[PublishedRow], sources: Mapping[str, str]) -> list[str]:
    """The meaning of the tags of published rows, then the numbered sources."""
    kinds = {row.checked for row in rows}
    notes = ["Unverified: not yet checked against the paper itself."] if "no" in kinds else []
    notes += ["Secondary source: quoted from a later paper."] if "secondary" in kinds else []
    return notes + [f"[{number}] {source}." for source, number in sources.items()]


def not_comparable(study: StudyResults) -> dict[str, str]:
    """The warning above published rows that are not comparable, by the reason of `comparison.apart`."""
    which = "validation patients" if study.study["protocol"]["evaluate_on"] == "val" else "other patients"
    if study.study["protocol"]["kind"] == "kfold":
        which = "all patients in turn"
    return {
        "patients": f"Not comparable: these are official test results, ours are of {which}.",
        "unstated": "Not comparable: the source does not state the number of scribbled subjects.",
        "other": f"Not comparable: not trained on {study.sizes['train']} subjects, as ours.",
    }


def best_sentence(words: str, name: str, n_methods: int, score: str) -> str:
    """The best row of one kind of supervision; states what was measured, not that a difference is certain."""
    which = f" has the highest score of {n_methods} methods" if n_methods > 1 else " was the only method"
    return f"Trained from {words}, **{name}**{which}: average Dice {score}."
