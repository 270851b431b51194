"""Validation of method blocks against ``methods.schema.json``, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from cyclemix.config.strict import ConfigError, load_json, nearest
from cyclemix.config.study import MethodBlock

BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def load_method_schemas(folder: Path) -> dict[str, Any]:
    """``methods.schema.json``: supervision and settings of every method file."""
    return dict(load_json(folder / "workflow" / "schemas" / "methods.schema.json", "run `make schema`"))


def check_block(label: str, block: MethodBlock, schemas: Mapping[str, Any], folder: Path) -> None:
    """Validate method, supervision and settings of a block.

    Raises:
        ConfigError: names the label, the key, the expected and the actual value.
    """
    known, where = schemas["methods"], f"config/methods.yaml: {label}"
    if block.method not in known:
        if (folder / "cyclemix" / "methods" / f"{block.method}.py").is_file():
            raise ConfigError(
                f"{where}: method {block.method!r} is not in workflow/schemas/methods.schema.json yet; "
                "run `make schema`"
            )
        hint = nearest(block.method, known)
        raise ConfigError(
            f"{where}: method: no file cyclemix/methods/{block.method}.py{hint}; known: {', '.join(known)}"
        )
    allowed = known[block.method]["supervision"]
    if block.supervision not in allowed:
        raise ConfigError(f"{where}: supervision: expected {' or '.join(allowed)}, got {block.supervision!r}")
    schema = {**schemas, "$ref": f"#/methods/{block.method}/config"}
    found = best_match(Draft202012Validator(schema).iter_errors(_numbers(block.config)))
    if found is not None:
        raise ConfigError(
            f"{where}: {_describe(found)} (after an edit of the method's Config run `make schema`)"
        )


def check_network(label: str, network: str, method: str, schemas: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the allowed ones, for a network that the row's method cannot train."""
    allowed = schemas["methods"][method]["networks"]
    if network not in allowed:
        raise ConfigError(
            f"method {label}: training.network: expected {' or '.join(allowed)} for {method}, got {network!r}"
        )


def _numbers(value: Any) -> Any:
    """``value`` with strings such as ``1e-4``, which YAML does not parse as numbers, as numbers."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _describe(error: ValidationError) -> str:
    """One line: path of the key, expected and actual value."""
    path = [str(part) for part in error.absolute_path]
    schema: Any = error.schema
    found: Any = error.instance
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", []))
        name = next(key for key in found if key not in known)
        hint = nearest(name, known)
        expected = ", ".join(known) or "no key at all"
        return f"unknown key {'.'.join(['config', *path, name])}{hint}; expected one of: {expected}"
    return f"{'.'.join(['config', *path])}: expected {_expected(schema)}, got {found!r}"


def _expected(schema: Mapping[str, Any]) -> str:
    """Description of the values that a schema allows."""
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " or ".join(map(_expected, schema["anyOf"]))
    bounds = [f"{sign} {schema[key]}" for key, sign in BOUNDS.items() if key in schema]
    kind = {"object": "mapping", "array": "list", "string": "text"}.get(
        schema.get("type", ""), schema.get("type")
    )
    return " ".join([str(kind or "another value"), " and ".join(bounds)]).strip()
