"""The published numbers: read, grouped, refused where they are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclemix.config.study import load_methods
from cyclemix.report import published

METHODS = Path(__file__).resolve().parents[3] / "config" / "methods.yaml"

HEADER = ",".join(published.COLUMNS)


@pytest.mark.parametrize(
    ("stated", "group", "subjects"),
    [
        ("35 scribbles", "scribble", 35),
        ("70 scribbles (70/15/15)", "scribble", 70),
        ("scribbles (repo default fold MAAGfold70 = 70)", "scribble", 70),
        ("scribbles", "scribble", None),
        ("35 scribbles + 35 unpaired masks", "scribble+masks", 35),
        ("25 full masks", "full", 25),
        ("70 masks", "full", 70),
        ("full masks", "full", None),
    ],
)
def test_supervision_in_a_papers_words(stated, group, subjects):
    assert published.group_of(stated) == group
    assert published.subjects_of(stated) == subjects


def test_the_projects_file_is_sound():
    acdc = {row.method: row for row in published.rows_of("acdc")}
    assert acdc["CycleMix"].values[("dice", "Avg")] == (0.848, None)
    assert acdc["#4 L_unmix+L_mix+L_con-g+1_O"].values[("dice", "LV")] == (0.898, 0.059)
    assert acdc["CycleMix"].source == "CycleMix CVPR 2022, Table 3 (weakly supervised)"
    assert {row.checked for row in published.rows_of("mscmr")} == {"no", "secondary"}
    assert published.rows_of("phantom") == []
    assert acdc["CycleMix"].row == "cyclemix"
    assert {row["row"] for row in published.load()} <= {"", *load_methods(METHODS)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns dataset, method"),
        (
            f"{HEADER}\nx,m,,s,LV,dice,0.5,,p,w,maybe\n",
            r":2: checked must be yes, no, secondary, got 'maybe'",
        ),
        (f"{HEADER}\nx,m,,s,LV,dice,high,,p,w,yes\n", r":2: mean and std must be numbers, got 'high'"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text, message):
    path = tmp_path / "published.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        published.rows_of("x", path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nothing\.csv: no such file"):
        published.load(tmp_path / "nothing.csv")
