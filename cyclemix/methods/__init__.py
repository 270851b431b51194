"""The methods: each file here with a `Method` subclass is one, named as the file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

from cyclemix.config.lengths import PAPER_SPACING_MM
from cyclemix.config.strict import ConfigError, validate
from cyclemix.methods.base import Method


def available() -> dict[str, type[Method]]:
    """Every method class by the name of its file."""
    return {name: load(name) for name in names()}


def names() -> list[str]:
    """Names of the method files, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name != "base")


def load(name: str) -> type[Method]:
    """The method class in ``cyclemix/methods/<name>.py``.

    Raises:
        ConfigError: no such file, or not exactly one `Method` subclass in it.
    """
    if name not in names():
        raise ConfigError(f"method: no file cyclemix/methods/{name}.py; known: {', '.join(names())}")
    module = importlib.import_module(f"cyclemix.methods.{name}")
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise ConfigError(f"{module.__file__}: expected one subclass of Method, found {len(own)}")
    return own[0]


def create(
    name: str,
    config: dict[str, Any],
    num_classes: int,
    where: str,
    spacing_mm: float = PAPER_SPACING_MM,
) -> Method:
    """A method with validated settings on a grid; ``where`` is the prefix of error messages."""
    method = load(name)
    return method(validate(method.Config, config, where), num_classes, spacing_mm)
