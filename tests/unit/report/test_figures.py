"""Figures: which cases, slices and methods they show, and that they are complete and reproducible."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from score_rows import score_row

from cyclemix.config.models import Protocol
from cyclemix.evaluation import evaluate
from cyclemix.files import layout
from cyclemix.provenance import records
from cyclemix.report import figures
from cyclemix.report.plots import agreement, cases, curves, overlays, scores, style
from cyclemix.report.runs import Runs, open_runs, read_table

STUDY: dict[str, Any] = {
    "methods": {
        "cyclemix": {"supervision": "scribble", "reason": None},
        "maag": {"supervision": "scribble+masks", "reason": "tiny has no list of unpaired masks"},
        "unet_pce": {"supervision": "scribble", "reason": None},
    },
    "order": ["unet_pce", "cyclemix", "maag"],
    "seeds": [0, 1],
    "folds": [0],
    "protocol": {"kind": "official", "evaluate_on": "test"},
    "compare_to": "cyclemix",
}


def per_case_of(dice: dict[str, float], method: str = "cyclemix") -> pd.DataFrame:
    """``per_case.csv`` of one structure with a Dice a subject."""
    others = {"hd_mm": 1.0, "hd95_mm": 1.0, "assd_mm": 1.0, "volume_true_ml": 100.0, "missed": 0}
    rows = [
        score_row(subject, method=method, dice=value, volume_pred_ml=100 * value, **others)
        for subject, value in dice.items()
    ]
    return pd.DataFrame(rows)


def runs_of(study: dict[str, Any], results: Path) -> Runs:
    return open_runs(results, results / "tiny.yaml", study)


# What is shown


def test_median_best_and_worst_patient() -> None:
    table = per_case_of({"a": 0.9, "b": 0.5, "c": 0.7, "d": 0.8, "e": 0.6})
    assert cases.pick_subjects(table, "cyclemix") == {"median": "c", "best": "a", "worst": "b"}


def test_of_two_patients_the_lower_is_the_median_and_nobody_is_shown_twice() -> None:
    assert cases.pick_subjects(per_case_of({"a": 0.9, "b": 0.5}), "cyclemix") == {"median": "b", "best": "a"}
    assert cases.pick_subjects(per_case_of({"a": 0.9}), "cyclemix") == {"median": "a"}


def test_slices_lie_in_the_thirds_and_the_base_is_the_larger_end() -> None:
    truth = np.zeros((13, 20, 20), np.uint8)
    for z in range(2, 11):  # nine slices, growing: the base is the last
        truth[z, : z + 2, : z + 2] = 1
    assert overlays.pick_slices(truth) == {"base": 9, "middle": 6, "apex": 3}
    assert overlays.pick_slices(truth[::-1]) == {"base": 3, "middle": 6, "apex": 9}


def test_few_or_no_labelled_slices_still_give_one() -> None:
    truth = np.zeros((5, 4, 4), np.uint8)
    assert overlays.pick_slices(truth) == {"middle": 2}
    truth[4] = 1
    truth[0] = 255  # unlabelled is no structure
    assert overlays.pick_slices(truth) == {"middle": 4}


def test_the_crop_is_square_in_millimetres_and_stays_inside() -> None:
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 40:60, 45:55] = True  # 20 rows of 1 mm, 10 columns of 2 mm: 20 mm both
    rows, columns = overlays.crop_box(mask, (1.0, 2.0), margin_mm=10)
    assert (rows, columns) == (slice(30, 70), slice(40, 60))
    mask[:] = False
    mask[0, :5, :5] = True
    rows, columns = overlays.crop_box(mask, (1.0, 1.0), margin_mm=10)
    assert (rows, columns) == (slice(0, 25), slice(0, 25))
    assert overlays.crop_box(np.zeros((1, 8, 9), bool), (1.0, 1.0)) == (slice(0, 8), slice(0, 9))


def test_dice_of_a_slice() -> None:
    truth = np.array([[1, 1, 2, 0]])
    pred = np.array([[1, 0, 0, 0]])
    assert overlays.slice_dice(pred, truth, 1) == pytest.approx(2 / 3)
    assert overlays.slice_dice(pred, truth, 2) == 0
    assert np.isnan(overlays.slice_dice(pred, truth, 3))


def test_rows_keep_the_order_of_the_study_and_n_a_rows_keep_their_colour(study: Path) -> None:
    runs = runs_of(STUDY, study)
    assert runs.labels == ["unet_pce", "cyclemix"]
    assert list(runs.supervision) == ["unet_pce", "cyclemix", "maag"]
    assert figures.colours(runs)["cyclemix"] == style.EMPHASIS
    shorter = {**STUDY, "methods": {k: {**v, "reason": None} for k, v in STUDY["methods"].items()}}
    assert figures.colours(runs_of(shorter, study)) == figures.colours(runs)
    assert len(set(figures.colours(runs).values())) == 3


def test_side_by_side_stands_the_compared_method_and_the_best(study: Path) -> None:
    labels = [f"m{i}" for i in range(8)]
    rows = {label: {"supervision": "scribble", "reason": None} for label in labels}
    runs = runs_of({**STUDY, "methods": rows, "order": labels, "compare_to": "m0"}, study)
    tables = [per_case_of({"a": 0.1 * i, "b": 0.1 * i}, label) for i, label in enumerate(labels)]
    assert figures.columns(runs, pd.concat(tables)) == ["m0", "m3", "m4", "m5", "m6", "m7"]


def test_a_missing_file_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metrics\.csv: no such file; run `evaluate`"):
        read_table(tmp_path / "metrics.csv")
    with pytest.raises(ValueError, match=r"history\.csv: no such file; run `train`"):
        read_table(tmp_path / "history.csv")
    with pytest.raises(ValueError, match=r"x\.nii\.gz: no such prediction; run `predict`"):
        cases.read_labels(tmp_path / "x.nii.gz")


def test_the_subtitle_counts_patients_and_seeds(study: Path) -> None:
    runs = runs_of(STUDY, study)
    assert (
        runs.describe(per_case_of({"a": 1, "b": 1})) == "official split, test, 2 patients; 2 seeds averaged"
    )
    one = {label: [0] for label in runs.labels}
    fold = replace(runs, protocol=Protocol(kind="kfold", folds=4), seeds=one)
    assert fold.describe(per_case_of({"a": 1})) == "4-fold by patient, test, 1 patient; one seed"


def test_volumes_average_runs_then_frames() -> None:
    table = pd.concat([per_case_of({"a": 0.5}), per_case_of({"a": 0.7}).assign(case="a2")])
    (row,) = figures.volumes(table).to_dict("records")
    assert row["pred"] == pytest.approx(60)
    assert row["true"] == 100
    assert (row["measure"], row["unit"]) == ("volume", "mL")


def test_the_end_diastolic_case_is_shown(study: Path) -> None:
    source = cases.open_source(runs_of(STUDY, study), "test")
    (subject,) = {str(entry["subject"]) for entry in source.entries.values()}
    assert source.case_of(subject) == f"{subject}_frame01"


def test_a_training_strip_shows_slices_with_strokes(study: Path) -> None:
    strip = cases.training_strip(runs_of(STUDY, study), 5)
    assert len(strip) == 2  # two training subjects
    for panel in strip:
        assert panel.scribble is not None
        assert {1, 2, 3} <= set(np.unique(panel.scribble))
        assert panel.truth is None


# What is drawn


def texts(figure: Figure) -> list[str]:
    axes = [text.get_text() for axes in figure.axes for text in axes.texts]
    return axes + [text.get_text() for text in figure.texts]


def test_the_box_plot_prints_the_mean_of_patients() -> None:
    table = per_case_of({"a": 0.9, "b": 0.5, "c": 0.7})
    figure = scores.boxplot(table, ["cyclemix"], {"cyclemix": "#000000"}, ("title", "subtitle"))
    assert texts(figure).count(".700") == 2  # LV and the average, which is LV alone
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes[:2]] == ["LV", "Average"]


def test_structures_share_their_axes_so_that_eyes_may_switch() -> None:
    low = per_case_of({"a": 0.2, "b": 0.1}).assign(structure="RV")
    both = pd.concat([per_case_of({"a": 0.9, "b": 0.8}), low])
    drawn = [
        scores.structure_boxplot(both, ["cyclemix"], {"cyclemix": "#000000"}, name, ("title", "subtitle"))
        for name in ("LV", "RV")
    ]
    assert [texts(figure)[0] for figure in drawn] == [".850", ".150"]
    assert drawn[0].axes[0].get_xlim() == drawn[1].axes[0].get_xlim()


def test_a_distance_of_zero_has_a_place_on_the_logarithmic_axis() -> None:
    table = per_case_of({"a": 1.0, "b": 1.0}).assign(hd95_mm=[0.0, 4.0])
    figure = scores.boxplot(table, ["cyclemix"], {"cyclemix": "#000000"}, ("title", "subtitle"))
    assert "2.0" in texts(figure)  # the mean counts the zero


def test_curves_take_runs_of_different_length() -> None:
    long = pd.DataFrame(
        {"step": [1, 2, 3], "seconds": [1.0, 2, 3], "loss": [1.0, 0.5, 0.2], "val_dice_avg": [0, 0.5, 0.6]}
    )
    figure = curves.curves({"m": [long, long.head(2)]}, {"m": "#000000"}, ("title", "subtitle"))
    mean = figure.axes[0].lines[0]
    assert list(mean.get_xdata()) == [1, 2, 3]
    assert list(mean.get_ydata()) == [0, 0.5, 0.6]


def test_of_many_methods_the_lines_without_a_colour_lie_grey_behind_the_others() -> None:
    run = pd.DataFrame({"step": [1, 2], "seconds": [1.0, 2], "loss": [1.0, 0.5], "val_dice_avg": [0.1, 0.5]})
    table = pd.DataFrame(
        [(method, "LV", level, "p1", "c1", 0.8) for method in "abc" for level in ("base", "middle", "apex")],
        columns=["method", "structure", "level", "subject", "case", "dice"],
    )
    heading = ("title", "subtitle")
    for figure in (
        curves.curves({label: [run, run] for label in "abc"}, {"a": "#0072b2"}, heading),
        scores.levels(table, ["a", "b", "c"], ["LV"], {"a": "#0072b2"}, heading),
    ):
        assert legend(figure) == {"a": "#0072b2", "2 others": style.OTHERS}
        axes = figure.axes[0]
        assert [to_hex(line.get_color()) for line in axes.lines[:3]] == [style.OTHERS] * 2 + ["#0072b2"]
        assert len(axes.collections) == 1  # the range of the runs, or the intervals, of the one in colour


def test_many_methods_are_told_apart_as_far_as_they_are_shown_side_by_side(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(STUDY, study)
    per_case = runs.table("metrics.csv")
    assert list(figures.line_colours(runs, per_case)) == ["unet_pce", "cyclemix"]
    monkeypatch.setattr(figures, "MOST_LINES", 1)
    monkeypatch.setattr(figures, "MOST_COLUMNS", 1)
    assert list(figures.line_colours(runs, per_case)) == [runs.compare_to]


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("cyclemix_released", "cyclemix\n_released"),
        ("random_walker_dense", "random\n_walker_dense"),
        ("scribble2label", "scribble2label"),
        ("unet_pce", "unet_pce"),
    ],
)
def test_a_long_label_is_parted_near_its_middle(label: str, shown: str) -> None:
    assert style.narrow(label, 13) == shown


def test_a_negative_loss_has_a_linear_axis_and_a_single_validation_is_a_dot() -> None:
    run = pd.DataFrame({"step": [5], "seconds": [1.0], "loss": [-0.5], "val_dice_avg": [0.4]})
    figure = curves.curves({"m": [run]}, {"m": "#000000"}, ("title", "subtitle"))
    assert figure.axes[2].get_yscale() == "linear"
    assert figure.axes[2].lines[0].get_marker() == "o"
    figure = curves.curves({"m": [run.assign(loss=0.5)]}, {"m": "#000000"}, ("title", "subtitle"))
    assert figure.axes[2].get_yscale() == "log"


def test_bland_altman_prints_bias_and_limits() -> None:
    patients = pd.DataFrame(
        {"method": "m", "subject": ["a", "b"], "structure": "LV", "measure": "ef", "unit": "%",
         "pred": [52.0, 58.0], "true": [50.0, 60.0]}
    )  # fmt: skip
    figure = agreement.bland_altman(patients, [("LV", "ef")], ["m"], {"m": "#000000"}, ("title", "subtitle"))
    assert "bias +0.0   limits ±5.5" in texts(figure)  # 1.96 * sqrt(8)


def test_structures_get_colours_of_their_own() -> None:
    colours = style.structure_colours(["LV", "tumour", "spleen"])
    assert colours["LV"] == style.CARDIAC["LV"]
    assert len(set(colours.values())) == 3


def test_numbers_as_tables_print_them() -> None:
    assert [style.number(v) for v in (0.8934, 0.99999, 0.0, float("nan"))] == [".893", "1.00", ".000", "–"]


# The stage


def test_all_figures_are_written_and_the_same_each_time(study: Path, tmp_path: Path) -> None:
    figures.run(study, study / "tiny.yaml", STUDY, tmp_path / "first")
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == [
        "bland_altman.png", "boxplot.html", "boxplot.png", "boxplot.svg", "curves.png", "curves.svg",
        "levels.png", "overlays.png", "overlays_median.html", "overlays_median.png", "structures",
    ]  # fmt: skip
    structures = sorted(path.name for path in (tmp_path / "first" / "structures").iterdir())
    assert structures == ["Avg.png", "LV.png", "MYO.png", "RV.png"]
    with style.styled():
        runs = runs_of(STUDY, study)
        figures.draw_curves(runs, runs.table("metrics.csv"), tmp_path / "second")
    for name in ("curves.png", "curves.svg"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def legend(figure: Figure) -> dict[str, str]:
    """Colours of a figure's legend by label."""
    (found,) = figure.legends
    names = [text.get_text() for text in found.get_texts()]
    return dict(zip(names, [to_hex(line.get_color()) for line in found.get_lines()], strict=True))


