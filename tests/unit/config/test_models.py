"""Study files: coercion of overrides, messages of refusals, what the resolved blocks hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclemix.config.models import Grid, Recipe
from cyclemix.config.strict import ConfigError, validate, write_if_changed
from cyclemix.config.study import Study, overridden

MINIMAL = {"datasets": ["phantom"], "methods": ["unet_pce"]}


def study(**changes: object) -> Study:
    return validate(Study, MINIMAL | changes, "config/x.yaml")


def refusal(**changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        study(**changes)
    return str(caught.value)


def test_a_single_value_stands_for_a_list_of_one() -> None:
    assert study(methods="unet_pce", seeds=3).seeds == [3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": {"kind": "kfold", "folds": 3, "run_folds": [3]}}, "but kfold has folds 0..2"),
        ({"protocol": {"run_folds": [1]}}, "official has folds 0..0"),
        ({"seeds": [1, 1]}, "seeds names 1 twice"),
        ({"grid": {"spacing_mm": 1.4, "crop_px": 130}}, "multiple of 4"),
    ],
)
def test_refusals_name_the_key_and_the_remedy(changes: dict[str, object], message: str) -> None:
    assert message in refusal(**changes)


def test_every_wrong_key_has_its_line() -> None:
    assert len(refusal(one=1, two=2).splitlines()) == 2


def test_a_block_changes_single_training_keys() -> None:
    base = study(training={"max_steps": 7, "augmentation": {"gamma": 0.1}})
    changes = {"batch_size": 4, "augmentation": {"noise": 0}}
    training = overridden(base.training, changes, "row")
    assert (training.max_steps, training.batch_size) == (7, 4)
    assert (training.augmentation.gamma, training.augmentation.noise) == (0.1, 0)
    inference = overridden(base.inference, {"test_time_augmentation": False}, "row")
    assert inference.test_time_augmentation is False
    assert inference.largest_component is True


def test_recipe_leaves_out_how_the_machine_runs_it() -> None:
    recipe = study(training={"device": "cpu", "jobs_per_gpu": 2, "max_steps": 9}).training.recipe()
    assert isinstance(recipe, Recipe)
    assert recipe.max_steps == 9
    assert not {"device", "checkpoint_seconds", "jobs_per_gpu"} & set(recipe.model_dump())


def test_write_if_changed_leaves_an_equal_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.json"
    assert write_if_changed(path, "a")
    before = path.stat().st_mtime_ns
    assert not write_if_changed(path, "a")
    assert path.stat().st_mtime_ns == before
    assert write_if_changed(path, "b")


def test_grid_name() -> None:
    assert Grid(spacing_mm=1.36719, crop_px=212).name == "1.36719mm_212px"
    assert Grid(spacing_mm=1.36719, crop_px=212, preparation="paper").name == "1.36719mm_212px_paper"


def test_the_margin_of_a_grid_holds_every_rotation_of_its_crop() -> None:
    assert Grid(spacing_mm=1.0, crop_px=212).margin_px == 0
    assert Grid(spacing_mm=1.0, crop_px=212, preparation="paper").margin_px == 44  # 300 px >= 212 * sqrt(2)
    assert Grid(spacing_mm=1.0, crop_px=32, preparation="paper").margin_px == 7  # 46 px >= 45.25
