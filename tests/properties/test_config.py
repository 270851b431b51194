"""Overrides: as Snakemake hands them on - strings, "null", nested - or as values, a study is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.cli import parse_config
from snakemake.utils import update_config

from cyclemix.config.strict import ConfigError, validate
from cyclemix.config.study import Study, _merge, overridden

BASE: dict[str, Any] = {
    "datasets": ["phantom"],
    "methods": ["unet_pce"],
    "training": {"max_steps": 70, "gradient_clip": 3.0, "augmentation": {"gamma": 0.1, "noise": 0.05}},
}

AUGMENTATION = st.fixed_dictionaries(
    {},
    optional={
        "gamma": st.floats(0, 2),
        "noise": st.floats(0, 1),
        "flip_turn": st.booleans(),
        "rotate_degrees": st.floats(0, 180),
    },
)
TRAINING = st.fixed_dictionaries(
    {},
    optional={
        "max_steps": st.integers(1, 10**6),
        "learning_rate": st.floats(1e-8, 10),
        "gradient_clip": st.none() | st.floats(1e-3, 100),
        "optimizer": st.sampled_from(["adamw", "adam"]),
        "compile": st.booleans(),
        "network": st.sampled_from(["unet", "unet_paper"]),
        "augmentation": AUGMENTATION,
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
MAPPING = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def training_with(changes: dict[str, Any], study: dict[str, Any] = BASE) -> dict[str, Any]:
    return overridden(validate(Study, study, "study").training, changes, "row").model_dump()


@settings(max_examples=80)
@given(TRAINING)
def test_snakemakes_command_line_says_what_a_file_says(changes: dict[str, Any]) -> None:
    told = json.loads(json.dumps(BASE))
    update_config(told, parse_config([f"training={json.dumps(changes)}"]))
    expected = _merge(BASE, {"training": changes})
    assert validate(Study, told, "study") == validate(Study, expected, "study")


@settings(max_examples=80)
@given(TRAINING)
def test_a_block_changes_what_it_names_and_nothing_else(changes: dict[str, Any]) -> None:
    before, after = training_with({}), training_with(changes)
    inner = changes.get("augmentation", {})
    for key, value in after["augmentation"].items():
        assert value == inner.get(key, before["augmentation"][key])
    for key in after.keys() - {"augmentation"}:
        assert after[key] == changes.get(key, before[key])


@settings(max_examples=60)
@given(TRAINING, TRAINING)
def test_a_later_change_wins_and_a_repeated_one_does_nothing(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    both = training_with(_merge(first, second))
    assert both == training_with(second, _merge(BASE, {"training": first}))
    assert both == training_with(_merge(_merge(first, second), second))


@settings(max_examples=150)
@given(MAPPING, MAPPING, MAPPING)
def test_merging_is_associative_and_leaves_its_arguments_alone(a: dict, b: dict, c: dict) -> None:
    copies = json.dumps([a, b, c])
    assert _merge(_merge(a, b), c) == _merge(a, _merge(b, c)) or not nested_alike(a, b, c)
    assert _merge(a, {}) == a == _merge({}, a) == _merge(a, a)
    assert set(_merge(a, b)) == set(a) | set(b)
    assert json.dumps([a, b, c]) == copies


def nested_alike(*values: Any) -> bool:
    """No key is a mapping in one and a plain value in another (a value then cuts off what stood below)."""
    for key in set().union(*values):
        inner = [value[key] for value in values if key in value]
        kinds = {isinstance(value, dict) for value in inner}
        if len(kinds) > 1 or (kinds == {True} and not nested_alike(*inner)):
            return False
    return True


@settings(max_examples=80)
@given(st.text(min_size=1, max_size=12).filter(lambda key: key not in Study.model_fields), JSON)
def test_an_unknown_key_is_named_whatever_it_is(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Study, {**BASE, key: value}, "study.yaml")
    assert str(caught.value).startswith(f"study.yaml: unknown key {key}")


@settings(max_examples=120)
@given(st.sampled_from(sorted(Study.model_fields)), JSON | st.floats() | st.lists(JSON, max_size=3))
def test_any_value_is_taken_or_refused_by_key(key: str, value: Any) -> None:
    try:
        validate(Study, {**BASE, key: value}, "study.yaml")
    except ConfigError as error:
        message = str(error)
        assert message.startswith("study.yaml: ")
        assert key in message
