"""The MLflow mirror and its store: identity of runs, repeats, resumption, outages."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mirrored import (
    TRACKING,
    history_of,
    loss,
    make_run,
    make_study,
    runs_of,
    write_config,
    write_scores,
    write_tables,
    write_training,
)
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.tracking import api
from cyclemix.tracking.store import Store


def contents(results: Path) -> dict[str, Any]:
    """All that the store holds of ``mscmr``, by run name; what is twice shows twice."""
    store = Store(results, TRACKING)
    experiment = store.experiment("mscmr")
    found: dict[str, Any] = {}
    for run in store.client.search_runs([experiment]):
        run_id = run.info.run_id
        files = [info.path for info in store.client.list_artifacts(run_id)]
        files += [info.path for folder in files for info in store.client.list_artifacts(run_id, folder)]
        held = {
            "id": run_id,
            "status": (run.info.status, run.info.start_time, run.info.end_time),
            "points": {key: history_of(results, run, key) for key in run.data.metrics},
            "params": run.data.params,
            "tags": run.data.tags,
            "inputs": len(run.inputs.dataset_inputs),
            "models": [output.model_id for output in run.outputs.model_outputs],
            "files": sorted(set(files)),
        }
        found.setdefault(run.info.run_name, []).append(held)
    models = store.client.search_logged_models([experiment])
    return {**found, "models": [(each.model_id, each.source_run_id) for each in models]}


# The store


def test_init_makes_experiments_that_open_in_the_right_mode(results: Path) -> None:
    api.init(results, TRACKING, ["mscmr"], results / "sentinel.json")
    store = Store(results, TRACKING)
    experiment = store.client.get_experiment_by_name("cyclemix-mscmr")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "cv/dice_mean" in experiment.tags["mlflow.note.content"]
    assert experiment.artifact_location == (results / "mlflow/artifacts/cyclemix-mscmr").as_uri()
    sentinel = json.loads((results / "sentinel.json").read_text())
    assert sentinel["ready"]
    assert sentinel["experiments"] == {"cyclemix-mscmr": experiment.experiment_id}


def test_init_again_keeps_the_store_and_adds_an_experiment(results: Path) -> None:
    before = Store(results, TRACKING).experiment("mscmr")
    api.init(results, TRACKING, ["mscmr", "acdc"], results / "again.json")
    store = Store(results, TRACKING)
    assert store.experiment("mscmr") == before
    sentinel = json.loads((results / "again.json").read_text())
    assert sentinel["experiments"]["cyclemix-acdc"] == store.experiment("acdc")


def test_the_environment_names_the_store_where_the_study_does_not(
    results: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    here = f"sqlite:///{results / 'mlflow/mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", here)
    assert api.mirror_evaluation(other, TRACKING, make_run(other))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert api.mirror_evaluation(other, Tracking(uri=here), make_run(other, seed=2)), "the study wins"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert len(runs_of(results)) == 2


def test_a_store_that_is_not_there_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not api.mirror_evaluation(tmp_path, TRACKING, make_run(tmp_path))
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "no MLflow store; `cyclemix track-sync` creates it again" in message
    assert not (tmp_path / "mlflow").exists()


def test_init_without_its_server_warns_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Tracking(uri="http://me:secret@127.0.0.1:9")
    api.init(tmp_path, nowhere, ["mscmr"], tmp_path / "sentinel.json")
    sentinel = json.loads((tmp_path / "sentinel.json").read_text())
    assert sentinel == {"uri": "http://***@127.0.0.1:9", "ready": False, "experiments": {}}
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "initialising http://***@127.0.0.1:9 failed" in message


def test_no_secret_of_the_environment_or_the_address_is_written_anywhere(
    results: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hunter2-secret")
    make_study(results)
    with api.open_run(results, TRACKING, write_config(results), 0, 9) as mirror:
        mirror.metrics({"loss": 1.0}, 1)
    api.sync(results, TRACKING)
    nowhere = Tracking(uri="http://me:hunter2-secret@127.0.0.1:9")
    assert not api.mirror_evaluation(results, nowhere, make_run(results))
    with api.open_run(results, nowhere, write_config(results), 0, 8) as mirror:
        mirror.metrics({"loss": 1.0}, 1)
    api.init(results, nowhere, ["mscmr"], results / "runs" / "sentinel.json")
    with pytest.raises(ValueError, match=r"http://\*\*\*@127.0.0.1:9: MLflow store not reachable") as refused:
        api.sync(results, nowhere)
    assert "hunter2" not in str(refused.value) + caplog.text
    written = [path for path in results.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert [path for path in written if b"hunter2" in path.read_bytes()] == []


# Evaluations and summaries


def test_an_evaluation_is_mirrored_once_however_often(results: Path) -> None:
    folder = make_run(results)
    for _ in range(2):
        assert api.mirror_evaluation(results, TRACKING, folder)
    (run,) = runs_of(results)
    assert run.info.run_name == "cyclemix-mscmr-f0-s1"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/dice_mean"] == pytest.approx(0.7)
    assert history_of(results, run, "train/loss") == [(step, loss(1, step)) for step in (1, 2, 3)]
    assert history_of(results, run, "test/dice_mean") == [(0, 0.7)]
    assert run.data.params["training.learning_rate"] == "0.00123457"
    assert run.data.tags["provenance.hardware.cores"] == "2"
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mscmr", "d1")
    names = {p.path for p in Store(results, TRACKING).client.list_artifacts(run.info.run_id)}
    assert names == {"config.json", "history.csv", "metrics.csv", "provenance.json"}


def test_a_changed_evaluation_replaces_the_run_and_keeps_its_note(results: Path) -> None:
    api.mirror_evaluation(results, TRACKING, make_run(results))
    (before,) = runs_of(results)
    Store(results, TRACKING).client.set_tag(before.info.run_id, "mlflow.note.content", "look at b")
    api.mirror_evaluation(results, TRACKING, make_run(results, dice=0.5))
    (after,) = runs_of(results)
    assert after.info.run_id != before.info.run_id
    assert history_of(results, after, "test/dice_mean") == [(0, 0.6)]
    assert after.data.tags["mlflow.note.content"] == "look at b"


def test_validation_scores_stand_apart_from_test_scores(results: Path) -> None:
    folder = make_run(results)
    for subjects in ("vw", "ab"):
        write_scores(results, folder, subjects=subjects)
        api.mirror_evaluation(results, TRACKING, folder)
    (run,) = runs_of(results)
    assert {"val_native/dice_mean", "test/dice_mean", "val/dice_avg"} <= set(run.data.metrics)


def test_summaries_and_figures_are_runs_of_their_own(results: Path) -> None:
    for mean in (0.8, 0.81):
        write_tables(results, mean)
        assert api.mirror_summary(results, TRACKING, "mscmr")
        assert api.mirror_figures(results, TRACKING, "mscmr")
    (summary,) = runs_of(results, "summary")
    assert summary.data.metrics["cv/dice_mean"] == 0.81
    (report,) = runs_of(results, "report")
    client = Store(results, TRACKING).client
    assert [p.path for p in client.list_artifacts(report.info.run_id, "figures")] == ["figures/boxplot.png"]


# Everything from the files


def test_sync_mirrors_all_there_is_and_twice_adds_nothing(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cyclemix")
    make_study(results, seeds=2)
    api.sync(results, TRACKING)
    first = contents(results)
    names = ["cyclemix-mscmr", "cyclemix-mscmr-f0-s0", "cyclemix-mscmr-f0-s1", "comparison-mscmr"]
    assert {name: len(first[name]) for name in names} == dict.fromkeys(names, 1)
    assert len(first["models"]) == 1
    assert first["comparison-mscmr"][0]["files"] == [
        "figures", "figures/boxplot.png", "tables", "tables/summary.csv",
    ]  # fmt: skip
    api.sync(results, TRACKING)
    assert contents(results) == first
    assert "4 runs written" in caplog.messages[-2]
    assert "0 runs written" in caplog.messages[-1]


def test_sync_adds_nothing_to_what_the_stages_mirrored(results: Path) -> None:
    make_study(results, seeds=1)
    folder = layout.run_dir(results, "mscmr", "cyclemix", 0, 0)
    assert api.mirror_evaluation(results, TRACKING, folder)
    assert api.mirror_summary(results, TRACKING, "mscmr")
    assert api.mirror_figures(results, TRACKING, "mscmr")
    before = contents(results)
    api.sync(results, TRACKING)
    assert contents(results) == before


def test_sync_makes_a_deleted_store_anew(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Deleted before this process opens it: MLflow holds on to the stores that a process has opened."""
    caplog.set_level(logging.INFO, "cyclemix")
    make_study(results, seeds=1)
    shutil.rmtree(layout.mlflow_dir(results))
    for written in (3, 0):
        done = CliRunner().invoke(app, ["track-sync", "--results", str(results)])
        assert done.exit_code == 0, done.output
        assert f"{written} runs written, all other runs were up to date" in caplog.messages[-1]
    (run,) = runs_of(results)
    assert run.data.metrics["test/dice_mean"] == pytest.approx(0.7)


