"""The figures of a data set, from the files of its runs; no torch.

``boxplot``, ``structures``, ``curves``, ``overlays``, ``levels`` and ``bland_altman`` go to
``results/figures/{dataset}``; the figures of a single run are drawn by `cyclemix.report.run_figures`.
Equal input gives equal bytes: no randomness, no dates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.evaluation.clinical import measures
from cyclemix.evaluation.statistics import AVERAGE, patient_means
from cyclemix.report.plots import agreement, cases, curves, overlays, scores, style
from cyclemix.report.runs import Runs, open_runs

log = logging.getLogger(__name__)

MOST_COLUMNS = 6
"""Methods side by side in overlays and Bland-Altman plots; the others are named in the footnote."""

MOST_LINES = 12
"""Methods that colours tell apart on the same axes; of more, only those of `columns` are in colour."""

IMAGE_DPI = 150
"""Dots per inch of the overlays: images need fewer than text."""


def run(results: Path, dataset_file: Path, study: Mapping[str, Any], output_dir: Path) -> None:
    """Draw all figures of a data set.

    Args:
        study: ``methods`` (label -> supervision, summary, reason it is n/a or null), ``seeds``, ``folds``,
            ``protocol``, ``compare_to``; optionally ``order``, the labels in the study's order.

    Raises:
        ValueError: a run lacks a file; names it and the stage that writes it.
    """
    runs, folder = open_runs(results, dataset_file, study), output_dir
    per_case = runs.table("metrics.csv")
    with style.styled():
        draw_boxplot(runs, per_case, folder)
        draw_structures(runs, per_case, folder / "structures")
        draw_curves(runs, per_case, folder)
        draw_levels(runs, per_case, folder)
        draw_agreement(runs, per_case, folder)
        draw_overlays(runs, per_case, folder)


def colours(runs: Runs) -> dict[str, str]:
    """By label, the same in every figure of the study."""
    return style.method_colours(runs.supervision, runs.compare_to)


def line_colours(runs: Runs, per_case: pd.DataFrame) -> dict[str, str]:
    """Colours of the methods that figures of lines tell apart."""
    shown = runs.labels if len(runs.labels) <= MOST_LINES else columns(runs, per_case)
    return {label: colour for label, colour in colours(runs).items() if label in shown}


def draw_boxplot(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``boxplot.png`` and ``.svg``; ``.html`` for the first page of the report."""
    subtitle = f"{runs.describe(per_case)}; boxes: quartiles, diamonds and numbers: means"
    heading = (f"{runs.spec.title}: every patient's scores", subtitle)
    figure = scores.boxplot(per_case, runs.labels, colours(runs), heading)
    image = style.save(figure, folder, "boxplot", vector=True)[0]
    what = "Dice and HD95 of every patient, a column for each structure, a line for each method"
    style.save_embedded(image, f"{runs.spec.title}: {what} ({', '.join(runs.labels)})")


