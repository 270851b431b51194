"""The model of a data set's YAML file: files, label values, grid, official lists.

The descriptions of the fields below are the file's reference.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.config.strict import ConfigError, StrictModel
from cyclemix.data.spec_blocks import (
    AutoGrid,
    CardiacFrames,
    FilePatterns,
    Kind,
    LabelGeometry,
    RootPatterns,
    Upstream,
    _grid_kind,
    _spread_auto,
)

OfficialPart = Literal["train", "val", "masks", "test"]


RESERVED_CLASSES = ("background", "unlabelled", "Avg")
"""Names with another meaning in label tables and in the tables of scores."""


GridSetting = Annotated[
    Annotated[Grid, Tag("<numbers>")] | Annotated[AutoGrid, Tag("<auto>")],
    Discriminator(_grid_kind),
    BeforeValidator(_spread_auto, json_schema_input_type=Grid | AutoGrid | Literal["auto"]),
]


class DatasetSpec(StrictModel):
    """A file of ``config/datasets``."""

    label: str = Field(description="name of the data set (from the file name)")
    folder: str = Field(description="folder of the YAML file; base of relative paths")
    title: str = Field(description="full name for tables and reports")
    terms: str = Field(description="licence and required citation, shown in the report")
    kind: Literal["files", "phantom"] = Field("files", description="files, or generated hearts")
    seed: int = Field(0, ge=0, description="seed of kind: phantom")
    source: str | None = Field(
        None, description="data set whose files and prepared arrays this view uses; null = own"
    )
    merge: dict[OfficialPart, list[OfficialPart]] | None = Field(
        None, description="views only: lists as unions of the source's, e.g. train: [train, masks]"
    )
    upstream: list[Upstream] = Field(default_factory=list, description="download sources; empty = root only")
    root: str | None = Field(
        None,
        description="folder with the files (absolute, ~ or relative to this YAML); null = download",
    )
    files: FilePatterns = Field(description="file patterns, relative to the download folder or root")
    root_files: RootPatterns | None = Field(
        None, description="patterns relative to root, if they differ from `files`"
    )
    folders: dict[OfficialPart, str] = Field(default_factory=dict, description="value of {part} per list")
    case: str = Field("{subject}", description="case name: {subject}_{frame}, {subject}_DE")
    classes: list[str] = Field(min_length=1, description="structures; values after prepare: 1, 2, ...")
    table_order: list[str] = Field(
        default_factory=list, description="structures in the order of tables; empty = classes reversed"
    )
    label_values: dict[int, str] = Field(
        description="upstream value: a class, background or unlabelled; any other value is refused"
    )
    scribble_values: dict[int, str] = Field(
        default_factory=dict, description="the same for scribbles, including their unlabelled value"
    )
    slice_axis: Literal[1, 2, 3] = Field(
        3, description="slice axis of the stored arrays; 3 for nearly all files"
    )
    label_geometry: dict[str, LabelGeometry] = Field(
        default_factory=dict,
        description="by case, or `all`: header with the geometry of label and scribble, e.g. "
        "case1: {use: image, reason: the export lost the orientation}; a case's own entry overrides `all`",
    )
    grid: GridSetting = Field(description="in-plane grid of these images: numbers, or `auto` for one or both")
    exclude: list[str] = Field(default_factory=list, description="cases or subjects to leave out")
    subject_name: str | None = Field(
        None, description="pattern of subject names given as numbers in `official`, e.g. patient{:03d}"
    )
    official: dict[OfficialPart, list[str]] = Field(
        default_factory=dict, description="official lists of subjects; empty = k-fold only"
    )
    split_table: str | None = Field(
        None,
        description="CSV beside this file with columns subject, split (train, val, test or masks; empty = "
        "left out) and optionally group; instead of `official`",
    )
    scribbled_parts: list[str] | None = Field(
        None, description="lists whose subjects have scribbles; null = all if files.scribble is given"
    )
    dense_parts: list[str] | None = Field(
        None, description="lists whose subjects have dense labels; null = all if files.label is given"
    )
    same_person: list[list[str]] = Field(
        default_factory=list,
        description="groups of subjects that are the same person; they stay in the same list of a fold",
    )
    group_table: str | None = Field(
        None, description="TSV: subject in the first column, pathology in the column `group`"
    )
    cardiac_frames: CardiacFrames | None = Field(
        None, description="names of the ED and ES frames, for the ejection fraction"
    )

    @model_validator(mode="before")
    @classmethod
    def _number_subjects(cls, values: Any) -> Any:
        name = values.get("subject_name") if isinstance(values, dict) else None
        if not name or not isinstance(values.get("official"), dict):
            return values
        lists = {
            part: [name.format(s) if isinstance(s, int) else s for s in subjects]
            for part, subjects in values["official"].items()
        }
        return {**values, "official": lists}

    @model_validator(mode="after")
    def _consistent(self) -> DatasetSpec:
        self._check_classes()
        self._check_values("label_values", self.label_values, self.files.label)
        self._check_values("scribble_values", self.scribble_values, self.files.scribble)
        if self.table_order and sorted(self.table_order) != sorted(self.classes):
            raise ValueError(f"table_order must hold the classes {self.classes}, got {self.table_order}")
        subjects = [s for members in self.official.values() for s in members]
        twice = sorted({s for s in subjects if subjects.count(s) > 1})
        if twice:
            raise ValueError(f"official: {', '.join(twice)} listed twice; a subject belongs to one list")
        for key in ("scribbled_parts", "dense_parts"):
            unknown = set(getattr(self, key) or []) - {*self.official, "all"}
            if unknown:
                raise ValueError(f"{key} names {sorted(unknown)}, which `official` does not list")
        if self.kind == "files" and not self.upstream and self.root is None:
            raise ValueError("neither `upstream` nor `root` says where the files are; give one")
        if isinstance(self.grid, AutoGrid) and (self.upstream or self.root is None):
            raise ValueError(
                "grid: auto is derived from the files of `root`; give numbers where they are fetched"
            )
        return self

    def _check_classes(self) -> None:
        """Class names are used as columns, rows and file names."""
        wrong = [name for name in self.classes if name in RESERVED_CLASSES or "/" in name or not name.strip()]
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if wrong or twice:
            raise ValueError(
                f"classes: {', '.join(map(repr, wrong or twice))} "
                + ("cannot name a structure" if wrong else "is named twice")
                + f"; give each its own name without '/' and other than {', '.join(RESERVED_CLASSES)}"
            )

    def _check_values(self, key: str, values: Mapping[int, str], pattern: str | None) -> None:
        allowed = [*self.classes, "background", "unlabelled"]
        for value, name in values.items():
            if name not in allowed:
                raise ValueError(f"{key}.{value} must be one of {', '.join(allowed)}, got {name!r}")
        missing = [name for name in self.classes if pattern and name not in values.values()]
        if missing:
            raise ValueError(f"{key} gives no upstream value for {', '.join(missing)}")

    @property
    def data_label(self) -> str:
        """Name of the folder under ``results/data`` with raw and prepared files."""
        return self.source or self.label

    @property
    def structures(self) -> list[str]:
        """Structures in table order."""
        return list(self.table_order) or list(reversed(self.classes))

    @property
    def scribbled(self) -> list[str]:
        """Lists (or ``all``) whose subjects have scribbles."""
        return self._parts_with(self.scribbled_parts, self.files.scribble)

    @property
    def dense(self) -> list[str]:
        """Lists (or ``all``) whose subjects have dense labels."""
        return self._parts_with(self.dense_parts, self.files.label)

    def _parts_with(self, parts: list[str] | None, pattern: str | None) -> list[str]:
        if parts is not None:
            return parts
        return (list(self.official) or ["all"]) if pattern else []

    @property
    def subjects(self) -> list[str]:
        """All subjects of the official lists, sorted; empty without lists."""
        return sorted(s for members in self.official.values() for s in members)

    def part_of(self, subject: str) -> str | None:
        """The official list with ``subject``, else None; ``all`` for a data set without lists."""
        if not self.official:
            return "all"
        return next((part for part, members in self.official.items() if subject in members), None)

    def path(self, name: str) -> Path:
        """``name`` as an absolute path; relative ones refer to the YAML file's folder."""
        return (Path(self.folder) / Path(name).expanduser()).resolve()

    def person(self, subject: str) -> str:
        """Common name of all subjects that are the same person."""
        return next((names[0] for names in self.same_person if subject in names), subject)

    @cached_property
    def groups(self) -> dict[str, str]:
        """Pathology group by subject; empty if there is no table."""
        if self.group_table is not None:
            rows = read_table(self.path(self.group_table), ("group",), "group_table")
            first = next(iter(rows[0]))
            return {row[first]: row["group"] for row in rows}
        if self.split_table is not None:
            rows = read_table(self.path(self.split_table), ("subject",), "split_table")
            return {row["subject"]: row["group"] for row in rows if "group" in row}
        return {}

    def header_wrong(self, case: str) -> str | None:
        """Why the headers of a case's label and scribble are not used; None if they are."""
        setting = self.label_geometry.get(case) or self.label_geometry.get("all")
        return setting.reason if setting is not None and setting.use == "image" else None

    def value_table(self, kind: Kind) -> dict[int, int]:
        """Upstream value -> value after prepare (class position + 1, 0 background, 255 unlabelled)."""
        names = {"background": BACKGROUND, "unlabelled": UNLABELLED}
        names |= {name: i + 1 for i, name in enumerate(self.classes)}
        values = self.label_values if kind == "label" else self.scribble_values
        return {value: names[name] for value, name in values.items()}


def read_table(path: Path, columns: tuple[str, ...], key: str) -> list[dict[str, str]]:
    """Rows of a table with a header line, separated by comma, semicolon or tab.

    Raises:
        ConfigError: missing file, rows or column; names the file and ``key``.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such table ({key}); correct the path, relative to the YAML file")
    text = path.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    delimiter = max(("\t", ";", ","), key=head.count)
    rows = [
        {name.strip(): (value or "").strip() for name, value in row.items() if name}
        for row in csv.DictReader(text.splitlines(), delimiter=delimiter)
    ]
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(
            f"{path}: expected rows and the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
            f"({key}), got columns {', '.join(rows[0]) if rows else head.strip() or 'none'}"
        )
    return rows
