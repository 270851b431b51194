"""The committed schemas are those of the models, and every committed config passes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from cyclemix.cli import schemas
from cyclemix.config.strict import ConfigError

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "workflow" / "schemas"


def test_committed_schemas_are_up_to_date() -> None:
    schemas.write(FOLDER, check=True)


def test_drift_is_named(tmp_path: Path) -> None:
    schemas.write(tmp_path)
    schemas.write(tmp_path, check=True)
    (tmp_path / "study.schema.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"out of date: .*study\.schema\.json; run `make schema`"):
        schemas.write(tmp_path, check=True)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("study", "config/*.yaml"), ("dataset", "config/datasets/*.yaml"), ("blocks", "config/methods.yaml")],
)
def test_committed_configs_pass_the_schema(schema: str, pattern: str) -> None:
    validator = Draft202012Validator(json.loads((FOLDER / f"{schema}.schema.json").read_text()))
    files = [path for path in ROOT.glob(pattern) if schema != "study" or path.name != "methods.yaml"]
    assert files
    for path in files:
        # JSON knows no integer keys; YAML's label values have them
        values = json.loads(json.dumps(yaml.safe_load(path.read_text())))
        assert not [error.message for error in validator.iter_errors(values)], path
