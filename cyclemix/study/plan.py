"""The plan of a study: which rows run on which data, validated before any job starts.

The Snakefile builds one `Plan`, which its rules query. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cyclemix.config.models import Grid, Inference, Training
from cyclemix.config.strict import ConfigError, nearest, validate
from cyclemix.config.study import MethodBlock, Study, load_methods, overridden
from cyclemix.data.cases import part_of_case
from cyclemix.data.datasets import DatasetSpec, load_dataset, source_parts, supports
from cyclemix.files.layout import data_dir
from cyclemix.provenance.digests import value_digest
from cyclemix.study.method_schema import check_block, check_network, load_method_schemas
from cyclemix.study.sweep import Point, points_of

SHOWN_ONLY = {"title", "terms", "table_order", "cardiac_frames", "group_table", "grid"}
"""Keys of a data set without influence on raw and prepared files."""

OWN_IDENTITY = {"label", "folder", "source", "merge", "official"}
"""Keys that name a data set or list its subjects; the lists enter digests per part."""


@dataclass(frozen=True)
class Plan:
    """A validated study with its data sets and method blocks.

    Attributes:
        study: the study file with all overrides.
        datasets: data sets by label, including the sources of views.
        blocks: the study's method blocks by label.
        folder: the project's folder, which contains ``config/``.
        points: rows of the study's annotation sweep by label; also among its methods.
    """

    study: Study
    datasets: Mapping[str, DatasetSpec]
    blocks: Mapping[str, MethodBlock]
    folder: Path
    points: Mapping[str, Point] = field(default_factory=dict)
    _derived: dict[str, Grid] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Grids of data sets with `auto`, by label."""

    def dataset_file(self, label: str) -> Path:
        """The data set's YAML file."""
        return self.folder / "config" / "datasets" / f"{label}.yaml"

    def reason(self, dataset: str, label: str) -> str | None:
        """Why a row is ``n/a`` on a data set; None if it runs."""
        return supports(self.datasets[dataset], self.blocks[label].supervision, self.study.protocol)

    def labels(self, dataset: str) -> list[str]:
        """Rows that run on a data set, in the study's order."""
        return [label for label in self.study.methods if self.reason(dataset, label) is None]

    def shown(self, dataset: str) -> list[str]:
        """Rows compared in the figures: those with all annotations, if any."""
        labels = self.labels(dataset)
        whole = [label for label in labels if label not in self.points or self.points[label].whole]
        return whole or labels

    def swept(self, dataset: str) -> bool:
        """Whether rows of the annotation sweep run on a data set."""
        return any(label in self.points for label in self.labels(dataset))

    def training(self, label: str) -> Training:
        """The row's training settings."""
        return overridden(self.study.training, self.blocks[label].training, f"method {label}: training")

    def shortened(self, label: str) -> dict[str, int] | None:
        """``{"from": own steps, "to": steps}`` of a row shortened by `at_most_steps`, else None."""
        own, most = self.training(label).max_steps, self.study.at_most_steps
        return {"from": own, "to": most} if most is not None and most < own else None

    def seeds(self, label: str) -> list[int]:
        """The row's seeds; one training per seed and fold."""
        return self.study.row_seeds.get(label, self.study.seeds)

    def inference(self, label: str) -> Inference:
        """The row's inference settings."""
        return overridden(self.study.inference, self.blocks[label].inference, f"method {label}: inference")

    def grid(self, dataset: str, label: str) -> Grid:
        """The training grid of a row: its own, else the study's, else the data set's."""
        return self.blocks[label].grid or self.study.grid or self._own_grid(self.datasets[dataset])

    def _own_grid(self, spec: DatasetSpec) -> Grid:
        """The data set's grid; `auto` is derived from the files once and saved."""
        if isinstance(spec.grid, Grid):
            return spec.grid
        if spec.label not in self._derived:
            from cyclemix.data import autogrid  # numpy and nibabel, which no other check of a study needs

            kept = data_dir(self.study.results, spec.label)
            self._derived[spec.label] = autogrid.resolve(spec, kept)
        return self._derived[spec.label]

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """Every grid of the study by its folder name."""
        grids = [self.grid(dataset, label) for dataset in self.study.datasets for label in self.study.methods]
        return {grid.name: grid for grid in grids}

    def train_parts(self, dataset: str, label: str) -> list[str]:
        """Parts of the source whose cases a training reads; never ``test``."""
        parts = list(self.study.protocol.parts)
        if self.blocks[label].supervision == "scribble+masks":
            parts.append("masks")
        return self._source_parts(dataset, parts)

    def evaluated_part(self, dataset: str) -> str:
        """The part of the source with the evaluated cases."""
        parts = self._source_parts(dataset, [self.study.protocol.evaluated_part])
        if len(parts) > 1:
            key = f"{self.dataset_file(dataset)}: merge.{self.study.protocol.evaluated_part}"
            source = self.datasets[dataset].data_label
            raise ConfigError(f"{key}: expected one list of {source} to evaluate on, got {', '.join(parts)}")
        return parts[0]

    def _source_parts(self, dataset: str, parts: Iterable[str]) -> list[str]:
        spec = self.datasets[dataset]
        return list(dict.fromkeys(name for part in parts for name in source_parts(spec, part)))

    def part_digest(self, source: str, part: str) -> str:
        """Digest of the data set's settings that the raw and prepared files of a part depend on."""
        spec = self.datasets[source]
        values = spec.model_dump(mode="json", exclude=SHOWN_ONLY | OWN_IDENTITY)
        values["label_geometry"] = {
            case: setting
            for case, setting in values["label_geometry"].items()
            if case == "all" or part_of_case(spec, case) in (part, None)
        }
        official = spec.official if part == "all" else {part: spec.official.get(part)}  # type: ignore[call-overload]
        return value_digest({"spec": values, "subjects": official})

    def split_digest(self, dataset: str) -> str:
        """Digest of the settings that the folds depend on."""
        spec, protocol = self.datasets[dataset], self.study.protocol
        return value_digest(
            {
                "official": spec.official,
                "scribbled": spec.scribbled,
                "dense": spec.dense,
                "groups": spec.groups if protocol.kind == "kfold" else {},
            }
        )

    def row_json(self, label: str) -> str:
        """The row's block for ``cyclemix resolve``, without texts and what other arguments pass."""
        values = self.blocks[label].model_dump(mode="json", include={"method", "supervision", "config"})
        return compact({**values, "summary": ""})

    def split_json(self) -> str:
        """The protocol for ``cyclemix split``, without settings that do not change folds."""
        protocol = self.study.protocol
        used = {"kind", "folds", "seed"} if protocol.kind == "kfold" else {"kind"}
        return compact(protocol.model_dump(mode="json", include=used))

    def table_json(self, dataset: str, labels: Iterable[str] | None = None) -> str:
        """The study for ``cyclemix tabulate`` and ``figures``, including rows that do not run.

        Args:
            labels: the rows; None = all.
        """
        rows = {
            label: {
                **block.model_dump(
                    mode="json", include={"method", "supervision", "summary", "citation", "source"}
                ),
                "inference": self.inference(label).model_dump(mode="json"),
                "reason": self.reason(dataset, label),
                **({"seeds": self.seeds(label)} if label in self.study.row_seeds else {}),
                **({"budget": asdict(self.points[label])} if label in self.points else {}),
                **({"shortened": shortened} if (shortened := self.shortened(label)) else {}),
            }
            for label, block in self.blocks.items()
            if labels is None or label in labels
        }
        study = self.study
        return compact(
            {
                "methods": rows,
                "order": list(rows),
                "seeds": study.seeds,
                "folds": study.protocol.selected_folds,
                "protocol": study.protocol.model_dump(mode="json"),
                "inference": study.inference.model_dump(mode="json"),
                "compare_to": study.compare_to,
            }
        )


