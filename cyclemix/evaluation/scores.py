"""Columns and format of the score files that evaluation writes and tables read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cyclemix.files.atomic import write_text
from cyclemix.metrics import DISTANCES

COLUMNS = (
    "case",
    "subject",
    "structure",
    "dice",
    *DISTANCES,
    "volume_pred_ml",
    "volume_true_ml",
    "missed",
)
"""Columns of ``metrics.csv``, one row per case and structure."""

LEVEL_COLUMNS = ("case", "subject", "structure", "level", "n_slices", "dice")
"""Columns of ``metrics_by_level.csv``, one row per case, structure and level of the heart."""


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table atomically; 10 significant digits, ``\\n`` line ends."""
    write_text(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