def draw_structures(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``{structure}.png`` of every structure and the average, on the same axes, to switch between."""
    subtitle = f"{runs.describe(per_case)}; boxes: quartiles, diamonds and numbers: means"
    for structure in (*runs.spec.structures, AVERAGE):
        name = "average of the structures" if structure == AVERAGE else structure
        heading = (f"{runs.spec.title}: {name}", subtitle)
        figure = scores.structure_boxplot(per_case, runs.labels, colours(runs), structure, heading)
        style.save(figure, folder, structure, dpi=IMAGE_DPI)


def draw_curves(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``curves.png`` and ``.svg``."""
    counts = sorted({len(runs.folds) * len(seeds) for seeds in runs.seeds.values()})
    number = "-".join(map(str, counts))
    spread = "one run per method" if counts == [1] else f"mean and range of {number} runs per method"
    subtitle = f"{spread}; dots: best validation. Losses of different methods hold different terms."
    heading = (f"{runs.spec.title}: training", subtitle)
    figure = curves.curves(runs.histories(), line_colours(runs, per_case), heading)
    style.save(figure, folder, "curves", vector=True)


def draw_levels(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``levels.png``; a placeholder if the structures are not those of a heart."""
    table = runs.table("metrics_by_level.csv")
    title = f"{runs.spec.title}: Dice by level of the heart"
    if table.empty:
        there = ", ".join(runs.spec.classes)
        reason = f"Base, middle and apex need LV, MYO and RV; {runs.spec.label} has {there}."
        style.save(style.note_figure(title, reason), folder, "levels")
        return
    structures = [name for name in runs.spec.structures if name in set(table["structure"])]
    subtitle = f"{runs.describe(table)}; mean over patients with its 95 % bootstrap interval"
    figure = scores.levels(table, runs.labels, structures, line_colours(runs, per_case), (title, subtitle))
    style.save(figure, folder, "levels")


def draw_agreement(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``bland_altman.png``: ejection fraction and end-diastolic volume of ED/ES sets, else volumes."""
    patients = measures(per_case, runs.spec)
    if patients.empty:
        patients, rows = volumes(per_case), [(name, "volume") for name in runs.spec.structures]
        title = f"{runs.spec.title}: agreement of volumes"
    else:
        rows = [("LV", "ef"), ("LV", "edv"), ("RV", "ef")]
        found = set(zip(patients["structure"], patients["measure"], strict=True))
        rows = [row for row in rows if row in found]
        title = f"{runs.spec.title}: agreement of ejection fraction and volume"
    chosen = columns(runs, per_case)
    subtitle = f"Bland-Altman; {runs.describe(per_case)}; band: bias ± 1.96 SD"
    figure = agreement.bland_altman(patients, rows, chosen, colours(runs), (title, subtitle))
    style.save(figure, folder, "bland_altman")


def volumes(per_case: pd.DataFrame) -> pd.DataFrame:
    """Predicted and true volume of each structure, per method and patient: runs, then frames averaged."""
    names = {"volume_pred_ml": "pred", "volume_true_ml": "true"}
    table = (
        per_case.rename(columns=names)
        .groupby(["method", "structure", "subject", "case"])[["pred", "true"]]
        .mean()
    )
    patients = table.groupby(["method", "structure", "subject"]).mean().reset_index()
    return patients.assign(measure="volume", unit="mL")


def columns(runs: Runs, per_case: pd.DataFrame) -> list[str]:
    """The methods shown side by side, in the study's order: the one compared with, then the best."""
    means = patient_means(per_case).xs(AVERAGE, level="structure")["dice"].groupby("method").mean()
    ranked = sorted(runs.labels, key=lambda label: (label != runs.compare_to, -means[label]))
    return [label for label in runs.labels if label in ranked[:MOST_COLUMNS]]


def draw_overlays(runs: Runs, per_case: pd.DataFrame, folder: Path) -> None:
    """``overlays.png`` (median, best and worst patient) and ``overlays_median.png`` (the first alone, also
    as ``.html`` for the first page of the report)."""
    if not cases.open_source(runs, runs.protocol.evaluated_part).entries:
        log.info("%s: no images under %s, so no overlays are drawn", runs.spec.label, runs.results)
        return
    shown = columns(runs, per_case)
    groups = cases.evaluated_groups(runs, per_case, shown)
    scribbled = any(panel.scribble is not None for group in groups for panel in group.panels)
    strip = [] if scribbled else cases.training_strip(runs, 2 + len(shown))
    structures = {name: runs.spec.classes.index(name) + 1 for name in runs.spec.structures}
    note = "First seed of each row; native grid, cropped around the structures."
    left_out = [label for label in runs.labels if label not in shown]
    note += f" Not shown: {', '.join(left_out)}." if left_out else ""
    note += " Methods were not trained on these scribbles." if scribbled else ""
    note += " Light strokes: scribbled background." if scribbled or strip else ""
    subtitle = f"by average Dice of {runs.judge}; numbers: Dice of the slice in percent"
    wholly = ("overlays", groups, "median, best and worst patient")
    for name, part, which in (wholly, ("overlays_median", groups[:1], "median patient")):
        heading = (f"{runs.spec.title}: segmentations", f"{which} {subtitle}")
        figure = overlays.overlays(part, shown, structures, colours(runs), heading, note, strip)
        image = style.save(figure, folder, name, dpi=IMAGE_DPI)[0]
    what = "slices of the median patient: image, true labels and the outlines of"
    style.save_embedded(image, f"{runs.spec.title}: {what} {', '.join(shown)}")
