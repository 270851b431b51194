"""Read and check the JSON files that stages exchange: receipts of downloads and ``folds.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cyclemix.config.strict import ConfigError, load_json
from cyclemix.data.reading import DataError

LISTS = ("train", "val", "test", "masks")

Fold = dict[str, list[str]]


def read_receipt(path: Path) -> dict[str, Any]:
    """A ``raw_{part}.json``: part, files (path, bytes, sha256) and cases (case, subject, image, ...).

    Raises:
        ConfigError: missing, truncated, not a receipt, or a case or file is listed twice; names the file.
    """
    content = load_json(path, "run `download` for this part again")
    redo = "delete it and run `download` for this part again"
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a receipt, got {type(content).__name__}; {redo}")
    for key, needed in (("files", {"path", "bytes", "sha256"}), ("cases", {"case", "subject"})):
        entries = content.get(key)
        if not isinstance(entries, list) or not all(_holds(entry, needed) for entry in entries):
            raise ConfigError(
                f"{path}: expected a list `{key}` with {', '.join(sorted(needed))} each, got something "
                f"else; {redo}"
            )
    for key, name in (("files", "path"), ("cases", "case")):
        if twice := _twice([str(entry[name]) for entry in content[key]]):
            raise ConfigError(f"{path}: {name} {twice[0]} is listed twice; {redo}")
    return content


def read_folds(path: Path) -> list[Fold]:
    """The folds of a ``folds.json``; missing lists are empty.

    Raises:
        ConfigError: missing, truncated, not folds, or a subject is in two lists of a fold (also in training
            and unpaired masks); names file, fold and subjects.
    """
    content = load_json(path, "run `split` again")
    folds = content.get("folds") if isinstance(content, dict) else None
    if not isinstance(folds, list) or not folds or not all(isinstance(fold, dict) for fold in folds):
        raise ConfigError(
            f"{path}: expected a list `folds` of mappings with {', '.join(LISTS)}; run `split` again"
        )
    made = []
    for number, fold in enumerate(folds):
        lists = {name: fold.get(name, []) for name in LISTS}
        for name, subjects in lists.items():
            if not isinstance(subjects, list) or not all(isinstance(s, str) for s in subjects):
                raise ConfigError(
                    f"{path}: fold {number}: {name} must be a list of subjects, got {subjects!r}; run "
                    "`split` again"
                )
        if twice := _twice([subject for subjects in lists.values() for subject in subjects]):
            places = [name for name in LISTS if twice[0] in lists[name]]
            raise ConfigError(
                f"{path}: fold {number}: {', '.join(twice[:8])} is listed twice (in {' and '.join(places)}), "
                "which would leak between training and test; correct the list or run `split` again"
            )
        made.append(lists)
    return made


def pick_fold(path: Path, fold: int) -> Fold:
    """One fold of a ``folds.json``.

    Raises:
        ConfigError: see `read_folds`, or the fold does not exist.
    """
    folds = read_folds(path)
    if not 0 <= fold < len(folds):
        raise ConfigError(f"{path}: no fold {fold}; it holds folds 0..{len(folds) - 1}")
    return folds[fold]


def check_known(subjects: Collection[str], known: Collection[str], path: Path, where: str) -> None:
    """Refuse subjects of a fold that have no case, as they would be silently missing.

    Raises:
        ConfigError: names the subjects, the list and ``where``.
    """
    unknown = sorted(set(subjects) - set(known))
    if unknown:
        raise ConfigError(
            f"{path}: {len(unknown)} subjects without a case in {where}: {', '.join(unknown[:8])}; correct "
            "the names, or prepare those subjects"
        )


def check_unchanged(raw_dir: Path, file: Mapping[str, Any]) -> None:
    """Compare a raw file with its receipt.

    Raises:
        DataError: missing, or changed.
    """
    path = raw_dir / file["path"]
    if path.is_file() and path.stat().st_size == file["bytes"]:
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == file["sha256"]:
                return
    raise DataError(f"{path}: absent or changed since `download`; run `download` for this part again")


def _holds(entry: Any, needed: set[str]) -> bool:
    return isinstance(entry, dict) and needed <= set(entry)


def _twice(names: list[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