def test_the_figures_show_every_row_structure_and_patient(study: Path, drawn: dict[str, Figure]) -> None:
    figures.run(study, study / "tiny.yaml", STUDY, study)
    runs = runs_of(STUDY, study)
    rows = {label: to_hex(figures.colours(runs)[label]) for label in ("unet_pce", "cyclemix")}
    titles = {name: [axes.get_title(loc="left") for axes in figure.axes] for name, figure in drawn.items()}
    # Dice above, HD95 below, one column per structure and one for their average
    assert titles["boxplot"][:4] == ["LV", "MYO", "RV", "Average"]
    assert len(drawn["boxplot"].axes) == 2 * 4
    assert {"LV", "MYO", "RV", "Avg"} <= drawn.keys()
    assert titles["curves"] == ["Validation Dice", "Validation Dice", "Training loss"]
    assert legend(drawn["curves"]) == rows
    assert titles["levels"] == ["LV", "MYO", "RV"]
    assert [tick.get_text() for tick in drawn["levels"].axes[0].get_xticklabels()] == [
        "base",
        "middle",
        "apex",
    ]
    # the one test patient's three slices: image, scribble, truth, and both methods
    (canvas,) = drawn["overlays_median"].axes
    assert len([image for image in canvas.images if image.get_array().ndim == 2]) == 3 * 5
    # one row per measure, one panel per method
    assert len(drawn["bland_altman"].axes) == 3 * 2


def test_a_set_that_is_no_heart_says_why_it_has_no_levels(
    study: Path, tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    runs = runs_of(STUDY, study)
    for label in runs.labels:
        for seed in (0, 1):
            shutil.copytree(runs.folder(label, 0, seed), layout.run_dir(tmp_path, "tiny", label, 0, seed))
            table = layout.run_dir(tmp_path, "tiny", label, 0, seed) / "metrics_by_level.csv"
            table.write_text(",".join(evaluate.LEVEL_COLUMNS) + "\n")
            table.with_name(records.METRICS).unlink()  # it covers another table
    figures.draw_levels(replace(runs, results=tmp_path), runs.table("metrics.csv"), tmp_path)
    assert "Base, middle and apex need LV, MYO and RV; tiny has RV, MYO, LV." in texts(drawn["levels"])
