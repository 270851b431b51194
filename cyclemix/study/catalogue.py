"""The rows that a study may name: listed, as JSON, or one with all its settings. Needs no torch."""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclemix.config.models import MethodBlock, load_methods
from cyclemix.config.strict import ConfigError, nearest
from cyclemix.study.method_schema import check_block, load_method_schemas

NOT_VERIFIED = "not verified against the original"


def listing(file: Path) -> str:
    """One line a row: label, supervision, summary, citation."""
    lines = []
    for label, block in load_methods(file).items():
        doubt = "" if block.verified else f" ({NOT_VERIFIED})"
        lines.append(f"{label:18} {block.supervision:15} {block.summary}{doubt} [{block.citation}]")
    return "\n".join(lines)


def as_json(file: Path) -> str:
    """A JSON list of objects: label, method, supervision, citation, summary, verified."""
    fields = {"method", "supervision", "citation", "summary", "verified"}
    rows = [
        {"label": label, **block.model_dump(include=fields)} for label, block in load_methods(file).items()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def details(file: Path, label: str) -> str:
    """What a row is, what it changes, and every setting of its method with default and description.

    Raises:
        ConfigError: no such label, or a block that its method does not take.
    """
    blocks, root = load_methods(file), file.resolve().parent.parent
    if label not in blocks:
        raise ConfigError(f"{file}: no method {label!r}{nearest(label, blocks)}; known: {', '.join(blocks)}")
    block, schemas = blocks[label], load_method_schemas(root)
    check_block(label, block, schemas, root)
    source = root / "cyclemix" / "methods" / f"{block.method}.py"
    text = ast.get_docstring(ast.parse(source.read_text())) or ""
    changes = block.model_dump(include={"training", "inference", "grid"}, exclude_none=True)
    lines = [
        f"{label}: {block.summary}",
        f"method       {block.method} (cyclemix/methods/{block.method}.py)",
        f"supervision  {block.supervision}",
        f"citation     {block.citation or '-'}",
        *([] if block.verified else [f"             {NOT_VERIFIED}"]),
        *(f"{key:12} {json.dumps(value)}" for key, value in changes.items() if value),
        "",
        textwrap.indent(text, "    "),
        "",
        "config",
        *_settings(schemas["methods"][block.method]["config"], block),
    ]
    return "\n".join(lines)


def _settings(schema: Mapping[str, Any], block: MethodBlock) -> list[str]:
    """``key = value  description`` for every setting; a value that the row changes shows the default too."""
    rows = list(_flat(schema, schema.get("$defs", {})))
    if not rows:
        return ["    none"]
    lines = []
    for key, default, description in rows:
        own = _lookup(block.config, key.split("."), default)
        changed = "" if own == default else f" (default {json.dumps(default)})"
        lines.append(f"    {key} = {json.dumps(own)}{changed}\n        {description}")
    return lines


def _flat(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, str]]:
    """Dotted key, default and description of every setting, those of nested models included."""
    for key, value in schema.get("properties", {}).items():
        reference = str(value.get("$ref", "")).rpartition("/")[2]
        if reference in definitions:
            yield from _flat(definitions[reference], definitions, f"{prefix}{key}.")
        else:
            yield prefix + key, value.get("default"), value.get("description", "")


def _lookup(values: Mapping[str, Any], path: list[str], default: Any) -> Any:
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return default
        values = values[key]
    return values
