"""The figures of one run: segmentations of its median and worst patient, and its training curves."""

from __future__ import annotations

import logging
from pathlib import Path

from cyclemix.data.datasets import load_dataset
from cyclemix.report.plots import cases, curves, overlays, style
from cyclemix.report.runs import read_table

log = logging.getLogger(__name__)

DPI = 100
"""The report embeds these figures for every run, so their resolution is low."""


def run(dataset_file: Path, receipt: Path, run_dir: Path) -> None:
    """Write ``overlay.png`` (median and worst patient) and ``curves.png`` to a run's folder.

    Args:
        receipt: ``raw_{part}.json`` of the evaluated cases.
        run_dir: folder of the training, with ``predictions``, ``metrics.csv`` and ``history.csv``.

    Raises:
        ValueError: one of these files is missing or altered; names it and the stage that writes it.
    """
    spec, label = load_dataset(dataset_file), run_dir.parent.name
    per_case = read_table(run_dir / "metrics.csv").assign(method=label)
    source = cases.Source(spec, receipt.parent / "raw", cases.read_receipts([receipt]))
    groups = [
        cases.group_of(source, subject, title, {label: run_dir / "predictions"})
        for title, subject in cases.pick_subjects(per_case, label).items()
        if title != "best"
    ]
    structures = {name: spec.classes.index(name) + 1 for name in spec.structures}
    subtitle = "median and worst patient; numbers: Dice of the slice in percent"
    heading = (f"{label} on {spec.title}", subtitle)
    colours = {label: style.EMPHASIS}
    with style.styled():
        figure = overlays.overlays(groups, [label], structures, colours, heading, run_dir.name)
        style.save(figure, run_dir, "overlay", dpi=DPI)
        heading = (f"{label} on {spec.title}: training", f"{run_dir.name}; dot: best validation")
        figure = curves.curves({label: [read_table(run_dir / "history.csv")]}, colours, heading)
        style.save(figure, run_dir, "curves", dpi=DPI)
    log.info("%s: drew overlay.png and curves.png", run_dir)
