"""``cyclemix new-method``: write a working method file, its block and its test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from cyclemix.config.strict import ConfigError
from cyclemix.config.study import load_methods
from cyclemix.files.templates import render

TEMPLATES = Path(__file__).with_name("templates")


def write(name: str, root: Path) -> list[Path]:
    """Write ``cyclemix/methods/NAME.py`` and its test, and add its block to ``config/methods.yaml``.

    Args:
        name: file name and label, in lower case with underscores.

    Returns:
        The files that were written or changed.

    Raises:
        ConfigError: the name is invalid or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"new-method: expected a name of lower-case letters, digits and underscores, got {name!r}"
        )
    blocks = root / "config" / "methods.yaml"
    if name in load_methods(blocks):
        raise ConfigError(f"new-method: {blocks} has a row {name} already; choose another name")
    made = {
        root / "cyclemix" / "methods" / f"{name}.py": "method.py.jinja",
        root / "tests" / "unit" / "methods" / f"test_{name}.py": "test.py.jinja",
    }
    for path in made:
        if path.exists():
            raise ConfigError(f"new-method: {path} exists already; choose another name")
    words = name.replace("_", " ")
    names = {"name": name, "title": words.capitalize(), "class_name": words.title().replace(" ", "")}
    for path, template in made.items():
        path.write_text(render(TEMPLATES / template, **names))
    block = render(TEMPLATES / "block.yaml.jinja", **names)
    blocks.write_text(blocks.read_text().rstrip("\n") + "\n\n" + block)
    return [*made, blocks]
