"""Text from jinja2 templates: HTML pages, drafted YAML files, the files of a new method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

TEX: dict[str, Any] = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
}
"""Delimiters in templates of LaTeX, whose own braces and percent signs would be read as jinja2's."""


def render(template: Path, *folders: Path, **values: Any) -> str:
    """The text of a template; ``values`` are escaped in templates that end in ``.html``.

    Args:
        template: the file; may include others of its folder.
        folders: further folders of templates that it includes.
        values: by name; an unknown name in the template raises jinja2's UndefinedError.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, *folders]),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **(TEX if ".tex" in template.suffixes else {}),
    )
    return environment.get_template(template.name).render(values)
