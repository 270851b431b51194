"""One ``config.json`` per data set and row: all settings that determine a model, with defaults filled in."""

from __future__ import annotations

import json
from pathlib import Path

from cyclemix import methods
from cyclemix.config.lengths import in_pixels
from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.config.steps import scale_steps
from cyclemix.config.strict import ConfigError, validate, write_if_changed
from cyclemix.config.study import MethodBlock
from cyclemix.data.datasets import load_dataset

ALLOWED = {
    "scribble": ("scribble", "full"),
    "scribble+masks": ("scribble+masks",),
    "full": ("full",),
}
"""Allowed supervision by the method's own: a scribble method can also train on dense labels."""


def run(
    dataset_file: Path,
    label: str,
    block: MethodBlock,
    training: Recipe,
    grid: Grid,
    output: Path,
    at_most_steps: int | None = None,
) -> None:
    """Write ``config.json`` unless it is unchanged.

    Args:
        dataset_file: ``config/datasets/<label>.yaml``.
        label: row of the comparison.
        block: the row's block of ``methods.yaml``.
        training: the row's recipe.
        grid: the row's grid.
        output: ``config.json``.
        at_most_steps: limit of ``max_steps``; schedule and the method's milestones shrink in proportion.

    Raises:
        ConfigError: unknown method, invalid settings, or a supervision or network that the method cannot use.
    """
    dataset = load_dataset(dataset_file)
    method = methods.load(block.method)
    if block.supervision not in ALLOWED[method.supervision]:
        raise ConfigError(
            f"method {label}: supervision: expected {' or '.join(ALLOWED[method.supervision])} "
            f"for {block.method}, got {block.supervision}"
        )
    if training.network not in method.networks:
        raise ConfigError(
            f"method {label}: training.network: expected {' or '.join(method.networks)} for {block.method}, "
            f"got {training.network!r}"
        )
    settings = validate(method.Config, block.config, f"method {label}: config")
    resolved = RunConfig(
        label=label,
        dataset=dataset_file.stem,
        method=block.method,
        supervision=block.supervision,
        classes=dataset.classes,
        grid=grid,
        slice_axis=dataset.slice_axis,
        config=scale_steps(settings, training.max_steps, at_most_steps).model_dump(mode="json"),
        pixels=in_pixels(settings, grid.spacing_mm) | in_pixels(training, grid.spacing_mm),
        training=scale_steps(training, training.max_steps, at_most_steps),
    )
    write_if_changed(output, json.dumps(resolved.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
