"""The figure of all rows on all data sets: order, groups, what is drawn where, and what is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from cyclemix.data.datasets import load_dataset
from cyclemix.report import ranking as stage
from cyclemix.report.plots import ranking

DATASETS = Path(__file__).resolve().parents[3] / "config" / "datasets"
COLUMNS = ["method", "supervision", "mean", "ci_low", "ci_high", "as_predicted", "n_runs"]


def panel(
    title: str, *rows: tuple[str, str, float], published: tuple[str, float] | None = None
) -> ranking.Panel:
    table = pd.DataFrame(
        [(*row, row[2] - 0.02, row[2] + 0.01, row[2] - 0.05, 1) for row in rows], columns=COLUMNS
    )
    trainings = pd.Series([row[2] for row in rows], index=[row[0] for row in rows])
    return ranking.Panel(title, table.set_index("method"), trainings, published)


ONE = panel(
    "One", ("a", "scribble", 0.8), ("b", "scribble", 0.7), ("dense", "full", 0.9), published=("c", 0.85)
)
TWO = panel("Two", ("a", "scribble", 0.6), ("b", "scribble", 0.9))


def test_groups_come_in_turn_and_the_best_mean_first() -> None:
    places, groups = ranking.positions([ONE, TWO])
    # b: (.7 + .9) / 2 = .8; a: (.8 + .6) / 2 = .7
    assert places == {"b": 0, "a": 1, "dense": 2 + ranking.GAP}
    assert groups == {"scribble": 0, "full": 2 + ranking.GAP}


def test_means_as_predicted_intervals_and_the_published_row_are_drawn() -> None:
    left, right = ranking.draw([ONE, TWO]).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["b", "a", "dense"]
    assert not any(label.get_text() for label in right.get_yticklabels())
    points = {
        tuple(line.get_xydata()[0].round(6)): line for line in left.lines if len(line.get_xydata()) == 1
    }
    assert set(points) == {(0.8, 1), (0.75, 1), (0.7, 0), (0.65, 0), (0.9, 2.9), (0.85, 2.9)}
    assert points[0.75, 1].get_markerfacecolor() == "white"
    assert points[0.8, 1].get_markerfacecolor() == ranking.COLOURS["scribble"]
    assert points[0.9, 2.9].get_markerfacecolor() == ranking.COLOURS["full"]
    intervals = [tuple(segment[:, 0]) for lines in left.collections for segment in lines.get_segments()]
    assert sorted(intervals) == [pytest.approx(pair) for pair in ((0.68, 0.71), (0.78, 0.81), (0.88, 0.91))]
    (dashed,) = [line for line in left.lines if len(line.get_xydata()) == 2]
    assert list(dashed.get_xdata()) == [0.85, 0.85]
    texts = [text.get_text() for text in right.texts]
    assert texts == ["n/a"]
    # From 0.55 as predicted to the end of the interval at 0.91.
    assert left.get_xlim() == right.get_xlim() == pytest.approx((0.48, 0.97))
    (words,) = [text for text in left.texts if text.get_text().startswith("dashed")]
    assert words.get_text() == "dashed: best published from these scribbles\nc, .850"
    assert words.get_horizontalalignment() == "right", "text at the right edge stays inside the figure"


def test_a_mean_far_below_the_others_is_a_number_at_the_edge() -> None:
    others = [(name, "scribble", 0.8 + 0.01 * place) for place, name in enumerate("abcd")]
    (axes,) = ranking.draw([panel("One", *others, ("collapsed", "scribble", 0.4))]).axes
    # Means 0.4, 0.8 to 0.83, as predicted 0.05 less; quartiles 0.7525, 0.8075; three ranges below 0.5875.
    assert axes.get_xlim() == pytest.approx((0.73, 0.87)), "from 0.75 to 0.84: twentieths and margin"
    (words,) = [text for text in axes.texts if "◂" in text.get_text()]
    assert (words.get_text(), words.get_position()) == ("◂ .400", (0.01, 4))


def test_rows_of_several_trainings_show_each_and_say_how_many() -> None:
    one = panel("One", ("a", "scribble", 0.8), ("b", "scribble", 0.7))
    one.table["n_runs"] = [3, 1]
    of_a = pd.Series([0.62, 0.8, 0.98], index=["a"] * 3)
    (axes,) = ranking.draw([dataclasses.replace(one, trainings=pd.concat([of_a, one.trainings[["b"]]]))]).axes
    (ticks,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert ticks.get_xydata().tolist() == [[0.62, 0], [0.8, 0], [0.98, 0]], "a alone has several"
    assert axes.get_xlim() == pytest.approx((0.58, 1.02)), "from 0.6 to 1, twentieths and margin"
    assert [(text.get_text(), text.get_position()) for text in axes.texts if "×" in text.get_text()] == [
        ("×3", (1.008, 0)),
        ("×n: mean of n trainings \nticks: each of them ", (0, -17)),
    ]


def test_a_training_counts_its_patients_alike() -> None:
    head = ["method", "fold", "seed", "subject", "case", "dice"]
    first = [("a", 0, 0, "p", "p_ed", 0.9), ("a", 0, 0, "p", "p_es", 0.7), ("a", 0, 0, "q", "q_ed", 0.4)]
    found = stage.trainings(pd.DataFrame([*first, ("a", 0, 1, "p", "p_ed", 0.5)], columns=head))
    # Seed 0: p has (.9 + .7) / 2 = .8, q .4; seed 1 has .5.
    assert found["a"].tolist() == pytest.approx([0.6, 0.5])


def test_one_patient_without_intervals_is_drawn() -> None:
    one = panel("One", ("a", "scribble", 0.8))
    one.table[["ci_low", "ci_high"]] = float("nan")
    (axes,) = ranking.draw([one]).axes
    assert axes.get_xlim() == pytest.approx((0.73, 0.82)), "from 0.75 as predicted to 0.8"


def test_the_stage_reads_the_tables_of_every_data_set(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    for dataset in ("acdc", "mscmr"):
        folder = tmp_path / "tables" / dataset
        folder.mkdir(parents=True)
        for name, mean in (("summary", 0.8), ("summary_as_predicted", 0.7)):
            row = {"method": "unet_pce", "supervision": "scribble", "structure": "Avg", "metric": "dice"}
            pd.DataFrame([{**row, "mean": mean, "ci_low": 0.75, "ci_high": 0.85, "n_runs": 1}]).to_csv(
                folder / f"{name}.csv", index=False
            )
        case = {"method": "unet_pce", "fold": 0, "seed": 0, "subject": "p", "case": "p_ed", "dice": 0.8}
        pd.DataFrame([case]).to_csv(folder / "per_case.csv", index=False)
    files = [DATASETS / "acdc.yaml", DATASETS / "mscmr.yaml"]
    stage.run(tmp_path, files, tmp_path)
    assert [axes.get_title(loc="left") for axes in drawn["ranking"].axes] == [
        load_dataset(path).title for path in files
    ]
    (tmp_path / "tables" / "acdc" / "summary.csv").unlink()
    with pytest.raises(ValueError, match=r"acdc/summary.csv: no such file; run tabulate first"):
        stage.run(tmp_path, files, tmp_path)


def test_the_best_published_row_is_of_the_same_scribbles() -> None:
    # Table 3 of CycleMix: 35 scribbles; rows of later papers with 70 patients do not count.
    name, value = stage.best_published(load_dataset(DATASETS / "acdc.yaml")) or ("", 0.0)
    assert (name.partition(",")[0], value) == ("CycleMix_S", 0.848)
