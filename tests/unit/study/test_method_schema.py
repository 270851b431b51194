"""Method blocks are refused with the label, the key, what was expected and what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from cyclemix.config.strict import ConfigError, StrictModel
from cyclemix.config.study import MethodBlock
from cyclemix.study.method_schema import check_block, check_network, load_method_schemas


class Blocks(StrictModel):
    sizes: list[int] = Field(default_factory=lambda: [2, 4])


class Settings(StrictModel):
    weight_mix: float = Field(1.0, ge=0)
    decay: float = Field(0.9, gt=0, lt=1)
    occlusion_px: int = Field(32, ge=0)
    noise: float | None = None
    blocks: Blocks = Field(default_factory=Blocks)


SCHEMAS: dict[str, Any] = {
    "methods": {
        "mixer": {
            "supervision": ["scribble", "full"],
            "config": Settings.model_json_schema(ref_template="#/methods/mixer/config/$defs/{model}"),
        }
    }
}


def check(tmp_path: Path, *, method: str = "mixer", supervision: str = "scribble", **config: Any) -> None:
    block = MethodBlock.model_validate(
        {"method": method, "summary": "", "supervision": supervision, "config": config}
    )
    check_block("row", block, SCHEMAS, tmp_path)


def test_good_settings_pass(tmp_path: Path) -> None:
    check(tmp_path)
    check(tmp_path, weight_mix=0, decay="5e-1", occlusion_px=0, noise=None, blocks={"sizes": [1, 2]})
    check(tmp_path, supervision="full", noise=0.5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"weight_mx": 1},
            r"unknown key config\.weight_mx \(did you mean 'weight_mix'\?\); expected one of: weight_",
        ),
        ({"weight_mix": -1}, r"config\.weight_mix: expected number >= 0, got -1"),
        ({"decay": 1}, r"config\.decay: expected number > 0 and < 1, got 1"),
        ({"weight_mix": "many"}, r"config\.weight_mix: expected number >= 0, got 'many'"),
        ({"occlusion_px": 1.5}, r"config\.occlusion_px: expected integer >= 0, got 1\.5"),
        ({"noise": "loud"}, r"config\.noise: expected number or null, got 'loud'"),
        (
            {"blocks": {"size": [1]}},
            r"unknown key config\.blocks\.size \(did you mean 'sizes'\?\); expected one of: si",
        ),
        ({"blocks": {"sizes": [1, "x"]}}, r"config\.blocks\.sizes\.1: expected integer, got 'x'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^config/methods\.yaml: row: " + message):
        check(tmp_path, **config)


def test_wrong_supervision(tmp_path: Path) -> None:
    expected = r"row: supervision: expected scribble or full, got 'scribble\+masks'"
    with pytest.raises(ConfigError, match=expected):
        check(tmp_path, supervision="scribble+masks")


def test_unknown_method(tmp_path: Path) -> None:
    expected = r"row: method: no file cyclemix/methods/mixr\.py \(did you mean 'mixer'\?\); known: mixer"
    with pytest.raises(ConfigError, match=expected):
        check(tmp_path, method="mixr")


def test_method_without_schema_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "cyclemix" / "methods").mkdir(parents=True)
    (tmp_path / "cyclemix" / "methods" / "novel.py").touch()
    with pytest.raises(ConfigError, match=r"'novel' is not in .*; run `make schema`"):
        check(tmp_path, method="novel")


def test_schema_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"methods\.schema\.json: no such file; run `make schema`"):
        load_method_schemas(tmp_path)


def test_a_network_that_the_method_cannot_train_is_refused() -> None:
    schemas = {"methods": {"unet_pce": {"networks": ["unet", "unet_paper"]}}}
    check_network("row", "unet", "unet_pce", schemas)
    expected = r"method row: training.network: expected unet or unet_paper for unet_pce, got 'unet_dual'"
    with pytest.raises(ConfigError, match=expected):
        check_network("row", "unet_dual", "unet_pce", schemas)
