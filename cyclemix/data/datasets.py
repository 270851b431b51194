"""Load a data set's YAML file and determine which rows it supports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cyclemix.config.models import Protocol
from cyclemix.config.strict import ConfigError, load_yaml, validate
from cyclemix.data.spec import DatasetSpec, read_table

PARTS = ("train", "val", "masks", "test")

__all__ = ["DatasetSpec", "cardiac_phase", "load_dataset", "source_parts", "supports"]


def load_dataset(path: Path) -> DatasetSpec:
    """Read ``config/datasets/<label>.yaml``; a view (``source:``) inherits missing keys from its source.

    Raises:
        ConfigError: an invalid key or value, or a missing source; names the file and the key.
    """
    path = Path(path)
    values = load_yaml(path)
    identity = {"label": path.stem, "folder": str(path.parent.resolve())}
    for key in identity:
        if key in values:
            raise ConfigError(f"{path}: key {key} is taken from the file's name; remove it")
    if values.get("source") in (None, "null"):
        if values.get("merge"):
            raise ConfigError(f"{path}: merge is for views; name the `source` or give `official` lists")
        return validate(DatasetSpec, {**values, **_split(values, path), **identity}, str(path))
    source_path = path.with_name(f"{values['source']}.yaml")
    if not source_path.is_file():
        raise ConfigError(f"{path}: source {values['source']!r} has no file {source_path}")
    source = load_dataset(source_path)
    if source.source:
        raise ConfigError(f"{path}: source {source.label} is itself a view; name {source.source} instead")
    own_table = _split(values, path)
    values = {**load_yaml(source_path), "official": source.official, **values, **own_table, **identity}
    if values.get("merge"):
        values["official"] = _merged(values["merge"], source, path)
    return validate(DatasetSpec, values, str(path))


def source_parts(spec: DatasetSpec, part: str) -> list[str]:
    """Parts of ``spec.data_label`` with the subjects of ``part``; ``[part]`` unless a view merges lists."""
    if part == "all" or not spec.merge:
        return [part]
    return list(spec.merge.get(part, [part]))  # type: ignore[call-overload]


def supports(spec: DatasetSpec, supervision: str, protocol: Protocol) -> str | None:
    """Why the data set cannot train and score a row; None if it can.

    Args:
        spec: the data set.
        supervision: ``scribble``, ``scribble+masks`` or ``full``.
        protocol: official lists or k-fold, and the evaluated part.
    """
    if protocol.kind == "kfold":
        return _supports_kfold(spec, supervision)
    if not spec.official:
        return f"{spec.label} has no official lists (use protocol.kind: kfold)"
    for part in ("train", "val", protocol.evaluate_on):
        if not spec.official.get(part):
            return f"{spec.label} has no official {part} list"
        if part != "train" and part not in spec.dense:
            return f"the {part} cases of {spec.label} have no dense labels to score against"
    if supervision == "full":
        return None if "train" in spec.dense else f"the training cases of {spec.label} have no dense labels"
    if "train" not in spec.scribbled:
        return f"the training cases of {spec.label} have no scribbles"
    if supervision == "scribble+masks" and not (spec.official.get("masks") and "masks" in spec.dense):
        return f"{spec.label} has no list of unpaired masks"
    return None


def cardiac_phase(spec: DatasetSpec, subject: str, frame: str) -> Literal["ED", "ES"] | None:
    """``ED`` or ``ES`` of a frame according to ``cardiac_frames``, else None."""
    frames = spec.cardiac_frames
    if frames is None:
        return None
    if frame == frames.exceptions.get(subject, frames.ED):
        return "ED"
    return "ES" if frames.ES in (None, frame) or subject in frames.exceptions else None


def _supports_kfold(spec: DatasetSpec, supervision: str) -> str | None:
    if not spec.dense:
        return f"{spec.label} has no dense labels to score against"
    if supervision == "scribble+masks":
        return "k-fold sets no unpaired masks aside (use protocol.kind: official)"
    if supervision == "scribble":
        return None if spec.scribbled else f"{spec.label} has no scribbles"
    sparse = [part for part in spec.official if part not in spec.dense]
    if sparse:
        return f"the {', '.join(sparse)} cases of {spec.label} have no dense labels to train on"
    return None


def _merged(merge: Any, source: DatasetSpec, path: Path) -> dict[str, list[str]]:
    """Lists of a view as unions of its source's lists."""
    if not isinstance(merge, dict) or not all(isinstance(parts, list) for parts in merge.values()):
        raise ConfigError(f"{path}: merge: expected part: [parts of {source.label}], got {merge!r}")
    for parts in merge.values():
        unknown = [part for part in parts if part not in source.official]
        if unknown:
            known = ", ".join(source.official)
            raise ConfigError(f"{path}: merge names {unknown[0]!r}; {source.label} has {known}")
    return {part: [s for name in parts for s in source.official[name]] for part, parts in merge.items()}


def _split(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Official lists from ``split_table``; empty if there is none.

    Raises:
        ConfigError: an invalid table, or both `split_table` and `official`.
    """
    name = values.get("split_table")
    if name in (None, "null"):
        return {}
    if values.get("official"):
        raise ConfigError(f"{path}: split_table and official both list the subjects; keep one")
    table = path.parent / Path(str(name)).expanduser()
    lists: dict[str, list[str]] = {}
    for number, row in enumerate(read_table(table, ("subject", "split"), "split_table"), 2):
        part = row["split"].lower()
        if part and part not in PARTS:
            raise ConfigError(
                f"{table}: line {number}: split must be {', '.join(PARTS)} or empty, got {row['split']!r}"
            )
        if part and row["subject"] not in lists.setdefault(part, []):
            lists[part].append(row["subject"])
    return {"official": lists}
