"""Fill the reference pages when the site is built, from the models and from the command line itself.

A page holds a marker ``<!-- reference: NAME -->``. Nothing generated is committed, nor out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from cyclemix.cli import schemas
from cyclemix.cli.main import app
from cyclemix.data.spec import DatasetSpec

MARKER = re.compile(r"^<!-- reference: (\w+) -->$", re.MULTILINE)
Schema = Mapping[str, Any]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace every marker by what it names."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in WRITERS:
            raise PluginError(f"{page.file.src_uri}: no reference {match[1]!r}; known: {', '.join(WRITERS)}")
        return WRITERS[match[1]]()

    return MARKER.sub(fill, markdown)


def _document(name: str) -> Schema:
    found: Schema = json.loads(schemas.generate()[f"{name}.schema.json"])
    return found


def study() -> str:
    """A study file."""
    return settings(_document("study"), 3)


def dataset() -> str:
    """A data set's file; its schema requires nothing, because a view takes the rest from its source."""
    required = [name for name, field in DatasetSpec.model_fields.items() if field.is_required()]
    return settings({**_document("dataset"), "required": required}, 3)


def block() -> str:
    """A block of methods.yaml."""
    document = _document("blocks")
    return settings({**document["additionalProperties"], "$defs": document["$defs"]}, 3)


def methods() -> str:
    """The settings of every method."""
    parts = []
    for name, entry in _document("methods")["methods"].items():
        takes = ", ".join(f"`{kind}`" for kind in entry["supervision"])
        networks = ", ".join(f"`{network}`" for network in entry["networks"])
        parts.append(f"### `{name}`\n\nSupervision: {takes}. Networks: {networks}.\n")
        parts.append(settings(entry["config"], 4) if entry["config"].get("properties") else "No settings.\n")
    return "\n".join(parts)


def settings(schema: Schema, level: int) -> str:
    """A table of the keys of a schema, and below it one for each block inside it."""
    definitions = schema.get("$defs", {})
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    inner: list[tuple[str, Schema]] = []
    for path, value in schema.get("properties", {}).items():
        block = _block(value, definitions)
        if block is not None:
            inner.append((path, block))
        cells = (f"`{path}`", _kind(value, definitions), _default(value, path in schema.get("required", [])))
        lines.append("| " + " | ".join(map(_cell, (*cells, value.get("description", "")))) + " |")
    parts = ["\n".join(lines) + "\n"]
    for path, block in inner:
        text = str(block.get("description", "")).replace("``", "`")
        parts.append(f"{'#' * level} `{path}`\n\n{text}\n")
        parts.append(settings({**block, "$defs": definitions}, level + 1))
    return "\n".join(parts)


def _options(value: Schema) -> list[Schema]:
    """The alternatives of a value, null left out."""
    return [option for option in value.get("anyOf", [value]) if option.get("type") != "null"]


def _resolved(value: Schema, definitions: Schema) -> Schema:
    name = str(value.get("$ref", "")).rpartition("/")[2]
    found: Schema = definitions.get(name, value)
    return found


def _block(value: Schema, definitions: Schema) -> Schema | None:
    """The keyed block that a value (or each entry of its list) is; None for a plain value."""
    for option in _options(value):
        found = _resolved(option.get("items", option), definitions)
        if found.get("properties"):
            return found
    return None


def _kind(value: Schema, definitions: Schema) -> str:
    """What a key takes, in words: its type, choices and bounds."""
    words = [_one_kind(_resolved(option, definitions), definitions) for option in _options(value)]
    if len(_options(value)) < len(value.get("anyOf", [value])):
        words.append("null")
    return " or ".join(dict.fromkeys(words))


def _one_kind(option: Schema, definitions: Schema) -> str:
    if "enum" in option:
        return ", ".join(f"`{choice}`" for choice in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    if option.get("properties"):
        return "block, below"
    kind = option.get("type", "any")
    if kind == "array":
        return f"list of {_kind(option['items'], definitions)}" if "items" in option else "list"
    if kind == "object":
        entry = option.get("additionalProperties")
        return f"mapping to {_kind(entry, definitions)}" if isinstance(entry, dict) and entry else "mapping"
    if isinstance(kind, list):
        return " or ".join(kind)
    return " ".join([{"string": "text", "boolean": "true, false"}.get(kind, kind), *_bounds(option)])


def _bounds(option: Schema) -> list[str]:
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    return [f"{sign} {option[key]:g}" for key, sign in signs.items() if key in option]


def _default(value: Schema, required: bool) -> str:
    if required:
        return "required"
    if "default" not in value:  # made anew for each file
        return {"array": "`[]`", "object": "`{}`"}.get(value.get("type", ""), "")
    default = value["default"]
    if isinstance(default, dict) and default:
        return "see below"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("<", "&lt;").replace("|", "\\|").split())


def commands() -> str:
    """Every command, those that people type before the stages of the workflow."""
    group: Any = typer.main.get_command(app)
    panels: dict[str, list[str]] = {"Commands": []}
    for name, command in group.commands.items():
        panel = command.rich_help_panel if isinstance(command.rich_help_panel, str) else "Commands"
        panels.setdefault(panel, []).append(_command(name, command))
    return "\n".join(f"## {panel}\n\n" + "\n".join(texts) for panel, texts in panels.items())


def _command(name: str, command: Any) -> str:
    text, _, examples = (command.help or "").replace("\b", "").partition("Examples:")
    lines = [f"### `cyclemix {name}`\n"]
    lines += [f"{' '.join(part.split())}\n" for part in text.split("\n\n") if part.strip()]
    if examples:
        lines += ["```bash", *(line.strip() for line in examples.strip().splitlines()), "```\n"]
    kinds = get_type_hints(command.callback)
    parameters = [_parameter(parameter, kinds[parameter.name]) for parameter in command.params]
    if parameters:
        lines += ["| argument | value | default | meaning |", "|---|---|---|---|", *parameters]
    return "\n".join(lines) + "\n"


def _parameter(parameter: Any, kind: Any) -> str:
    argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if argument else [*parameter.opts, *parameter.secondary_opts]
    many = parameter.nargs == -1 or parameter.multiple
    name = ", ".join(f"`{n}`" for n in names) + (" ..." if many else "")
    default = "" if parameter.default in (None, False) else f"`{parameter.default}`"
    cells = (name, _type_name(kind), "required" if parameter.required else default, parameter.help or "")
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _type_name(kind: Any) -> str:
    """A parameter's type in words; a switch has none."""
    inner = [option for option in get_args(kind) if option is not type(None)]
    words = {str: "text", Path: "path", int: "integer", float: "number", bool: ""}
    if kind in words:
        return words[kind]
    return _type_name(inner[0]) if inner else str(getattr(kind, "__name__", kind))


WRITERS: dict[str, Callable[[], str]] = {
    "study": study,
    "dataset": dataset,
    "block": block,
    "methods": methods,
    "commands": commands,
}
"""What the markers name."""
