"""Study files and blocks of ``methods.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cyclemix.config.models import Grid, Inference, Protocol, Supervision, Tracking, Training
from cyclemix.config.strict import Model, StrictModel, load_yaml, validate
from cyclemix.files.urls import has_password


class Source(StrictModel):
    """The published code that a row was compared with."""

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name on GitHub")
    commit: str = Field(pattern=r"^[0-9a-f]{7,40}$", description="commit that was read")
    file: str = Field(min_length=1, description="path of the method's file in the repository")


class MethodBlock(StrictModel):
    """One row of the comparison: a method, its supervision and its settings."""

    method: str = Field(description="file name in cyclemix/methods, without .py")
    supervision: Supervision = Field("scribble", description="labels of the training subjects that are used")
    summary: str = Field(description="one line for tables and `cyclemix methods`")
    citation: str = Field("", description="short reference")
    source: Source | Literal["none"] = Field(
        "none", description="published code that was read for this row; none = no code was found or read"
    )
    config: dict[str, Any] = Field(default_factory=dict, description="the method's own settings (its Config)")
    training: dict[str, Any] = Field(
        default_factory=dict, description="overrides of the study's training block"
    )
    inference: dict[str, Any] = Field(
        default_factory=dict, description="overrides of the study's inference block"
    )
    grid: Grid | None = Field(None, description="own grid; null = the study's or the data set's")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (str, int, float)) else value


Labels = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]


class Efficiency(StrictModel):
    """A sweep of the annotation budget: every method, number of subjects and fraction of each scribble."""

    methods: Labels | None = Field(None, description="labels to sweep; null = all of the study's methods")
    subjects: Annotated[
        list[Annotated[int, Field(ge=1)] | Literal["all"]], BeforeValidator(_as_list), Field(min_length=1)
    ] = Field(["all"], description="numbers of training subjects; all = every subject")
    scribble_fractions: Annotated[
        list[Annotated[float, Field(ge=0.01, le=1)]], BeforeValidator(_as_list), Field(min_length=1)
    ] = Field([1.0], description="fractions of each scribble, in whole percent; dense labels stay whole")

    @model_validator(mode="after")
    def _whole_percent(self) -> Efficiency:
        odd = [part for part in self.scribble_fractions if abs(100 * part - round(100 * part)) > 1e-9]
        if odd:
            raise ValueError(f"scribble_fractions must be whole percents such as 0.25, got {odd[0]:g}")
        return self


class Study(StrictModel):
    """A study file (``config/*.yaml``)."""

    datasets: Labels = Field(description="labels of files in config/datasets")
    methods: Labels = Field(description="labels of blocks in config/methods.yaml")
    protocol: Protocol = Field(Protocol(), description="subjects for training, validation and test")
    seeds: Annotated[list[int], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        [0], description="random seeds; one training per row, fold and seed"
    )
    row_seeds: dict[str, list[int]] = Field(
        {}, description="seeds of single rows by label, instead of `seeds`"
    )
    training: Training = Field(Training(), description="the training engine's settings")
    at_most_steps: int | None = Field(
        None,
        ge=1,
        description="limit of every row's optimizer steps; schedule and the method's milestones shrink by "
        "the same factor, which tables state; null = no limit",
    )
    inference: Inference = Field(Inference(), description="application of trained networks")
    grid: Grid | None = Field(None, description="grid for all data sets; null = each data set's own")
    compare_to: str = Field("cyclemix", description="label that significance is tested against")
    efficiency: Efficiency | None = Field(
        None, description="a sweep of training subjects and fractions of scribbles; null = none"
    )
    mirror: str | None = Field(None, description="folder or URL holding upstream files under <host>/<path>")
    results: str = Field("results", description="folder for all results")
    allow_mixed: bool = Field(
        False,
        description="average runs of a row that differ in code, config, data or lock, and mark the row",
    )
    tracking: Tracking = Field(Tracking(), description="the MLflow mirror")
    container: str | None = Field(
        None, description="image that jobs run in with --sdm apptainer, e.g. envs/cyclemix.sif; null = none"
    )

    @model_validator(mode="after")
    def _without_passwords(self) -> Study:
        """Settings appear in command lines, logs and the report."""
        if self.mirror is not None and has_password(self.mirror):
            raise ValueError("mirror holds credentials; put them into ~/.netrc and remove them here")
        if self.tracking.uri is not None and has_password(self.tracking.uri):
            raise ValueError(
                "tracking.uri holds credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or MLFLOW_TRACKING_URI to the whole address, and take them out here"
            )
        return self

    @model_validator(mode="after")
    def _unique(self) -> Study:
        for key in ("datasets", "methods", "seeds"):
            values = getattr(self, key)
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"{key} names {', '.join(twice)} twice; name each once")
        for label, seeds in self.row_seeds.items():
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise ValueError(f"row_seeds.{label}: expected distinct seeds from 0, got {seeds}")
        return self


def load_methods(path: Path) -> dict[str, MethodBlock]:
    """All method blocks of a ``methods.yaml``, by label."""
    return {
        label: validate(MethodBlock, block, f"{path}: {label}") for label, block in load_yaml(path).items()
    }


def overridden(base: Model, changes: dict[str, Any], where: str) -> Model:
    """Settings of the study with a row's overrides; ``where`` is the prefix of messages.

    Raises:
        ConfigError: one line per invalid key.
    """
    return validate(type(base), _merge(base.model_dump(), changes), where)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` updated by ``changes``, nested mappings merged key by key."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