def compact(values: Any) -> str:
    """``values`` as one line of JSON with sorted keys."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def plan(values: Mapping[str, Any], folder: Path, where: str = "study") -> Plan:
    """Validate a study with its data sets and method blocks.

    Args:
        values: content of the study file with all overrides.
        folder: the project's folder, which contains ``config/`` and ``workflow/schemas/``.
        where: prefix of messages about the study's own keys.

    Raises:
        ConfigError: names the file, the key, the expected and the actual value.
    """
    study = validate(Study, dict(values), where)
    known = load_methods(folder / "config" / "methods.yaml")
    named = {"methods": study.methods, "row_seeds": study.row_seeds, "compare_to": [study.compare_to]}
    for key, label in ((key, label) for key, labels in named.items() for label in labels):
        if label not in known:
            hint = f"{nearest(label, known)}; known: {', '.join(known)}"
            raise ConfigError(f"{where}: {key}: no method {label!r}{hint}")
    points = points_of(study, known, where)
    study = study.model_copy(update={"methods": list(dict.fromkeys([*study.methods, *points]))})
    blocks = {
        label: points[label].block(known[points[label].method]) if label in points else known[label]
        for label in study.methods
    }
    schemas = load_method_schemas(folder)
    for label, block in blocks.items():
        check_block(label, block, schemas, folder)
    made = Plan(study, _datasets(study, folder, where), blocks, folder, points)
    for label in study.methods:
        check_network(label, made.training(label).network, blocks[label].method, schemas)
        made.inference(label)
    for dataset in study.datasets:
        made.evaluated_part(dataset)
        _check_subjects(made, dataset, where)
        if not made.labels(dataset):
            reasons = {made.reason(dataset, label) for label in study.methods}
            raise ConfigError(
                f"{where}: no method of the study can run on {dataset}: {'; '.join(map(str, reasons))}"
            )
    return made


def _check_subjects(plan: Plan, dataset: str, where: str) -> None:
    """Raise ConfigError for more training subjects than the official list has; k-fold is checked later."""
    spec = plan.datasets[dataset]
    listed = spec.official.get("train", [])
    if plan.study.protocol.kind != "official":
        return
    for label in plan.labels(dataset):
        count = plan.training(label).subjects
        if count is not None and count > len(listed):
            raise ConfigError(
                f"{where}: {label}: {count} training subjects, but {dataset} has {len(listed)}; lower "
                "training.subjects or efficiency.subjects"
            )


def _datasets(study: Study, folder: Path, where: str) -> dict[str, DatasetSpec]:
    """The study's data sets by label, including the sources of views."""
    known = {path.stem: path for path in sorted((folder / "config" / "datasets").glob("*.yaml"))}
    found: dict[str, DatasetSpec] = {}
    for label in study.datasets:
        if label not in known:
            hint = nearest(label, known)
            raise ConfigError(
                f"{where}: datasets: no file config/datasets/{label}.yaml{hint}; known: {', '.join(known)}"
            )
        found[label] = load_dataset(known[label])
        source = found[label].data_label
        if source not in found:
            found[source] = load_dataset(known[source])
    return found
