"""What the values in label and scribble files mean, guessed from the files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from cyclemix.config.strict import ConfigError
from cyclemix.data.readers.native import DataError, load_volume
from cyclemix.own_data.folder_layout import CaseFiles, Layout

MOST_VALUES = 60
"""A file with more different values is no label."""

THIN = 0.25
"""Less than this part of a stroke's pixels has all eight neighbours of its own value; of a region's more."""

NAMES_FILE = "dataset.json"
"""nnU-Net's description of a data set, whose `labels` name the values."""


@dataclass(frozen=True)
class Contents:
    """What one label or scribble file holds.

    Attributes:
        pixels: number of pixels by value.
        inner: share of each value's pixels whose eight neighbours in the slice have it too.
        spread: mean area of each value's bounding box over the slices that have it, pixels.
    """

    pixels: dict[int, int]
    inner: dict[int, float]
    spread: dict[int, float]

    @property
    def usual(self) -> int:
        """The value of most pixels."""
        return max(self.pixels, key=lambda value: (self.pixels[value], -value))


@dataclass(frozen=True)
class Tables:
    """The drafted label tables; names are classes, background or unlabelled."""

    classes: list[str]
    label_values: dict[int, str]
    scribble_values: dict[int, str]


def look(path: Path) -> Contents:
    """Read a label or scribble file.

    Raises:
        DataError: it cannot be read, or its values are no labels.
    """
    array, _ = load_volume(Path(), {"case": path.name, "label": str(path)}, "label")
    values, counts = np.unique(array, return_counts=True)
    if len(values) > MOST_VALUES or not np.isfinite(values).all() or (values != np.round(values)).any():
        raise DataError(f"{path}: {len(values)} different values; expected a label file of few whole numbers")
    pixels = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    inner, spread = {}, {}
    for value in pixels:
        mask = array == value
        kept = ndimage.minimum_filter(mask, size=(1, 3, 3), mode="constant", cval=0)
        inner[value] = float(kept.sum() / mask.sum())
        spread[value] = _mean_box(mask)
    return Contents(pixels, inner, spread)


def name_values(
    folder: Path, layout: Layout, contents: Mapping[str, Sequence[Contents]]
) -> tuple[Layout, Tables, list[str]]:
    """Tables for the files of a layout; the layout changes where files called labels are scribbles.

    Raises:
        ConfigError: no file holds a structure.
    """
    notes = []
    labels, scribbles = list(contents["label"]), list(contents["scribble"])
    if labels and not scribbles and _thin(labels):
        notes.append("the files called labels hold thin strokes: they are taken for scribbles")
        layout, labels, scribbles = _as_scribbles(layout), [], labels
    known = _known_names(folder)
    label_values = _label_values(labels)
    scribble_values = _scribble_values(scribbles, set(label_values))
    special = {"background", "unlabelled"}
    tables = [table for table in (label_values, scribble_values) if table]
    values = sorted({value for table in tables for value, name in table.items() if name not in special})
    if not values:
        raise ConfigError(f"{folder}: neither label nor scribble files hold a structure")
    names = {value: known.get(value, f"structure{value}") for value in values}
    merged = [
        {value: name or names[value] for value, name in table.items()}
        for table in (label_values, scribble_values)
    ]
    for table in merged:  # every table must give each class its value
        if table:
            table.update({value: names[value] for value in values if value not in table})
    for kind, files in (("label", labels), ("scribble", scribbles)):
        rare = _rare(files, values)
        if rare:
            notes.append(
                f"value {', '.join(map(str, rare))} is in few {kind} files: check that it is a structure"
            )
    ordered = [dict(sorted(table.items())) for table in merged]
    return layout, Tables([names[value] for value in values], ordered[0], ordered[1]), notes


def _label_values(files: Sequence[Contents]) -> dict[int, str]:
    """Value -> background, unlabelled, or empty for a structure."""
    values = {value for content in files for value in content.pixels}
    if not values:
        return {}
    usual = Counter(content.usual for content in files).most_common(1)[0][0]
    background = 0 if 0 in values else usual
    return {v: "background" if v == background else "unlabelled" if v in (255, -1) else "" for v in values}


def _scribble_values(files: Sequence[Contents], structures: set[int]) -> dict[int, str]:
    """Value -> background, unlabelled, or empty for a structure.

    Most pixels are unlabelled. Background is 0 where that is another value; else the value that dense labels
    do not know; else the one whose strokes run around all others.
    """
    values = {value for content in files for value in content.pixels}
    if not values:
        return {}
    unlabelled = Counter(content.usual for content in files).most_common(1)[0][0]
    rest = sorted(values - {unlabelled})
    unknown = [value for value in rest if structures and value not in structures]
    if 0 in rest:
        background: int | None = 0
    elif structures:
        background = unknown[-1] if unknown else None
    else:
        background = _widest(files, rest)
    names = {unlabelled: "unlabelled", background: "background"}
    return {value: names.get(value, "") for value in values}


def _widest(files: Sequence[Contents], values: Sequence[int]) -> int | None:
    """The value whose strokes span most in nearly every file; None where none does."""
    winners = Counter(
        max(values, key=lambda v: content.spread.get(v, 0.0)) for content in files if len(values) > 1
    )
    if not winners:
        return None
    value, count = winners.most_common(1)[0]
    return value if count >= 0.9 * len(files) else None


def _thin(files: Sequence[Contents]) -> bool:
    """Whether the values beside the usual one are strokes rather than regions."""
    shares = [share for content in files for value, share in content.inner.items() if value != content.usual]
    return bool(shares) and float(np.median(shares)) < THIN


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
    """Names of values that nnU-Net's ``dataset.json`` gives; empty where there is none."""
    path = folder / NAMES_FILE
    if not path.is_file():
        return {}
    try:
        labels: Any = json.loads(path.read_text()).get("labels", {})
        pairs = [(v, k) if isinstance(v, int) else (int(k), v) for k, v in labels.items()]
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: labels cannot be read ({error}); correct or move the file") from None
    return {int(value): str(name).strip().replace("/", "-") for value, name in pairs}


def _mean_box(mask: np.ndarray) -> float:
    areas = []
    for plane in mask:
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if rows.size:
            areas.append(float((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)))
    return float(np.mean(areas)) if areas else 0.0
