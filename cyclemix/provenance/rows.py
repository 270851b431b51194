"""Rows whose runs differ in code, configuration, data or lock, so that their mean is meaningless.

Digests include neither the device nor the precision that ``auto`` chose on it: runs of different machines
are not mixed.
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
OF_ONE_RUN = ("fold", "precision")
"""Settings in records that may differ between the runs of a row."""


def differences(results: Path, runs: Sequence[Path]) -> list[str]:
    """Differences between a row's runs, one line each: ``code_digest of train: a1b2 (fold0_seed0), ...``.

    Compares the digests of training, prediction and evaluation, their settings except `OF_ONE_RUN`, and
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
    for path in filter(Path.is_file, (run / name for name in records.OF_A_RUN)):
        record = json.loads(path.read_text())
        stage = record.get("stage", "train")
        found |= {f"{key} of {stage}": str(record[key]) for key in DIGESTS if key in record}
        settings = {key: value for key, value in record.get("settings", {}).items() if key not in OF_ONE_RUN}
        found[f"settings of {stage}"] = value_digest(settings)
        found |= {place: record["inputs"][name][:16] for name, place in data_places(results, path, record)}
    return found


def data_places(results: Path, path: Path, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Data files among the inputs of a record: their names there, and their places in the results folder."""
    folder = data_dir(results.absolute(), "")
    files = [(name, records.locate(path, name)) for name in record.get("inputs", {})]
    return [
        (name, f"data/{file.relative_to(folder).as_posix()}")
        for name, file in files
        if file.is_relative_to(folder)
    ]
