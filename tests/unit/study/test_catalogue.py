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
        "summary": "released network, weights, preprocessing and budget (570 000 steps)",
        "source": {"repository": "BWGZK/CycleMix", "commit": "443fe95", "file": "engines.py"},
    }


def test_every_row_has_summary_and_citation() -> None:
    for row in json.loads(catalogue.as_json(FILE)):
        assert row["summary"], row["label"]
        assert row["citation"], row["label"]


def test_a_row_shows_its_own_values_beside_the_defaults() -> None:
    text = catalogue.details(FILE, "cyclemix_paper")
    assert "cyclemix_paper: released network" in text
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


def test_a_row_shows_the_code_that_was_read() -> None:
    assert "source       BWGZK/ShapePU@f2cbcdb engine.py" in catalogue.details(FILE, "shapepu")
    assert "source       none (no published code was read)" in catalogue.details(FILE, "accl")
    lines = {line.split()[0]: line for line in catalogue.listing(FILE).splitlines()}
    assert "(no published code was read)" in lines["accl"]
    assert "(no published code was read)" not in lines["shapepu"]


def test_departures_are_read_from_the_docstrings(tmp_path: Path) -> None:
    folder = tmp_path / "cyclemix" / "methods"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text(
        '"""A.\n\nDeviations from the code:\n    * one\n      thing;\n    * another.\n\nNot this.\n"""\n'
    )
    (folder / "b.py").write_text(
        'class B:\n    """B. Deviation: none."""\n\n    def losses(self):\n        """No."""\n'
    )
    (folder / "c.py").write_text('"""C says nothing."""\n')
    assert catalogue.departures(tmp_path) == {"methods/a": ["one thing", "another"], "methods/b": ["none"]}


def test_every_method_with_a_source_says_where_it_departs() -> None:
    said = catalogue.departures(FILE.parents[1])
    rows = json.loads(catalogue.as_json(FILE))
    assert [
        row["label"] for row in rows if row["source"] != "none" and f"methods/{row['method']}" not in said
    ] == []
