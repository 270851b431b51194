"""Training seconds until the averaged weights reach a validation Dice, from the histories of finished runs.

    python benchmarks/time_to_dice.py results       # appends to benchmarks/results/time_to_dice.csv

Dice is the mean over structures and validation cases on the training grid, as the training itself sees it.
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
    reached = {level: history.loc[history["val_dice_avg"] >= level, "seconds"] for level in LEVELS}
    return {
        "commit": origin["commit"],
        "device": origin["device"],
        "dataset": origin["dataset"],
        "label": origin["label"],
        "fold": origin["fold"],
        "seed": origin["seed"],
        "parameters": origin["parameters"],
        **{f"seconds_to_{level:g}": seconds.min() for level, seconds in reached.items()},
        "best_val_dice": round(origin["best_val_dice"], 4),
        "training_seconds": origin["training_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    found = sorted(parser.parse_args().results.glob("runs/*/*/fold*_seed*/provenance.json"))
    if not found:
        print("no finished run under results/; give the folder of a study")
        return
    table = pd.DataFrame([row(path.parent) for path in found])
    print(table.drop(columns=["commit"]).to_string(index=False))
    path = record.RESULTS / "time_to_dice.csv"
    if path.is_file():
        table = pd.concat([pd.read_csv(path), table], ignore_index=True).drop_duplicates()
    table.to_csv(path, index=False)


if __name__ == "__main__":
    main()
