"""What the MLflow mirror reads from the files: names, values, contradictions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from mirrored import SUMMARY, loss, make_run, make_study, write_config, write_scores

from cyclemix.files import layout
from cyclemix.report.plots.style import ANCHORS, EMPHASIS
from cyclemix.tracking import from_files, record, sqlite
from cyclemix.tracking.record import RunKey, RunRecord

KEY = RunKey("mscmr", "cyclemix", 0, 1, "abc")


def test_a_run_is_named_and_tagged_by_what_it_trains() -> None:
    assert KEY.name == "cyclemix-mscmr-f0-s1"
    assert KEY.tags == {
        "stage": "train", "dataset": "mscmr", "method": "cyclemix", "fold": "0", "seed": "1",
        "config_digest": "abc",
    }  # fmt: skip
    assert RunKey("mscmr", "cyclemix", stage="summary").name == "cyclemix-mscmr"


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("loss", "train/loss"),
        ("lr", "train/lr"),
        ("val_dice_LV", "val/dice_LV"),
        ("test/dice_mean", "test/dice_mean"),
    ],
)
def test_history_columns_go_under_the_prefixes_that_chart_sections_follow(column: str, key: str) -> None:
    assert record.metric_key(column) == key


def test_parameters_are_flat_and_rounded_and_points_are_finite() -> None:
    flat = record.flatten({"a": {"lr": 0.00123456789}, "b": [1, 0.5], "c": None, "d": True})
    assert flat == {"a.lr": "0.00123457", "b": "1, 0.5", "c": "None", "d": "True"}
    assert record.finite({"loss": 2, "val_dice_avg": float("nan"), "x": float("inf"), "ok": True}) == {
        "train/loss": 2.0
    }


def test_scores_average_frames_then_patients(tmp_path: Path) -> None:
    scores = from_files.read_scores(make_run(tmp_path) / "metrics.csv", "test")
    assert scores["test/dice_LV"] == pytest.approx((0.8 + 0.6) / 2)
    assert scores["test/hd95_mm_mean"] == pytest.approx((3 + 30) / 2)
    assert scores["test/missed"] == 1


def test_a_run_shows_its_curves_over_steps_and_its_scores_at_step_0(tmp_path: Path) -> None:
    shown = from_files.read_run(tmp_path, make_run(tmp_path))
    assert shown.metrics["train/loss"] == {step: loss(1, step) for step in (1, 2, 3)}
    assert shown.metrics["test/dice_mean"] == {0: pytest.approx(0.7)}
    assert shown.seconds == {1: 2.0, 2: 4.0, 3: 6.0}
    assert shown.tags["evaluated_on"] == "test"


def test_scores_of_validation_subjects_stand_apart(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    write_scores(tmp_path, folder, subjects="vw")
    shown = from_files.read_run(tmp_path, folder)
    assert shown.tags["evaluated_on"] == "val"
    assert {"val_native/dice_mean", "val/dice_avg"} <= set(shown.metrics)
    assert not any(name.startswith("test/") for name in shown.metrics)


def test_scores_of_unknown_subjects_are_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    write_scores(tmp_path, folder, subjects="ax")
    with pytest.raises(ValueError, match=r"metrics\.csv: expected subjects of one list of fold 0.*got a, x"):
        from_files.read_run(tmp_path, folder)


def test_read_run_refuses_another_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder fold<F>_seed<S> beside a config.json"):
        from_files.read_run(tmp_path, tmp_path / "predictions")


def test_summary_runs_hold_the_values_of_the_table(tmp_path: Path) -> None:
    folder = layout.table_dir(tmp_path, "mscmr")
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(
        SUMMARY + "mscmr,cyclemix,scribble,LV,dice,0.9,0.02,0.88,0.92,5,0,3\n"
        "mscmr,cyclemix,scribble,Avg,dice,0.87,0.03,0.84,0.9,5,2,3\n"
        "mscmr,cyclemix,scribble,Avg,hd95_mm,6.5,1.5,5,8,5,2,3\n"
        "mscmr,cyclemix,scribble,Avg,assd_mm,1.5,0.5,1,2,5,2,3\n"
    )
    (summary,) = from_files.read_summary(tmp_path, "mscmr")
    assert {name: points[0] for name, points in summary.metrics.items()} == {
        "cv/dice_LV": 0.9, "cv/dice_mean": 0.87, "cv/dice_std": 0.03, "cv/missed": 2.0,
        "cv/hd95_mm_mean": 6.5, "cv/hd95_mm_std": 1.5,
    }  # fmt: skip
    assert summary.params["n_runs"] == "3"
    assert summary.best is None


def test_runs_of_an_earlier_configuration_are_left_out(tmp_path: Path) -> None:
    make_study(tmp_path, seeds=2)
    assert len(from_files.finished_runs(tmp_path, "mscmr")) == 2
    config = write_config(tmp_path)
    config.write_text(json.dumps({**json.loads(config.read_text()), "training": {"learning_rate": 1}}))
    assert from_files.finished_runs(tmp_path, "mscmr") == []
    assert from_files.best_model(tmp_path, "mscmr", "cyclemix") is None


def test_provenance_is_known_from_the_start_but_for_the_data(tmp_path: Path) -> None:
    early = from_files.early_provenance(write_config(tmp_path))
    assert {"commit", "dirty", "code_digest", "config_digest", "lock_digest", "hardware", "versions"} == set(
        early
    )


def test_a_run_contradicts_its_files_by_value_by_step_or_by_a_point_twice() -> None:
    shown = RunRecord(KEY, params={"lr": "0.1"}, metrics={"train/loss": {1: 0.5, 2: 0.25}})
    assert not record.contradicts(shown, {"lr": "0.1", "other": "1"}, {"train/loss": [(1, 0.50001)]})
    assert record.contradicts(shown, {"lr": "0.2"}, {})
    assert record.contradicts(shown, {}, {"train/loss": [(1, 0.6)]})
    assert record.contradicts(shown, {}, {"train/loss": [(3, 0.1)]})
    assert record.contradicts(shown, {}, {"train/loss": [(1, 0.5), (1, 0.5)]})


def test_missing_points_carry_the_time_of_their_step() -> None:
    shown = RunRecord(KEY, metrics={"train/loss": {1: 0.5, 2: 0.25}}, seconds={2: 4.0}, started=100.0)
    assert record.missing_points(shown, {"train/loss": [(1, 0.5)]}) == [("train/loss", 2, 0.25, 104_000)]


def test_a_sqlite_uri_names_its_file(tmp_path: Path) -> None:
    assert sqlite.sqlite_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite.sqlite_file("http://host") is None
    assert not sqlite.initialised(tmp_path / "absent.db")


def test_summary_runs_have_the_figures_colours(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": ["a", "a", "b"], "supervision": ["scribble", "scribble", "full"]})
    pd.DataFrame({"compare_to": ["a"]}).to_csv(tmp_path / "significance.csv")
    assert from_files._colours(tmp_path / "summary.csv", table) == {"a": EMPHASIS, "b": ANCHORS[0]}
