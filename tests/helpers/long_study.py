"""A page of 35 rows with made-up scores: what a table of all methods looks like before they are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cyclemix.evaluation import statistics
from cyclemix.report import comparison, published
from cyclemix.report.page import Page
from cyclemix.report.results import StudyResults

ROWS = 35
NOT_RUN = {"scribble+masks": 2, "full": 1}
"""Rows of each group that are n/a."""
STRUCTURES = ("LV", "MYO", "RV")
SOURCE = {"repository": "owner/name", "commit": "0123456", "file": "train.py"}
BOTH = {"test_time_augmentation": True, "largest_component": True}


def methods() -> dict[str, dict[str, Any]]:
    """25 scribble rows, 5 with unpaired masks, 5 with dense labels; every fourth one without a source."""
    blocks: dict[str, dict[str, Any]] = {}
    for supervision, count in (("scribble", 25), ("scribble+masks", 5), ("full", 5)):
        for i in range(count):
            label = "cyclemix" if not blocks else f"{supervision.replace('+', '_')}_method_{i:02d}"
            unrun = i >= count - NOT_RUN.get(supervision, 0)
            blocks[label] = {
                "supervision": supervision,
                "summary": f"what row {len(blocks) + 1} does in the few words that its block says",
                "inference": BOTH,
                "reason": "the data set has no list of unpaired masks" if unrun else None,
                "source": "none" if len(blocks) % 4 == 3 else SOURCE,
            }
    return blocks


def scores(blocks: dict[str, dict[str, Any]], patients: int = 15) -> pd.DataFrame:
    """``per_case.csv`` of all rows that ran, one seed, one case per patient."""
    rng = np.random.default_rng(0)
    rows = []
    for rank, label in enumerate(label for label, block in blocks.items() if not block["reason"]):
        for patient in range(patients):
            for structure, level in zip(STRUCTURES, (0.92, 0.83, 0.86), strict=True):
                missed = rank % 7 == 6 and patient == 0 and structure == "RV"
                dice = 0.0 if missed else min(0.99, level - 0.006 * rank + rng.normal(0, 0.03))
                hd95 = 460.0 if missed else 3 + 40 * (1 - dice)
                values = {"dice": dice, "hd_mm": 2 * hd95, "hd95_mm": hd95, "assd_mm": hd95 / 4}
                identity = {"dataset": "mscmr", "method": label, "fold": 0, "seed": 0}
                case = {"case": f"p{patient}_DE", "subject": f"p{patient}", "structure": structure}
                volumes = {"volume_pred_ml": 0.0 if missed else 100.0, "volume_true_ml": 100.0}
                rows.append({**identity, **case, **values, **volumes, "missed": int(missed)})
    return pd.DataFrame(rows)


def long_page() -> Page:
    """The page of :data:`ROWS` own rows beside the published ones of MSCMR."""
    blocks = methods()
    per_case = scores(blocks)
    ran = [label for label, block in blocks.items() if not block["reason"]]
    origin = {"training_seconds": 900, "precision": "bf16", "device": "cuda", "commit": "f" * 40}
    supervision = {label: block["supervision"] for label, block in blocks.items()}
    summary = statistics.summarise(per_case, supervision, list(STRUCTURES))
    study = StudyResults(
        dataset="mscmr",
        title="A made-up set of late-enhancement images",
        terms="None: the numbers are made up.",
        structures=STRUCTURES,
        study={
            "methods": blocks,
            "seeds": [0],
            "folds": [0],
            "protocol": {"kind": "official", "folds": 5, "evaluate_on": "test"},
            "inference": BOTH,
            "compare_to": "cyclemix",
        },
        sizes={"train": 25, "val": 5, "test": 15},
        provenance={label: [origin] for label in ran},
        summary=summary,
        as_predicted=summary,
        significance=statistics.compare(per_case, "cyclemix"),
        agreement=pd.DataFrame(),
        levels=pd.DataFrame(),
        n_patients=15,
        n_cases=15,
        n_scored=dict.fromkeys(ran, 45),
    )
    return comparison.build(study, published.rows_of("mscmr"))
