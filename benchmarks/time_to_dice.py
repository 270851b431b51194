"""Processor minutes of training until the averaged weights reach a validation Dice, from finished runs.

    python benchmarks/time_to_dice.py                # of the recorded studies; or name results folders

Dice is the mean over structures and validation cases on the training grid, as the training itself sees it:
without test-time augmentation and largest component. Minutes are the processor's own (`cpu_seconds`), which
other work on the machine hardly changes, in proportion to the steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from lib import record

LEVELS = (0.80, 0.848, 0.86)
"""0.848 is the paper's test Dice on ACDC."""


def row(run: Path) -> dict[str, object]:
    """One finished run; a level that it never reached is empty."""
    history, origin = pd.read_csv(run / "history.csv"), json.loads((run / "provenance.json").read_text())
    minutes = origin["cpu_seconds"] / 60
    reached = {level: history.loc[history["val_dice_avg"] >= level, "step"].min() for level in LEVELS}
    return {
        "commit": origin["commit"][:7],
        "device": origin["hardware"]["cpu"],
        "precision": origin["precision"],
        "threads": ", ".join(map(str, origin["threads"])),
        "dataset": origin["dataset"],
        "label": origin["label"],
        "seed": origin["seed"],
        **{
            f"minutes_to_{level:g}": round(minutes * step / origin["steps"], 1)
            for level, step in reached.items()
        },
        "best_val_dice": round(origin["best_val_dice"], 4),
        "minutes": round(minutes, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kept = [record.ROOT / "benchmarks" / "studies" / name for name in ("acdc", "mscmr")]
    parser.add_argument("results", type=Path, nargs="*", default=kept, help="results folders")
    folders = parser.parse_args().results
    found = [
        path for folder in folders for path in sorted(folder.glob("runs/*/*/fold*_seed*/provenance.json"))
    ]
    if not found:
        parser.error(f"no finished run under {', '.join(map(str, folders))}")
    table = pd.DataFrame([row(path.parent) for path in found])
    print(table.drop(columns=["commit", "device"]).to_string(index=False))
    table.to_csv(record.RESULTS / "time_to_dice.csv", index=False)


if __name__ == "__main__":
    main()
