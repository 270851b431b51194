"""Stage ``split``: subjects for training, validation and test per fold, written to ``folds.json``."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cyclemix.config.models import Protocol
from cyclemix.config.strict import ConfigError
from cyclemix.data.datasets import load_dataset
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.subject_order import interleave
from cyclemix.files.atomic import write_text

logger = logging.getLogger(__name__)

VALIDATION_FRACTION = 0.15
"""Fraction of the densely labelled subjects outside the test fold used for validation in k-fold."""

Fold = dict[str, list[str]]
LISTS = ("train", "val", "test", "masks")
SEPARATE = (("train", "val"), ("train", "test"), ("val", "test"), ("masks", "val"), ("masks", "test"))
"""Pairs of lists that may not share a person; training subjects and unpaired masks may."""


@dataclass(frozen=True)
class Person:
    """Subjects that must stay together (usually one), and their labels."""

    subjects: tuple[str, ...]
    group: str
    dense: bool
    scribbled: bool


def run(dataset_file: Path, protocol: Protocol, index: Path | None, output: Path) -> None:
    """Write ``folds.json``: ``{"dataset", "protocol", "folds": [{"train", "val", "test", "masks"}]}``.

    Every subject of the data set is in exactly one list of each fold.

    Args:
        dataset_file: ``config/datasets/<label>.yaml``.
        protocol: official lists or k-fold.
        index: ``index_all.csv``, source of subjects and groups for data sets without official lists.
        output: the file to write.

    Raises:
        ConfigError: no lists, too few subjects, or a person in two lists of a fold.
    """
    spec = load_dataset(dataset_file)
    if protocol.kind == "official":
        folds = [official_fold(spec)]
        settings: dict[str, Any] = {"kind": "official"}
    else:
        persons = _persons(spec, index)
        # Official lists define who is scribbled; without them labels vary by case.
        folds = kfold(persons, protocol.folds, protocol.seed, spec.label, mixed=not spec.official)
        settings = {"kind": "kfold", "folds": protocol.folds, "seed": protocol.seed}
    for number, fold in enumerate(folds):
        check_disjoint(fold, spec, f"{spec.label}, fold {number}")
    content = {"dataset": spec.label, "protocol": settings, "folds": folds}
    write_text(output, json.dumps(content, indent=1) + "\n")
    sizes = ", ".join("/".join(str(len(fold[name])) for name in LISTS) for fold in folds)
    logger.info("%s: %s (%s)", output, sizes, "/".join(LISTS))


def official_fold(spec: DatasetSpec) -> Fold:
    """The data set's own lists.

    Raises:
        ConfigError: no training or no validation list.
    """
    missing = [part for part in ("train", "val") if not spec.official.get(part)]
    if missing:
        raise ConfigError(
            f"{spec.label}: no official {' and '.join(missing)} list; use protocol.kind: kfold, or list the "
            "subjects under `official` in its YAML file"
        )
    return {part: sorted(spec.official.get(part, [])) for part in LISTS}  # type: ignore[call-overload]


def kfold(persons: Sequence[Person], folds: int, seed: int, label: str, mixed: bool = False) -> list[Fold]:
    """Stratified k-fold cross-validation by person.

    Densely labelled persons rotate through the test folds, stratified by group. A fraction of the remaining
    ones, again stratified, is drawn for validation. Persons without dense labels are always in training. If
    the data set has scribbles, persons without scribbles are not in training but in validation; with
    ``mixed``, they are drawn for validation first, and the rest are trained on their dense labels.

    Raises:
        ConfigError: fewer densely labelled persons than folds, or an empty training or validation list.
    """
    rotating = [person for person in persons if person.dense]
    if len(rotating) < folds:
        raise ConfigError(
            f"{label}: {len(rotating)} densely labelled subjects for {folds} folds; lower protocol.folds"
        )
    has_scribbles = any(person.scribbled for person in persons)
    tests = _deal(rotating, folds, np.random.default_rng([seed, 0]))
    made = []
    for number, test in enumerate(tests):
        rest = [person for person in rotating if person not in test]
        drawn = interleave(rest, lambda person: person.group, np.random.default_rng([seed, 1, number]))
        count = max(1, round(VALIDATION_FRACTION * len(rest)))
        unable = [person for person in drawn if has_scribbles and not person.scribbled]
        able = [person for person in drawn if person not in unable]
        val = (unable + able)[:count] if mixed else unable + able[: max(0, count - len(unable))]
        train = [person for person in persons if person not in test and person not in val]
        if not val or not train:
            raise ConfigError(
                f"{label}: fold {number} of {folds} has {len(train)} subjects to train and {len(val)} to "
                f"select on, expected one each or more, from {len(persons)}; lower protocol.folds"
            )
        made.append({"train": _names(train), "val": _names(val), "test": _names(test), "masks": []})
    return made


def check_disjoint(fold: Fold, spec: DatasetSpec, where: str) -> None:
    """Raise ConfigError, naming fold and subjects, for a subject or a person in two separate lists."""
    lists = {name: set(fold[name]) for name in LISTS}
    for i, first in enumerate(LISTS):
        for second in LISTS[i + 1 :]:
            if both := lists[first] & lists[second]:
                raise ConfigError(f"{where}: {', '.join(sorted(both))} in both {first} and {second}")
    sides = {name: {spec.person(s) for s in lists[name]} for name in LISTS}
    for first, second in SEPARATE:
        if both := sides[first] & sides[second]:
            raise ConfigError(
                f"{where}: {', '.join(sorted(both))} is in {first} and, by another name, in {second}"
            )


def _persons(spec: DatasetSpec, index: Path | None) -> list[Person]:
    """All persons of the data set, sorted by name, from the official lists or else from the index."""
    subjects: dict[str, tuple[bool, bool]] = {}
    groups = dict(spec.groups)
    if spec.official:
        for part, names in spec.official.items():
            subjects |= dict.fromkeys(names, (part in spec.dense, part in spec.scribbled))
    elif index is None:
        raise ConfigError(f"{spec.label}: no official lists; k-fold needs the index of all cases (--index)")
    else:
        from cyclemix.data.store import read_index  # pandas is not needed where there are lists

        for row in read_index([index]).itertuples():
            name, labels = str(row.subject), str(row.supervision)
            dense, scribbled = subjects.get(name, (True, True))  # labels that all cases of a subject have
            subjects[name] = (
                dense and labels in ("full", "both"),
                scribbled and labels in ("scribble", "both"),
            )
            groups.setdefault(name, str(row.group))
    together: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(subjects):
        together[spec.person(subject)].append(subject)
    return [
        Person(
            tuple(names),
            groups.get(names[0], ""),
            all(subjects[name][0] for name in names),
            all(subjects[name][1] for name in names),
        )
        for names in together.values()
    ]


def _deal(persons: Iterable[Person], hands: int, rng: np.random.Generator) -> list[list[Person]]:
    """Shuffle within groups and deal round-robin, group by group; sizes differ by at most one."""
    groups: dict[str, list[Person]] = defaultdict(list)
    for person in persons:
        groups[person.group].append(person)
    order = [group[i] for _, group in sorted(groups.items()) for i in rng.permutation(len(group))]
    return [order[hand::hands] for hand in range(hands)]


def _names(persons: Iterable[Person]) -> list[str]:
    return sorted(name for person in persons for name in person.subjects)
