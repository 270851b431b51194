"""The rows of ``methods.yaml``: as a list, as JSON, or one row with all settings; sources and deviations."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclemix.config.strict import ConfigError, nearest
from cyclemix.config.study import MethodBlock, load_methods
from cyclemix.study.method_schema import check_block, load_method_schemas

NO_SOURCE = "no published code was read"

DEVIATIONS = re.compile(r"\bDeviations?(?: from [^:]*)?:\s(.*?)(?:\n\s*\n|\Z)", re.DOTALL)
"""The ``Deviations`` paragraph of a docstring, up to the next blank line."""


def listing(file: Path) -> str:
    """One line per row: label, supervision, summary, citation."""
    lines = []
    for label, block in load_methods(file).items():
        doubt = f" ({NO_SOURCE})" if block.source == "none" else ""
        lines.append(f"{label:18} {block.supervision:15} {block.summary}{doubt} [{block.citation}]")
    return "\n".join(lines)


def as_json(file: Path) -> str:
    """A JSON list of objects: label, method, supervision, citation, summary, source."""
    fields = {"method", "supervision", "citation", "summary", "source"}
    rows = [
        {"label": label, **block.model_dump(include=fields)} for label, block in load_methods(file).items()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def details(file: Path, label: str) -> str:
    """A row's description and changes, and every setting of its method with default and description.

    Raises:
        ConfigError: unknown label, or invalid block.
    """
    blocks, root = load_methods(file), file.resolve().parent.parent
    if label not in blocks:
        raise ConfigError(f"{file}: no method {label!r}{nearest(label, blocks)}; known: {', '.join(blocks)}")
    block, schemas = blocks[label], load_method_schemas(root)
    check_block(label, block, schemas, root)
    first, *others = _docstrings(root / "cyclemix" / "methods" / f"{block.method}.py")
    text = "\n\n".join([first, *filter(DEVIATIONS.search, others)])
    changes = block.model_dump(include={"training", "inference", "grid"}, exclude_none=True)
    source = block.source
    read = f"none ({NO_SOURCE})" if source == "none" else f"{source.repository}@{source.commit} {source.file}"
    lines = [
        f"{label}: {block.summary}",
        f"method       {block.method} (cyclemix/methods/{block.method}.py)",
        f"supervision  {block.supervision}",
        f"citation     {block.citation or '-'}",
        f"source       {read}",
        *(f"{key:12} {json.dumps(value)}" for key, value in changes.items() if value),
        "",
        textwrap.indent(text, "    "),
        "",
        "config",
        *_settings(schemas["methods"][block.method]["config"], block),
    ]
    return "\n".join(lines)


def departures(root: Path) -> dict[str, list[str]]:
    """Deviations of methods and networks from their sources, by ``methods/NAME`` or ``networks/NAME``.

    Read from the ``Deviations`` paragraphs of the files' docstrings; files without one are omitted.
    """
    files = [path for room in ("methods", "networks") for path in (root / "cyclemix" / room).glob("*.py")]
    found = {f"{path.parent.name}/{path.stem}": _deviations(path) for path in sorted(files)}
    return {name: items for name, items in found.items() if items}


def _deviations(path: Path) -> list[str]:
    """The bullets, or the text, of every ``Deviations`` paragraph of a file, one line each."""
    items = []
    for text in _docstrings(path):
        for match in DEVIATIONS.finditer(text):
            items += re.split(r"(?:^|\n)\s*\* ", match[1])
    lines = [re.sub(r"(?:, and|[;,.])$", "", " ".join(item.split())) for item in items]
    return [line for line in lines if line]


def _docstrings(path: Path) -> list[str]:
    """The docstrings of a file and of its classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    texts = [ast.get_docstring(tree), *(ast.get_docstring(node) for node in classes)]
    return [text for text in texts if text]


def _settings(schema: Mapping[str, Any], block: MethodBlock) -> list[str]:
    """``key = value`` and description of every setting, with the default where the row changes it."""
    rows = list(_flat(schema, schema.get("$defs", {}), block.config))
    if not rows:
        return ["    none"]
    lines = []
    for key, own, default, description in rows:
        changed = "" if own == default else f" (default {json.dumps(default)})"
        lines.append(f"    {key} = {json.dumps(own)}{changed}\n        {description}")
    return lines


def _flat(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], own: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any, str]]:
    """Dotted key, own value, default and description of every setting, including nested models."""
    for key, value in schema.get("properties", {}).items():
        reference = str(value.get("$ref", "")).rpartition("/")[2]
        if reference in definitions:
            yield from _flat(definitions[reference], definitions, own.get(key, {}), f"{prefix}{key}.")
        else:
            default = value.get("default")
            yield prefix + key, own.get(key, default), default, value.get("description", "")
