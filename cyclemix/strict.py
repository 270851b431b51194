"""Strict models: unknown keys refused with their path, and the messages that a refusal gives.

Nothing here knows what a study holds; that stands in `cyclemix.config`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cyclemix.atomic import write_text


class ConfigError(ValueError):
    """A study, data set or method block that cannot be run; the message names the key and what to do."""


class StrictModel(BaseModel):
    """Base of every config model: refuses unknown keys, reads ``"null"``, as overrides say it, as None."""

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_means_none(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: None if value == "null" else value for key, value in values.items()}
        return values


Model = TypeVar("Model", bound=StrictModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: the file is missing, is not YAML or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(values).__name__}")
    return values


def validate(model: type[Model], values: Any, where: str) -> Model:
    """Build ``model`` from ``values``; ``where`` (a file or a block) opens the message.

    Raises:
        ConfigError: one line a wrong key: its path, what was expected, what is there.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_describe(model, item) for item in error.errors()]
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def write_if_changed(path: Path, text: str) -> bool:
    """Write ``text`` unless the file holds it already; True where it was written."""
    if path.is_file() and path.read_text() == text:
        return False
    write_text(path, text)
    return True


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that resembles ``name`` most; empty where none does."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Names that the mapping at ``path`` may hold."""
    for key in path:
        field = model.model_fields.get(str(key))
        inner = None if field is None else next(_models_in(field.annotation), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models among an annotation and, to any depth, its arguments."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _describe(model: type[BaseModel], item: Any) -> str:
    path = [part for part in item["loc"] if not str(part).startswith("<")]  # `<...>` names a union's member
    found = item["input"]
    key = ".".join(str(part) for part in path) or "(top level)"
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, tuple(path[:-1]))
        name = str(path[-1])
        hint = "; write a space after the colon" if ":" in name else nearest(name, known)
        return f"unknown key {key}{hint}; expected one of: {', '.join(known)}"
    if item["type"] == "missing":
        return f"missing key {key}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" + ("" if isinstance(found, dict) else f", got {found!r}")
