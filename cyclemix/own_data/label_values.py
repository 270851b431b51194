"""Guess the meaning of the values in label and scribble files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cyclemix.config.strict import ConfigError
from cyclemix.data.spec import RESERVED_CLASSES
from cyclemix.own_data.folder_layout import CaseFiles, Layout
from cyclemix.own_data.label_contents import Contents

THIN = 0.25
"""Fraction of inner pixels (`Contents.inner`) that distinguishes strokes (below) from regions (above)."""

IGNORED = (255, -1)
"""Values that mark unlabelled pixels in many data sets."""

MOST_COUNTED = 30
"""Largest value of consecutively numbered structures; larger values are grey levels."""

SPECIAL = {"background": "background", "ignore": "unlabelled", "unlabelled": "unlabelled"}
"""Meaning of value names that are not structures; `ignore` is nnU-Net's."""

NAMES_FILE = "dataset.json"
"""nnU-Net's description of a data set, whose `labels` name the values."""


@dataclass(frozen=True)
class Tables:
    """The drafted tables of label values; names are classes, background or unlabelled."""

    classes: list[str]
    label_values: dict[int, str]
    scribble_values: dict[int, str]


def name_values(
    folder: Path, layout: Layout, contents: Mapping[str, Sequence[Contents]]
) -> tuple[Layout, Tables, list[str]]:
    """Tables for the files of a layout; the layout is changed if files named labels are scribbles.

    Each table has a value for every class, even if no file of its kind has it.

    Raises:
        ConfigError: no file has a structure.
    """
    notes = []
    labels, scribbles = list(contents["label"]), list(contents["scribble"])
    if labels and not scribbles and _thin(labels):
        notes.append("the files called labels hold thin strokes: they are taken for scribbles")
        layout, labels, scribbles = _as_scribbles(layout), [], labels
    known, painted = _known_names(folder) | _own_names(folder, labels), _own_names(folder, scribbles)
    label_values = _label_values(labels, known)
    scribble_values = _scribble_values(scribbles, label_values, painted)
    drawn = _structures(scribble_values)
    label_values |= {v: "" for v in drawn if label_values.get(v) == "unlabelled"}  # annotators drew it
    dense = _structures(label_values)
    same = _paired(dense, drawn, known, painted)
    values = sorted({*dense, *(same.get(value, value) for value in drawn)})
    if not values:
        found = sorted({value for content in (*labels, *scribbles) for value in content.pixels})
        raise ConfigError(
            f"{folder}: neither label nor scribble files hold a structure; their values are "
            f"{', '.join(map(str, found)) or 'unknown, since none could be read'}"
        )
    if same:
        pairs = ", ".join(f"{mine} = {theirs}" for mine, theirs in same.items())
        notes.append(f"scribbles and labels number structures differently; taken as the same: {pairs}")
    names = _class_names(values, {same.get(v, v): name for v, name in painted.items()} | known)
    merged = [
        {value: name or names[same.get(value, value) if table is scribble_values else value]
         for value, name in table.items()}
        for table in (label_values, scribble_values)
    ]  # fmt: skip
    for table in merged:
        _complete(table, names)
    for kind, files, structures in (("label", labels, dense), ("scribble", scribbles, drawn)):
        rare = _rare(files, structures)
        if rare:
            notes.append(
                f"value {', '.join(map(str, rare))} is in few {kind} files: check that it is a structure"
            )
    notes += _of_ignored(label_values)
    ordered = [dict(sorted(table.items())) for table in merged]
    return layout, Tables([names[value] for value in values], ordered[0], ordered[1]), notes


def _paired(
    dense: Sequence[int], drawn: Sequence[int], known: Mapping[int, str], painted: Mapping[int, str]
) -> dict[int, int]:
    """Label value by scribble value of the same structure, if they differ: by name, else by order."""
    values = {known[value]: value for value in dense if value in known}
    by_name = {v: values[painted[v]] for v in drawn if painted.get(v) in values and values[painted[v]] != v}
    if by_name or not dense or list(dense) == list(drawn) or len(dense) != len(drawn):
        return by_name
    return dict(zip(drawn, dense, strict=True))


def _class_names(values: Sequence[int], known: Mapping[int, str]) -> dict[int, str]:
    """A unique name for each value, none of the reserved ones."""
    names: dict[int, str] = {}
    for value in values:
        name = known.get(value, "").replace("/", "-")
        taken = not name or name in names.values() or name in RESERVED_CLASSES
        names[value] = f"structure{value}" if taken else name
    return names


def _own_names(folder: Path, files: Sequence[Contents]) -> dict[int, str]:
    """Names of values given by the files.

    Raises:
        ConfigError: a value has two names.
    """
    names: dict[int, str] = {}
    for content in files:
        for value, name in content.names.items():
            if name and value in content.pixels and names.setdefault(value, name) != name:
                raise ConfigError(
                    f"{folder}: value {value} is named {names[value]!r} in one file and {name!r} in another; "
                    "give all files the same segments in the same order and save them again"
                )
    return names


def _structures(table: Mapping[int, str]) -> list[int]:
    """The values of structures, ascending."""
    return sorted(value for value, name in table.items() if not name)


def _complete(table: dict[int, str], names: Mapping[int, str]) -> None:
    """Add a value for every class missing in a table: its own value, or an unused one if that is taken."""
    for value, name in names.items():
        if table and name not in table.values():
            table[value if value not in table else max(*table, *names) + 1] = name


