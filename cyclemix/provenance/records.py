"""Records: what a stage read and wrote, by sha256, so that a number in a table can be traced to its sources.

A record is written beside the files it describes, after them. Its paths are relative to its own folder, so
that a results folder can be moved as a whole. It ends with a checksum, the sha256 of the rest; the records of
the tables have the hashes of the runs' records. Only a training's record has times. How to follow records by
hand: docs/explanation/trust.md; `cyclemix verify` checks them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclemix.files.atomic import write_text
from cyclemix.provenance.digests import STAGES, code_digest, lock_digest

NAME = "provenance.json"
"""File name of the records of a training, of its predictions (in their folder) and of a data set's tables."""

METRICS = "metrics_provenance.json"
"""Beside a run's ``metrics.csv``."""

OF_A_RUN = (NAME, f"predictions/{NAME}", METRICS)
"""A run's records, by their place in its folder."""

SCORES = ("metrics.csv", "metrics_as_predicted.csv", "metrics_by_level.csv")
"""The tables of a run's evaluation, which `METRICS` describes."""

COLLECTED = "collected.json"
"""In a results folder of copied runs: ``{"left_out": ["data", "models", "predictions"]}``."""

HASHES = "data_hashes.json"
"""In such a folder: sha256 of every data file that its runs have read, by the file's place there."""


class NoChecksum(ValueError):
    """A record of an older version, without hashes of files."""


def prepared(index: Path) -> Path:
    """The record of ``index_{part}.csv``: ``provenance_{part}.json`` beside it."""
    return index.with_name(f"provenance_{index.stem.removeprefix('index_')}.json")


def made_by(stage: str, **settings: Any) -> dict[str, Any]:
    """First fields of a stage's record: its code, the lock, and the settings that decide its outputs."""
    code = code_digest(STAGES[stage])
    return {"stage": stage, "code_digest": code, "lock_digest": lock_digest(), "settings": settings}


def write(
    path: Path, made: Mapping[str, Any], inputs: Iterable[str | Path], outputs: Iterable[str | Path]
) -> None:
    """Write a record; equal files and ``made`` give equal bytes.

    Args:
        made: what else it holds, e.g. the result of `made_by`.
        inputs, outputs: files, hashed as they are now.
    """
    content = {**made, "inputs": _hashes(path, inputs), "outputs": _hashes(path, outputs)}
    write_text(path, text(content))


def text(content: Mapping[str, Any]) -> str:
    """The file of a record, with the checksum of ``content``."""
    content = json.loads(json.dumps(content))  # as it will be read
    return json.dumps({**content, "checksum": checksum(content)}, indent=1, sort_keys=True) + "\n"


def read(path: Path) -> dict[str, Any]:
    """A record whose checksum is right.

    Raises:
        NoChecksum: it has no checksum.
        ValueError: absent, no record, or altered since it was written; names the file.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such record") from None
    except ValueError as error:  # neither UTF-8 nor JSON
        raise ValueError(f"{path}: not a record ({error})") from None
    if not isinstance(content, dict) or not {"inputs", "outputs", "checksum"} <= content.keys():
        raise NoChecksum(f"{path}: no record of inputs and outputs; an older version wrote it")
    if content["checksum"] != checksum(content):
        raise ValueError(f"{path}: its checksum does not fit its content; it was altered")
    return content


def check(records: Iterable[Path], files: Iterable[str | Path]) -> None:
    """Refuse files that differ from the records of the stages that wrote them; call it before reading them.

    Args:
        records: records of those stages; missing ones, and those of an older version, are skipped.
        files: files to compare; those in no record, and missing ones, are skipped.

    Raises:
        ValueError: a file was altered or damaged, or a record was; names it and what to do.
    """
    stated: dict[Path, tuple[str, str]] = {}
    for record in filter(Path.is_file, records):
        try:
            content = read(record)
        except NoChecksum:
            continue
        except ValueError as error:
            raise ValueError(f"{error}; delete it and run the stage that writes it again") from error
        stage = str(content.get("stage", "train")).rpartition(".")[2]
        stated |= {locate(record, name): (digest, stage) for name, digest in content["outputs"].items()}
    for file in map(Path, files):
        known, stage = stated.get(Path(os.path.normpath(file.absolute())), ("", ""))
        if known and file.is_file() and (actual := sha256(file)) != known:
            raise ValueError(
                f"{file}: damaged or altered since `{stage}` wrote it (sha256 {actual[:16]}..., its record "
                f"says {known[:16]}...); delete it and run `{stage}` again"
            )


def is_left_out(results: Path, path: Path) -> bool:
    """Whether a file that is missing below ``results`` was left out when its runs were collected."""
    note = results / COLLECTED
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


def data_hashes(results: Path) -> dict[str, str]:
    """The content of `HASHES`; empty for a folder that was not collected.

    Raises:
        ValueError: not a list of hashes; names the file.
    """
    path = results / HASHES
    try:
        hashes: dict[str, str] = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); delete it and collect the runs again") from None
    return hashes


def checksum(content: Mapping[str, Any]) -> str:
    """sha256 of a record without its checksum."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sha256(path: str | Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def locate(record: Path, name: str) -> Path:
    """The file of ``name`` in a record, without following links."""
    return Path(os.path.normpath(record.parent.absolute() / name))


def _hashes(record: Path, paths: Iterable[str | Path]) -> dict[str, str]:
    folder = record.parent.absolute()
    found = {Path(os.path.relpath(Path(path).absolute(), folder)).as_posix(): path for path in paths}
    return {name: sha256(path) for name, path in sorted(found.items())}