def test_sync_brings_back_what_somebody_deleted_or_changed(results: Path) -> None:
    make_study(results, seeds=2)
    api.sync(results, TRACKING)
    store = Store(results, TRACKING)
    first, second = sorted(runs_of(results), key=lambda run: run.data.tags["seed"])
    store.client.delete_run(first.info.run_id)
    store.client.log_metric(second.info.run_id, "train/loss", 7.0, step=2)
    shutil.rmtree(layout.mlflow_dir(results) / "artifacts" / "cyclemix-mscmr" / second.info.run_id)
    api.sync(results, TRACKING)
    for run in runs_of(results):
        seed = int(run.data.tags["seed"])
        assert history_of(results, run, "train/loss") == [(step, loss(seed, step)) for step in (1, 2, 3)]
        names = {info.path for info in store.client.list_artifacts(run.info.run_id)}
        assert names == {"config.json", "history.csv", "metrics.csv", "provenance.json"}


def test_sync_removes_a_second_run_of_one_training(results: Path) -> None:
    make_study(results, seeds=1)
    api.sync(results, TRACKING)
    store = Store(results, TRACKING)
    store.create(api.from_files.run_key(write_config(results), 0, 0))
    assert len(runs_of(results)) == 2
    api.sync(results, TRACKING)
    (run,) = runs_of(results)
    assert history_of(results, run, "train/loss") == [(1, 0.01), (2, 0.02), (3, 0.03)]


