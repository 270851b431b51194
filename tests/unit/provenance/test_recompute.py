"""Means anew from text, without the code that wrote them; numbers by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclemix.provenance import recompute

METRICS = "case,subject,structure,dice,hd_mm,hd95_mm,assd_mm,volume_pred_ml,volume_true_ml,missed\n"
CASES = "dataset,method,fold,seed," + METRICS
SUMMARY = "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs\n"


def score(case: str, structure: str, dice: float, missed: int = 0) -> str:
    return f"{case},{case[0]},{structure},{dice},4,3,2,1,1,{missed}\n"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Patient a with two frames, patient b with one; seeds 0 and 1. Patient means of LV: a .6, b .2."""
    text = ""
    for seed in (0, 1):
        run = tmp_path / "runs" / "toy" / "pce" / f"fold0_seed{seed}"
        run.mkdir(parents=True)
        rows = [score("a1", "LV", 0.5 + 0.2 * seed), score("a2", "LV", 0.6), score("b1", "LV", 0.2, seed)]
        rows += [score("a1", "RV", 1), score("a2", "RV", 1), score("b1", "RV", 0.4)]
        (run / "metrics.csv").write_text(METRICS + "".join(rows))
        text += "".join(f"toy,pce,0,{seed},{row}" for row in rows)
    (tmp_path / "per_case.csv").write_text(CASES + text)
    means = {"LV": (0.4, 1), "RV": (0.7, 0), "Avg": (0.55, 1)}
    rows = [f"toy,pce,scribble,{name},dice,{mean},,,,3,{n},2\n" for name, (mean, n) in means.items()]
    (tmp_path / "summary.csv").write_text(SUMMARY + "".join(rows))
    return tmp_path


def metrics(study: Path) -> list[Path]:
    return sorted(study.glob("runs/*/*/*/metrics.csv"))


def test_what_agrees_gives_no_text(study: Path) -> None:
    assert recompute.rows(study / "per_case.csv", metrics(study)) == ""
    assert recompute.means(study / "summary.csv", study / "per_case.csv") == ""


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("LV,dice,0.4", "LV,dice,0.41", "mean of pce, LV, dice is 0.41, 0.4 by per_case.csv"),
        ("Avg,dice,0.55", "Avg,dice,0.5500001", "mean of pce, Avg, dice is 0.5500001, 0.55 by per_case.csv"),
        ("LV,dice,0.4,,,,3,1", "LV,dice,0.4,,,,3,0", "n_missed of pce, LV, dice is 0, 1 by per_case.csv"),
        ("LV,dice,0.4,,,,3", "LV,dice,0.4,,,,2", "n_cases of pce, LV, dice is 2, 3 by per_case.csv"),
    ],
)
def test_a_number_that_does_not_follow_is_named(study: Path, old: str, new: str, text: str) -> None:
    summary = study / "summary.csv"
    assert old in summary.read_text()
    summary.write_text(summary.read_text().replace(old, new))
    assert recompute.means(summary, study / "per_case.csv") == text


def test_a_row_that_no_run_has_is_shown(study: Path) -> None:
    path = study / "per_case.csv"
    path.write_text(path.read_text().replace("toy,pce,0,1,b1,b,RV,0.4", "toy,pce,0,1,b1,b,RV,0.9"))
    text = recompute.rows(path, metrics(study))
    assert text.startswith(
        "2 rows do not agree with the runs' metrics.csv, the first missing from it: toy,pce,0,1,b1"
    )


def test_a_row_that_stands_twice_is_seen(study: Path) -> None:
    path = study / "per_case.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    assert recompute.rows(path, metrics(study)) == "it holds a row twice"
