"""Files that are deliberately missing in a collected results folder (see `cyclemix.study.collect`)."""

from __future__ import annotations

import json
from pathlib import Path

NAME = "collected.json"
"""In the results folder: ``{"left_out": ["data", "models", "predictions"]}``."""


def is_left_out(results: Path, path: Path) -> bool:
    """Whether a file that is missing below ``results`` was left out when its runs were collected."""
    note = results / NAME
    if not note.is_file() or not path.is_relative_to(results):
        return False
    left_out = json.loads(note.read_text())["left_out"]
    parts = path.relative_to(results).parts
    kinds = {
        # a data set was downloaded here, or none of its files
        "data": parts[0] == "data"
        and path.name != "folds.json"
        and not any((results / "data" / parts[1]).glob("raw_*.json")),
        "models": path.name == "model.pt",
        "predictions": "predictions" in parts and path.name.endswith(".nii.gz"),
    }
    return any(kinds[kind] for kind in left_out)
