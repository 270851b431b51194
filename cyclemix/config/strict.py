"""Strict pydantic models, YAML and JSON readers, and their error messages."""

from __future__ import annotations

import datetime
import difflib
import json
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from cyclemix.files.atomic import write_text
from cyclemix.files.urls import without_password


class ConfigError(ValueError):
    """Invalid study, data set or method block; the message names the key and the remedy."""


class StrictModel(BaseModel):
    """Base of every config model: refuses unknown keys; ``"null"`` (of command-line overrides) is None."""

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_means_none(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: None if value == "null" else value for key, value in values.items()}
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_from_truth(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {annotation, *get_args(annotation)} & {int, float}:
            raise ValueError("expected a number, not a boolean")  # pydantic would convert it to 1 or 0
        return value


Model = TypeVar("Model", bound=StrictModel)


QUOTE = (
    "expected text; put it in quotes, since YAML reads names such as 001, 1_2, NO or 2024-01-01 as other "
    "values"
)
"""What to do about a name that YAML took for a number, a truth value or a date."""

LARGEST_YAML_BYTES = 2**20
LARGEST_YAML_NODES = 100_000
"""Limit of the values in a YAML file after alias expansion: a few lines can expand to billions."""


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: the file is missing, empty, not UTF-8, not YAML, not a mapping, has a duplicate key, or
            too many values; names the file.
    """
    text = _read_text(path)
    if len(text) > LARGEST_YAML_BYTES:
        raise ConfigError(f"{path}: {len(text)} characters, expected a settings file of at most a million")
    try:
        loader = _UniqueKeys(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{path}: the file is empty; expected a mapping (key: value)")
        _count(node, {}, path)
        values = loader.construct_document(node)
    except yaml.YAMLError as error:
        hint = "; indent with spaces, YAML does not allow tabs" if "'\\t'" in str(error) else ""
        raise ConfigError(f"{path}: not valid YAML: {error}{hint}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deeply; use fewer levels") from None
    except ConfigError:
        raise
    except ValueError as error:  # an invalid date or number
        raise ConfigError(f"{path}: not valid YAML: {error}; put texts in quotes") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(values).__name__}")
    return values


class _UniqueKeys(yaml.SafeLoader):
    """Refuses duplicate keys, of which YAML would silently use the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"duplicate key {key.value!r}; keep one", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, sizes: dict[int, int], path: Path) -> int:
    """Number of values of ``node`` after alias expansion."""
    if id(node) in sizes:
        if sizes[id(node)] < 0:
            raise ConfigError(f"{path}: an alias (*) refers to a value that contains it; write it out")
        return sizes[id(node)]
    sizes[id(node)] = -1  # being counted
    parts = [] if isinstance(node, yaml.ScalarNode) else list(node.value)
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    total = 1 + sum(_count(part, sizes, path) for part in parts)
    if total > LARGEST_YAML_NODES:
        raise ConfigError(
            f"{path}: its aliases (*) expand to more than {LARGEST_YAML_NODES} values; write the values out"
        )
    sizes[id(node)] = total
    return total


def load_json(path: Path, remedy: str) -> Any:
    """Read a JSON file written by a stage.

    Raises:
        ConfigError: the file is missing, not UTF-8 or not JSON; names the file and the remedy.
    """
    try:
        return json.loads(_read_text(path, f"; {remedy}"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged or cut off, not JSON ({error}); {remedy}") from None


def _read_text(path: Path, remedy: str = "") -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{remedy}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error}){remedy or '; save it as UTF-8'}") from None


def validate(model: type[Model], values: Any, where: str) -> Model:
    """Build ``model`` from ``values``; ``where`` (a file or a block) is the prefix of messages.

    Raises:
        ConfigError: one line per invalid key: its path, the expected and the actual value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_describe(model, item) for item in error.errors()]
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def write_if_changed(path: Path, text: str) -> bool:
    """Write ``text`` unless the file has this content already; True if it was written."""
    if path.is_file() and path.read_text() == text:
        return False
    write_text(path, text)
    return True


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint ``(did you mean ...?)`` with the most similar known name; empty if none is similar."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Field names of the model at ``path``."""
    for key in path:
        field = model.model_fields.get(str(key))
        inner = None if field is None else next(_models_in(field.annotation), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """All models in an annotation and its nested arguments."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _describe(model: type[BaseModel], item: Any) -> str:
    path = tuple(p for p in item["loc"] if not str(p).startswith("<"))  # `<...>` names a union's member
    found = item["input"]
    key = ".".join(str(part) for part in path) or "(top level)"
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        name = str(path[-1])
        hint = "; write a space after the colon" if ":" in name else nearest(name, known)
        return f"unknown key {key}{hint}; expected one of: {', '.join(known)}"
    if item["type"] == "missing":
        return f"missing key {key}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "string_type" and isinstance(found, bool | int | float | datetime.date):
        return f"{key}: {QUOTE}, got {found!r}"
    shown = "" if isinstance(found, dict) else f", got {found!r}"
    return without_password(f"{key}: {message}{shown}")