def _of_ignored(label_values: Mapping[int, str]) -> list[str]:
    """Notes on values that mark unlabelled pixels in other data sets."""
    return [
        f"value {value} in the label files is taken for {label_values[value] or 'a structure'}; "
        "in some data sets it marks unlabelled pixels, in others a structure"
        for value in IGNORED
        if label_values.get(value, "background") != "background"
    ]


def _label_values(files: Sequence[Contents], known: Mapping[int, str]) -> dict[int, str]:
    """Meaning by value: background, unlabelled, or empty for a structure; by name if known."""
    values = {value for content in files for value in content.pixels}
    if not values:
        return {}
    usual = Counter(content.usual for content in files).most_common(1)[0][0]
    background = 0 if 0 in values else usual
    ignored = {value for value in IGNORED if value in values and _ignored(value, files)}
    names = {value: SPECIAL.get(known.get(value, "").lower(), "") for value in values}
    return {**names, **dict.fromkeys(ignored, "unlabelled"), background: "background"}


def _ignored(value: int, files: Sequence[Contents]) -> bool:
    """Whether a value of dense labels marks unlabelled pixels rather than a structure.

    True if structures are numbered 1, 2, ..., or if the value forms thin lines or the border of slices; in
    grey-level masks (0 and 255; 0, 85, 170 and 255) it is a structure.
    """
    others = {other for content in files for other in content.pixels} - {0, *IGNORED}
    if others and max(others) <= MOST_COUNTED:
        return True
    holding = [content for content in files if value in content.pixels]
    line = np.median([content.inner[value] for content in holding]) < THIN
    frame = np.median([content.frame[value] for content in holding]) > 0.5
    return bool(line or frame)


def _scribble_values(
    files: Sequence[Contents], label_values: Mapping[int, str], known: Mapping[int, str]
) -> dict[int, str]:
    """Meaning by value: background, unlabelled, or empty for a structure; by name if known.

    The most frequent value is unlabelled. Background is the background value of dense labels, or 0, if that
    is another value; else the value that is not in dense labels; else the one whose strokes surround all
    others.
    """
    values = {value for content in files for value in content.pixels}
    if not values:
        return {}
    unlabelled = Counter(content.usual for content in files).most_common(1)[0][0]
    rest = sorted(values - {unlabelled})
    named = {value: SPECIAL.get(known.get(value, "").lower(), "") for value in rest}
    if "background" not in named.values():
        found = _background(files, [value for value in rest if value not in known], label_values)
        named |= {} if found is None else {found: "background"}
    return {unlabelled: "unlabelled", **named}


def _background(
    files: Sequence[Contents], rest: Sequence[int], label_values: Mapping[int, str]
) -> int | None:
    """The value of background strokes among all values except unlabelled; None if there is none."""
    structures = _structures(label_values)
    of_labels = next((value for value, name in label_values.items() if name == "background"), 0)
    for value in (of_labels, 0):
        if value in rest and value not in structures:
            return value
    if not structures:
        return _widest(files, rest)
    unknown = [value for value in rest if value not in structures]
    if len(unknown) == len(rest) == len(structures):
        return None  # other numbers for the same structures
    return unknown[-1] if unknown else None


def _widest(files: Sequence[Contents], values: Sequence[int]) -> int | None:
    """The value of largest spread in at least 90 % of the files, else None."""
    winners: Counter[int] = Counter()
    for content in files:
        spans = {value: content.spread.get(value, 0.0) for value in values}
        first, *others = sorted(spans, key=lambda value: -spans[value]) or [0]
        if others and spans[first] > spans[others[0]]:
            winners[first] += 1
    if not winners:
        return None
    value, count = winners.most_common(1)[0]
    return value if count >= 0.9 * len(files) else None


def _thin(files: Sequence[Contents]) -> bool:
    """Whether all values except the most frequent one are strokes rather than regions."""
    shares = [share for content in files for value, share in content.inner.items() if value != content.usual]
    return bool(shares) and float(np.median(shares)) < THIN


def role_by_content(content: Contents, dense: Collection[int]) -> str:
    """``label`` or ``scribble``: scribbles are thin, or their most frequent value is in no label."""
    thin = _thin([content]) or (bool(dense) and content.usual not in dense)
    return "scribble" if thin else "label"


def _as_scribbles(layout: Layout) -> Layout:
    patterns = {"image": layout.patterns["image"], "scribble": layout.patterns["label"]}
    cases = [
        CaseFiles(
            case.subject, {("scribble" if kind == "label" else kind): p for kind, p in case.files.items()}
        )
        for case in layout.cases
    ]
    return replace(layout, patterns=patterns, cases=cases)


def _rare(files: Sequence[Contents], values: Sequence[int]) -> list[int]:
    """Values in less than a tenth of the files."""
    return [v for v in values if 0 < sum(v in content.pixels for content in files) < 0.1 * len(files)]


def _known_names(folder: Path) -> dict[int, str]:
    """Names of values in nnU-Net's ``dataset.json``; empty if there is none."""
    path = folder / NAMES_FILE
    if not path.is_file():
        return {}
    try:
        labels: Any = json.loads(path.read_text()).get("labels", {})
        pairs = [_pair(key, value) for key, value in labels.items()]
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: labels cannot be read ({error}); correct or move the file") from None
    return {value: name.strip().replace("/", "-") for value, name in filter(None, pairs)}


def _pair(key: str, value: Any) -> tuple[int, str] | None:
    """Value and name of an entry ``name: value``, ``value: name`` or ``name: [value]``; None for a region."""
    if isinstance(value, list):  # a region of several values: each value is a structure of its own
        return (int(value[0]), key) if len(value) == 1 else None
    return (value, key) if isinstance(value, int) else (int(key), str(value))