def test_sync_goes_on_after_a_damaged_file_and_says_so(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_study(results, seeds=2)
    write_training(results, seed=2)
    (layout.run_dir(results, "mscmr", "cyclemix", 0, 0) / "history.csv").write_text("damaged\n1\n")
    (layout.run_dir(results, "mscmr", "cyclemix", 0, 2) / "model.pt").unlink()
    with pytest.raises(ValueError, match=r"1 of 5 could not be mirrored; fix the problems listed above"):
        api.sync(results, TRACKING)
    assert "expected a column 'step', got ['damaged']" in caplog.text
    assert sorted(run.data.tags["seed"] for run in runs_of(results)) == ["1", "2"]


def test_sync_says_which_run_has_a_damaged_provenance(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_training(results)
    (folder / "provenance.json").write_text("{")
    with pytest.raises(ValueError, match="1 of 1 could not be mirrored"):
        api.sync(results, TRACKING)
    assert f"{folder} failed (JSONDecodeError" in caplog.text


def test_sync_gives_up_after_three_failures_in_a_row(
    results: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any) -> None:
        raise ConnectionError("refused")

    for seed in range(5):
        write_training(results, seed)
    monkeypatch.setattr(Store, "sync", refused)
    with pytest.raises(ValueError, match="5 of 5 could not be mirrored"):
        api.sync(results, TRACKING)
    assert caplog.text.count("ConnectionError: refused") == 3


def test_sync_refuses_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run to mirror; expected runs/DATASET/METHOD/config\.json"):
        api.sync(tmp_path, TRACKING)
    assert not (tmp_path / "mlflow").exists()


# Live


def test_a_resumed_training_continues_its_run(results: Path) -> None:
    config = write_config(results)
    for steps in ((1, 2), (2, 3, 4)):  # the second starts from a checkpoint after step 1
        with api.open_run(results, TRACKING, config, 0, 1) as mirror:
            for step in steps:
                mirror.metrics({"loss": 1 / step, "val_dice_avg": 0.5}, step)
    (run,) = runs_of(results)
    assert history_of(results, run, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.3333), (4, 0.25)]
    assert run.data.params["training.learning_rate"] == "0.00123457"
    assert (run.data.params["fold"], run.data.params["seed"]) == ("0", "1")
    assert run.info.status == "FINISHED"


def test_a_training_shows_its_provenance_from_the_start(results: Path) -> None:
    mirror = api.open_run(results, TRACKING, write_config(results), 0, 1)
    mirror.close()
    (run,) = runs_of(results)
    assert run.data.tags["provenance.versions.python"] == sys.version.split()[0]
    assert run.data.tags["provenance.config_digest"] == run.data.tags["config_digest"]
    assert "provenance.data_digest" not in run.data.tags


def test_an_evaluation_completes_what_the_live_mirror_missed(results: Path) -> None:
    folder = write_training(results, steps=4)
    with api.open_run(results, TRACKING, folder.parent / "config.json", 0, 1) as mirror:
        mirror.metrics({"loss": loss(1, 1), "seconds": 2.0, "val_dice_avg": 0.5}, 1)
    (before,) = runs_of(results)
    write_scores(results, folder)
    api.mirror_evaluation(results, TRACKING, folder)
    (after,) = runs_of(results)
    assert after.info.run_id == before.info.run_id
    assert history_of(results, after, "train/loss") == [(step, loss(1, step)) for step in (1, 2, 3, 4)]


def test_a_full_disk_is_one_warning(
    results: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "log", full)
    with api.open_run(results, TRACKING, write_config(results), 0, 1) as mirror:
        mirror.metrics({"loss": 1.0}, 1)
    assert not api.mirror_evaluation(results, TRACKING, make_run(results))
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert all("No space left on device" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        ("locked", r"database is locked\); another program has locked the file: end it .* then repeat"),
        ("damaged", r"file is not a database\); move the file away and repeat"),
    ],
)
def test_sync_gives_advice_that_fits_the_state_of_the_store(results: Path, damage: str, advice: str) -> None:
    make_study(results, seeds=1)
    database = layout.database(results)
    if damage == "damaged":
        database.write_bytes(b"not sqlite " * 100)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        if damage == "locked":
            other.execute("begin exclusive")
        with pytest.raises(ValueError, match=advice):
            api.sync(results, TRACKING)
