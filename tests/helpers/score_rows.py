"""Rows of the runs' score tables."""

from __future__ import annotations

from typing import Any


def score_row(
    case: str, structure: str = "LV", method: str = "m", seed: int = 0, subject: str = "", **values: Any
) -> dict[str, Any]:
    """What identifies a score, and its values; a case is named ``subject_frame`` unless told otherwise."""
    identity = {"dataset": "toy", "method": method, "fold": 0, "seed": seed, "case": case}
    return identity | {"subject": subject or case.split("_")[0], "structure": structure} | values
