"""Rows whose runs differ in code, configuration, data or lock, so that their mean is meaningless.

Digests do not include the device: runs of different machines are not mixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclemix.files.layout import data_dir
from cyclemix.provenance import records
from cyclemix.provenance.digests import value_digest

DIGESTS = ("code_digest", "config_digest", "lock_digest")


def differences(results: Path, runs: Sequence[Path]) -> list[str]:
    """Differences between a row's runs, one line each: ``code_digest of train: a1b2 (fold0_seed0), ...``.

    Compares the digests of training, prediction and evaluation, their settings except the fold number, and
    the sha256 of every data file read by both runs. Missing records are not compared.
    """
    seen: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for key, value in made_from(results, run).items():
            seen.setdefault(key, {}).setdefault(value, []).append(run.name)
    shown = {
        key: ", ".join(f"{value} ({', '.join(names)})" for value, names in sorted(values.items()))
        for key, values in seen.items()
        if len(values) > 1
    }
    return [f"{key}: {text}" for key, text in shown.items()]


def made_from(results: Path, run: Path) -> dict[str, str]:
    """Digests and hashes of a run's sources, by name; those of data files are named ``data/...``."""
    found: dict[str, str] = {}
    for name in (records.NAME, f"predictions/{records.NAME}", records.METRICS):
        path = run / name
        if not path.is_file():
            continue
        record = json.loads(path.read_text())
        stage = record.get("stage", "train")
        found |= {f"{key} of {stage}": str(record[key]) for key in DIGESTS if key in record}
        settings = {key: value for key, value in record.get("settings", {}).items() if key != "fold"}
        found[f"settings of {stage}"] = value_digest(settings)
        found |= _data(results, path, record.get("inputs", {}))
    return found


def _data(results: Path, path: Path, inputs: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of the data files that a record names, by their place in the results folder."""
    folder = data_dir(results.absolute(), "")
    files = {records.locate(path, name): sha256 for name, sha256 in inputs.items()}
    return {
        f"data/{file.relative_to(folder).as_posix()}": sha256[:16]
        for file, sha256 in files.items()
        if file.is_relative_to(folder)
    }
