"""What `cyclemix methods` tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyclemix.config.strict import ConfigError
from cyclemix.study import catalogue

FILE = Path(__file__).parents[3] / "config" / "methods.yaml"


def test_json_holds_every_row() -> None:
    rows = {row["label"]: row for row in json.loads(catalogue.as_json(FILE))}
    assert rows["cyclemix_paper"] == {
        "label": "cyclemix_paper",
        "method": "cyclemix",
        "supervision": "scribble",
        "citation": "Zhang and Zhuang, CVPR 2022",
        "summary": "the paper's network, weights and preprocessing, without post-processing",
        "verified": True,
    }


def test_every_row_has_summary_and_citation() -> None:
    for row in json.loads(catalogue.as_json(FILE)):
        assert row["summary"], row["label"]
        assert row["citation"], row["label"]


def test_a_row_shows_its_own_values_beside_the_defaults() -> None:
    text = catalogue.details(FILE, "cyclemix_paper")
    assert "cyclemix_paper: the paper's network" in text
    assert '    reduction = "pixels" (default "labelled")\n        cross-entropy over labelled pixels' in text
    assert "    weight_mix = 1.0\n        weight of the mixed cross-entropy" in text
    assert "    puzzle.prior = 0.2\n" in text
    assert '"network": "unet_paper"' in text
    assert "Deviations from the official code" in text


@pytest.mark.parametrize("label", [row["label"] for row in json.loads(catalogue.as_json(FILE))])
def test_every_row_can_be_shown(label: str) -> None:
    assert catalogue.details(FILE, label).startswith(f"{label}: ")


def test_an_unknown_label_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"no method 'cyclemx' \(did you mean 'cyclemix'\?\); known: unet_pce"
    ):
        catalogue.details(FILE, "cyclemx")
