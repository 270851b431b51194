"""The JSON schemas in ``workflow/schemas``, written from the pydantic models.

Used by editors, and by `cyclemix.study.plan` to validate method settings without importing torch. A test and
``make lint`` fail if they are out of date.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from cyclemix import methods
from cyclemix.config.strict import ConfigError, write_if_changed
from cyclemix.config.study import MethodBlock, Study
from cyclemix.data.datasets import DatasetSpec
from cyclemix.training.resolve import ALLOWED

log = logging.getLogger(__name__)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate() -> dict[str, str]:
    """Content of every schema by file name."""
    block = MethodBlock.model_json_schema()
    definitions = block.pop("$defs", {})
    blocks = {"type": "object", "additionalProperties": block, "$defs": definitions}
    documents = {
        "study": {"title": "A study: config/*.yaml", **_without_title(Study.model_json_schema())},
        "dataset": {"title": "A data set: config/datasets/*.yaml", **_dataset()},
        "blocks": {"title": "The rows: config/methods.yaml", **blocks},
        "methods": {"title": "The settings of every method: `config` of a row", "methods": _methods()},
    }
    return {
        f"{name}.schema.json": json.dumps({"$schema": DIALECT, **document}, indent=2, ensure_ascii=False)
        + "\n"
        for name, document in documents.items()
    }


def write(folder: Path, *, check: bool = False) -> None:
    """Write the schemas into ``folder``, or with ``check`` only compare.

    Raises:
        ConfigError: with ``check``, names the files that are out of date.
    """
    stale = []
    for name, text in generate().items():
        path = folder / name
        if check:
            stale += [] if path.is_file() and path.read_text() == text else [str(path)]
        elif write_if_changed(path, text):
            log.info("wrote %s", path)
    if stale:
        raise ConfigError(f"out of date: {', '.join(stale)}; run `make schema` and commit the result")


def _methods() -> dict[str, Any]:
    return {
        name: {
            "supervision": list(ALLOWED[method.supervision]),
            "networks": list(method.networks),
            "config": method.Config.model_json_schema(
                ref_template=f"#/methods/{name}/config/$defs/{{model}}"
            ),
        }
        for name, method in methods.available().items()
    }


def _dataset() -> dict[str, Any]:
    """The data set's schema without label and folder, which are taken from the file's path."""
    schema = _without_title(DatasetSpec.model_json_schema())
    for key in ("label", "folder"):
        del schema["properties"][key]
    # A view (`source:`) inherits missing keys, so no key is required.
    del schema["required"]
    # Subjects may be numbers, converted to names by `subject_name`.
    schema["properties"]["official"]["additionalProperties"]["items"] = {"type": ["string", "integer"]}
    return schema


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"}
