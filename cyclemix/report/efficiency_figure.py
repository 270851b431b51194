"""Draw the figure of Dice against the annotation budget, from ``efficiency.csv``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.models import Protocol
from cyclemix.config.strict import validate
from cyclemix.data.datasets import load_dataset
from cyclemix.files.layout import table_dir
from cyclemix.report.plots import efficiency, style

log = logging.getLogger(__name__)


def run(results: Path, dataset_file: Path, study: Mapping[str, Any], output_dir: Path) -> None:
    """Draw ``efficiency.png`` and ``.svg``.

    Args:
        results: the results folder, with ``tables/{dataset}/efficiency.csv``.
        study: as `cyclemix.report.tables.run` takes it.

    Raises:
        ValueError: the table is missing or has no rows.
    """
    spec = load_dataset(dataset_file)
    path = table_dir(results, spec.label) / "efficiency.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; run tabulate first")
    points = pd.read_csv(path)
    if points.empty:
        raise ValueError(f"{path}: no rows; add an `efficiency` block to the study file")
    supervision = dict(zip(points["method"].astype(str), points["supervision"].astype(str), strict=True))
    colours = style.method_colours(supervision, study["compare_to"])
    protocol = validate(Protocol, study["protocol"], "study: protocol")
    runs = len(study["seeds"]) * len(study["folds"])
    subtitle = (
        f"average Dice on {protocol.evaluate_on} with 95 % bootstrap intervals over patients; "
        f"{'one run' if runs == 1 else f'{runs} runs'} per point"
    )
    with style.styled():
        figure = efficiency.draw(points, colours, (f"{spec.title}: Dice by annotation budget", subtitle))
        style.save(figure, output_dir, "efficiency", vector=True)
    log.info("%s: %d points of %d methods", output_dir / "efficiency.png", len(points), len(supervision))
