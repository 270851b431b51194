"""Commit, machine and versions of a benchmark's numbers, and the CSV that they go to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import torch

from cyclemix.provenance.digests import hardware

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def commit() -> str:
    """The commit that runs, ``-dirty`` with uncommitted changes."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def device_name(device: str) -> str:
    """The GPU's name, or the processor's with the number of threads."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{hardware()['cpu']} ({torch.get_num_threads()} threads)"


def save(name: str, rows: list[dict[str, object]], device: str) -> None:
    """Print the rows and append them to ``benchmarks/results/NAME.csv``."""
    head = {"commit": commit(), "device": device_name(device), "torch": torch.__version__}
    table = pd.DataFrame([{**head, **row} for row in rows])
    print(table.drop(columns=["commit", "device"]).to_string(index=False))
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        table = pd.concat([pd.read_csv(path), table], ignore_index=True)
    table.to_csv(path, index=False)
    print(f"{head['device']}, commit {head['commit']}: {path}")
