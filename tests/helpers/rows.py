"""The rows of config/methods.yaml with small networks."""

from __future__ import annotations

from pathlib import Path

from cyclemix import methods
from cyclemix.config.models import SHARED_NETWORKS, Grid, Recipe, RunConfig
from cyclemix.config.study import load_methods

BLOCKS = load_methods(Path(__file__).parents[2] / "config" / "methods.yaml")


def small(label: str, **recipe: object) -> Recipe:
    """A recipe with the row's network of 4 filters at 3 levels.

    The paper's network takes long and has tests of its own: rows that train it get the default one.
    """
    network = BLOCKS[label].training.get("network", "unet")
    own = network if network not in SHARED_NETWORKS else "unet"
    return Recipe(network=own, base_filters=4, levels=3, **recipe)


def run_config(label: str, grid: Grid, **recipe: object) -> RunConfig:
    """The row's settings on a data set of three structures, with the recipe of `small`."""
    block = BLOCKS[label]
    return RunConfig(
        label=label,
        dataset="tiny",
        method=block.method,
        supervision=block.supervision,
        classes=["RV", "MYO", "LV"],
        grid=grid,
        config=methods.load(block.method).Config(**block.config).model_dump(mode="json"),
        training=small(label, **recipe),
    )
