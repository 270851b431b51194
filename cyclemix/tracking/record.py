"""A mirrored run: identity, names and values, and the differences between store and files."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

TAG_LIMIT = 5000
"""Longest tag or parameter value sent (MLflow's limits are 8000 and 6000 characters)."""

Point = tuple[str, int, float, int]
"""A value of a metric: key, step, value, Unix time in ms."""


@dataclass(frozen=True)
class RunKey:
    """Identity of a mirrored run; runs are found by these tags, so nothing is logged twice.

    A training is also identified by its config digest; summaries are per method, reports per data set.
    """

    dataset: str
    method: str
    fold: int | None = None
    seed: int | None = None
    config_digest: str | None = None
    stage: str = "train"

    @property
    def tags(self) -> dict[str, str]:
        """The identifying tags, all strings."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}

    @property
    def name(self) -> str:
        """Run name, e.g. ``cyclemix-mscmr-f0-s1``; of a summary ``cyclemix-mscmr``."""
        base = f"{self.method}-{self.dataset}"
        return base if self.fold is None else f"{base}-f{self.fold}-s{self.seed}"


@dataclass(frozen=True)
class BestModel:
    """The model of a method with the highest validation Dice."""

    method: str
    path: Path  # model.pt
    fold: int
    seed: int
    val_dice: float


@dataclass
class RunRecord:
    """Content of one run in the store."""

    key: RunKey
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)  # key -> step -> value
    seconds: dict[int, float] = field(default_factory=dict)  # step -> seconds since the start
    started: float | None = None  # Unix time of step 0
    artifacts: list[tuple[Path, str]] = field(default_factory=list)  # file, folder in the run ("" = its root)
    data_digest: str | None = None
    best: BestModel | None = None


def rounded(value: Any) -> str:
    """A parameter as text; floats with six significant digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)[:TAG_LIMIT]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mapping -> ``{"training.learning_rate": "0.001"}``; lists become comma-separated text."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        elif isinstance(value, list | tuple):
            flat[prefix + name] = ", ".join(rounded(item) for item in value)[:TAG_LIMIT]
        else:
            flat[prefix + name] = rounded(value)
    return flat


def metric_key(column: str) -> str:
    """Metric key of a history column: ``val_dice_LV`` -> ``val/dice_LV``, ``loss`` -> ``train/loss``."""
    if "/" in column:
        return column
    if column.startswith("val_"):
        return "val/" + column.removeprefix("val_")
    return f"train/{column}"


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of ``values`` as floats by metric key, with ``_`` for characters invalid there."""
    kept = {}
    for column, value in values.items():
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
        if math.isfinite(number):
            kept[re.sub(r"[^\w./ :-]", "_", metric_key(column))] = number
    return kept


def contradicts(
    record: RunRecord, params: Mapping[str, str], there: Mapping[str, Sequence[tuple[int, float]]]
) -> bool:
    """True if the store has another value, a duplicate point, or a step that is not in the record."""
    if any(params.get(name, value) != value for name, value in record.params.items()):
        return True
    for key, points in there.items():
        steps = record.metrics[key]
        if len({step for step, _ in points}) < len(points):
            return True
        if any(step not in steps or abs(steps[step] - v) > 1e-6 + 1e-3 * abs(v) for step, v in points):
            return True
    return False


def missing_points(record: RunRecord, there: Mapping[str, Sequence[tuple[int, float]]]) -> list[Point]:
    """Points of the record missing in the store, with Unix time in ms."""
    started = time.time() if record.started is None else record.started
    points = []
    for key, steps in record.metrics.items():
        known = {step for step, _ in there.get(key, ())}
        for step, value in steps.items():
            if step not in known:
                points.append((key, step, value, int((started + record.seconds.get(step, 0.0)) * 1000)))
    return points
