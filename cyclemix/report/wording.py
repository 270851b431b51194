"""The sentences, titles and formats that tables and figures share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyclemix.report.results import StudyResults

METRIC_TITLES = {"dice": "Dice", "hd_mm": "HD (mm)", "hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)"}
DIGITS = {"dice": 3, "hd_mm": 1, "hd95_mm": 1, "assd_mm": 2}


def split_sentence(study: StudyResults) -> str:
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


def shortened_words(study: StudyResults) -> str:
    """Which rows were trained for fewer steps than their own (`at_most_steps`); empty where none was."""
    lengths: dict[tuple[int, int], list[str]] = {}
    for label, block in study.study["methods"].items():
        if (steps := block.get("shortened")) and not block.get("reason"):
            lengths.setdefault((steps["from"], steps["to"]), []).append(label)
    if not lengths:
        return ""
    words = "; ".join(f"{to} of {own} steps: {', '.join(labels)}" for (own, to), labels in lengths.items())
    return f"Trainings shortened by at_most_steps, not the methods' own results: {words}."


def inference_words(inference: Mapping[str, Any]) -> str:
    """The inference setting in words."""
    flips = "mean over flips and quarter turns" if inference["test_time_augmentation"] else "single pass"
    parts = "largest component of each structure" if inference["largest_component"] else "no clean-up"
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


def p_words(p: float) -> str:
    """Three decimals, or a bound where those would read zero."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
