"""Shortened trainings: schedules and milestones shrink together; every step number is found by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, Field

from cyclemix import methods
from cyclemix.config.models import Recipe, Training
from cyclemix.config.steps import ENDINGS, scale_steps
from cyclemix.config.strict import StrictModel

FOLDER = Path(methods.__file__).parent
IN_STEPS = re.compile(r"step|epoch|iteration|period|interval|warm|ramp|milestone", re.IGNORECASE)
NO_STEPS = {"em_iterations", "batch_size"}
"""Integers whose names or descriptions hold such a word and that are no step numbers."""


class Inner(StrictModel):
    from_step: int = 100


class Settings(StrictModel):
    grow_at_step: int = Field(1500)
    ramp_steps: int | None = Field(20)
    never_step: int | None = Field(None)
    start_step: int = Field(0)
    steps_decay: float = Field(0.9)
    inner: Inner = Inner()


def test_milestones_shrink_by_one_factor() -> None:
    found = scale_steps(Settings(), 3000, 500)
    assert found.model_dump() == {
        "grow_at_step": 250, "ramp_steps": 3, "never_step": None, "start_step": 0, "steps_decay": 0.9,
        "inner": {"from_step": 17},
    }  # fmt: skip


def test_no_milestone_shrinks_to_nothing() -> None:
    found = scale_steps(Settings(), 3000, 1)
    assert (found.grow_at_step, found.ramp_steps, found.inner.from_step) == (1, 1, 1)


@pytest.mark.parametrize("most", [None, 3000, 4000])
def test_a_training_that_is_short_enough_stays(most: int | None) -> None:
    assert scale_steps(Settings(), 3000, most) == Settings()


def test_the_recipe_of_the_paper_in_two_hundred_steps() -> None:
    recipe = Recipe(max_steps=24000, step_every_steps=8000, warmup_steps=100, validate_every_steps=120)
    short = scale_steps(recipe, recipe.max_steps, 200)
    lengths = (short.max_steps, short.step_every_steps, short.warmup_steps, short.validate_every_steps)
    assert lengths == (200, 67, 1, 1)
    assert short.batch_size == recipe.batch_size


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, object, str]]:
    """Name, annotation and description of every setting, those of nested models included."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation)
        else:
            yield name, field.annotation, field.description or ""


@pytest.mark.parametrize("owner", ["training", *methods.available()])
def test_every_step_number_is_named_as_one(owner: str) -> None:
    """An integer that is named or described in steps is scaled, and what is scaled is an integer."""
    model = Training if owner == "training" else methods.available()[owner].Config
    for name, annotation, description in _fields(model):
        kinds = {annotation, *get_args(annotation)}
        if name.endswith(ENDINGS):
            assert int in kinds
        elif int in kinds and name not in NO_STEPS:
            assert not IN_STEPS.search(f"{name} {description}"), f"{owner}: {name} should end with _step(s)"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_method_compares_with_the_step_is_a_step_number(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare | ast.BinOp):
            continue
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
        if not any((part.id if isinstance(part, ast.Name) else part.attr) == "step" for part in names):
            continue
        settings = [
            part.attr
            for part in names
            if isinstance(part, ast.Attribute) and ast.unparse(part.value) in ("config", "self.config")
        ]
        assert [name for name in settings if not name.endswith(ENDINGS)] == []
