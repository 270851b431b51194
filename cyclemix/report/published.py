"""Published numbers (``config/published.csv``) and where they come from."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from cyclemix.config.models import Supervision

PATH = Path(__file__).resolve().parents[2] / "config" / "published.csv"
COLUMNS = (
    "dataset",
    "method",
    "row",
    "supervision",
    "structure",
    "metric",
    "mean",
    "std",
    "paper",
    "where",
    "checked",
)

CHECKED = {
    "yes": "",
    "no": "unverified",
    "secondary": "secondary source",
}
"""Meaning of the column ``checked``: read in the paper, not yet read, or quoted by another paper."""


@dataclass(frozen=True)
class PublishedRow:
    """One method of one table of one paper.

    Attributes:
        method: the paper's name of it.
        row: its row in ``config/methods.yaml``; empty if there is none.
        stated: supervision in the paper's words, e.g. ``35 scribbles``.
        supervision: the group of our tables that it belongs to.
        subjects: training subjects with labels; None where the paper's words do not say.
        values: (mean, standard deviation or None) by (metric, structure).
        source: paper and table.
        checked: a key of :data:`CHECKED`.
    """

    method: str
    row: str
    stated: str
    supervision: Supervision
    subjects: int | None
    values: dict[tuple[str, str], tuple[float, float | None]]
    source: str
    checked: str


def load(path: Path = PATH) -> list[dict[str, str]]:
    """The file's rows, checked.

    Raises:
        ValueError: the file is missing, has other columns, an unknown value of ``checked`` or a mean that is
            not a number; names the line.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it holds the published numbers that tables show beside ours")
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {reader.fieldnames}")
    for line, row in enumerate(rows, start=2):
        if row["checked"] not in CHECKED:
            raise ValueError(f"{path}:{line}: checked must be {', '.join(CHECKED)}, got {row['checked']!r}")
        try:
            float(row["mean"]), float(row["std"] or 0)
        except ValueError:
            raise ValueError(f"{path}:{line}: mean and std must be numbers, got {row['mean']!r}") from None
    return rows


def rows_of(dataset: str, path: Path = PATH) -> list[PublishedRow]:
    """Published rows of a data set, in the file's order; may be empty."""
    found: dict[tuple[str, ...], PublishedRow] = {}
    for row in load(path):
        if row["dataset"] != dataset:
            continue
        method, stated, checked = row["method"], row["supervision"], row["checked"]
        source = f"{row['paper']}, {row['where']}"
        group, subjects = group_of(stated), subjects_of(stated)
        fresh = PublishedRow(method, row["row"], stated, group, subjects, {}, source, checked)
        entry = found.setdefault((method, stated, source, checked), fresh)
        std = float(row["std"]) if row["std"] else None
        entry.values[row["metric"], row["structure"]] = (float(row["mean"]), std)
    return list(found.values())


def group_of(stated: str) -> Supervision:
    """Which of our groups a paper's words on supervision mean."""
    if "unpaired" in stated:
        return "scribble+masks"
    return "scribble" if "scribble" in stated else "full"


def subjects_of(stated: str) -> int | None:
    """Number of labelled training subjects stated by a paper; None if it is not stated."""
    match = re.search(r"^(\d+) (?:scribbles|full masks|masks)|= (\d+)\)$", stated)
    return int(match[1] or match[2]) if match else None
