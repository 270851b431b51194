"""The MLflow mirror: identity of runs, repeats, resumption, outages, parallel writers."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclemix import layout, tracking
from cyclemix.config import Tracking
from cyclemix.mirror import files, record, uri
from cyclemix.mirror.live import RunMirror
from cyclemix.mirror.record import RunKey, RunRecord

TRACKING = Tracking()
KEY = RunKey("mscmr", "cyclemix", 0, 1, "abc")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised store without experiments; copying it is 50 times as fast as making one."""
    results = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{layout.mlflow_dir(results) / 'mlflow.db'}"
    tracking.init(results, Tracking(uri=store), [], results / "sentinel.json")
    return layout.mlflow_dir(results)


@pytest.fixture
def results(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with a store and the experiment of ``mscmr``."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(empty_store, layout.mlflow_dir(tmp_path))
    tracking.init(tmp_path, TRACKING, ["mscmr"], tmp_path / "mlflow" / "initialised.json")
    return tmp_path


def make_run(results: Path, steps: int = 3, dice: float = 0.9) -> Path:
    """A finished and evaluated run; returns its folder."""
    folder = layout.run_dir(results, "mscmr", "cyclemix", 0, 1)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "label": "cyclemix",
        "dataset": "mscmr",
        "training": {"learning_rate": 0.0012345678, "levels": [1, 2]},
    }
    (folder.parent / "config.json").write_text(json.dumps(config))
    rows = [f"{s},{32 * s},{2 * s},{1 / s:.6g},0.5" for s in range(1, steps + 1)]
    (folder / "history.csv").write_text("\n".join(["step,images,seconds,loss,val_dice_avg", *rows]) + "\n")
    (folder / "provenance.json").write_text(
        json.dumps({"commit": "c0ffee", "data_digest": "d1", "hardware": {"cores": 2}})
    )
    lines = ["case,subject,structure,dice,hd_mm,hd95_mm,assd_mm,volume_pred_ml,volume_true_ml,missed"]
    lines += [f"a_ED,a,LV,{dice},4,2,1,1,1,0", "a_ES,a,LV,0.7,8,4,3,1,1,0", "b_ED,b,LV,0.6,30,30,30,0,1,1"]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def runs_of(results: Path, stage: str = "train") -> list[Any]:
    store = tracking.Store(results, TRACKING)
    return store.client.search_runs([store.experiment("mscmr")], f"tags.stage = '{stage}'")


def history_of(results: Path, run: Any, key: str) -> list[tuple[int, float]]:
    points = tracking.Store(results, TRACKING).client.get_metric_history(run.info.run_id, key)
    return sorted((point.step, round(point.value, 4)) for point in points)


# Names and values


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
    scores = files.read_scores(make_run(tmp_path) / "metrics.csv", "test")
    assert scores["test/dice_LV"] == pytest.approx((0.8 + 0.6) / 2)
    assert scores["test/hd95_mm_mean"] == pytest.approx((3 + 30) / 2)
    assert scores["test/missed"] == 1


def test_read_run_refuses_another_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder fold<F>_seed<S> beside a config.json"):
        files.read_run(tmp_path / "predictions")


def test_summary_runs_hold_the_values_of_the_table(tmp_path: Path) -> None:
    folder = layout.table_dir(tmp_path, "mscmr")
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(
        "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs\n"
        "mscmr,cyclemix,scribble,LV,dice,0.9,0.02,0.88,0.92,5,0,3\n"
        "mscmr,cyclemix,scribble,Avg,dice,0.87,0.03,0.84,0.9,5,2,3\n"
        "mscmr,cyclemix,scribble,Avg,hd95_mm,6.5,1.5,5,8,5,2,3\n"
        "mscmr,cyclemix,scribble,Avg,assd_mm,1.5,0.5,1,2,5,2,3\n"
    )
    (summary,) = files.read_summary(tmp_path, "mscmr")
    assert {name: points[0] for name, points in summary.metrics.items()} == {
        "cv/dice_LV": 0.9, "cv/dice_mean": 0.87, "cv/dice_std": 0.03, "cv/missed": 2.0,
        "cv/hd95_mm_mean": 6.5, "cv/hd95_mm_std": 1.5,
    }  # fmt: skip
    assert summary.params["n_runs"] == "3"


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


def test_uris_are_shown_without_credentials(tmp_path: Path) -> None:
    assert (
        uri.without_password("no https://me:secret@host:5000/x today") == "no https://***@host:5000/x today"
    )
    assert uri.without_password("sqlite:////a/b.db") == "sqlite:////a/b.db"
    assert uri.sqlite_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert uri.sqlite_file("http://host") is None
    assert not uri.initialised(tmp_path / "absent.db")


# The store


def test_init_makes_experiments_that_open_in_the_right_mode(results: Path) -> None:
    store = tracking.Store(results, TRACKING)
    experiment = store.client.get_experiment_by_name("cyclemix-mscmr")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "cv/dice_mean" in experiment.tags["mlflow.note.content"]
    assert experiment.artifact_location == (results / "mlflow/artifacts/cyclemix-mscmr").as_uri()
    sentinel = json.loads((results / "mlflow/initialised.json").read_text())
    assert sentinel["ready"]
    assert sentinel["experiments"] == {"cyclemix-mscmr": experiment.experiment_id}


def test_init_again_keeps_the_store_and_adds_an_experiment(results: Path) -> None:
    before = tracking.Store(results, TRACKING).experiment("mscmr")
    tracking.init(results, TRACKING, ["mscmr", "acdc"], results / "again.json")
    store = tracking.Store(results, TRACKING)
    assert store.experiment("mscmr") == before
    assert json.loads((results / "again.json").read_text())["experiments"][
        "cyclemix-acdc"
    ] == store.experiment("acdc")


def test_the_environment_names_the_store_where_the_study_does_not(
    results: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{results / 'mlflow/mlflow.db'}")
    assert tracking.mirror_evaluation(other, TRACKING, make_run(other), "test")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert len(runs_of(results)) == 1


def test_a_store_that_is_not_there_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not tracking.mirror_evaluation(tmp_path, TRACKING, make_run(tmp_path), "test")
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "no MLflow store; run `cyclemix track-init`" in message
    assert not (tmp_path / "mlflow").exists()


def test_init_without_its_server_warns_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    tracking.init(
        tmp_path, Tracking(uri="http://me:secret@127.0.0.1:9"), ["mscmr"], tmp_path / "sentinel.json"
    )
    assert time.monotonic() - started < 20
    sentinel = json.loads((tmp_path / "sentinel.json").read_text())
    assert sentinel == {"uri": "http://***@127.0.0.1:9", "ready": False, "experiments": {}}
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "initialising http://***@127.0.0.1:9 failed" in message
    assert "secret" not in caplog.text


# Evaluations and summaries


def test_an_evaluation_is_mirrored_once_however_often(results: Path) -> None:
    folder = make_run(results)
    for _ in range(2):
        assert tracking.mirror_evaluation(results, TRACKING, folder, "test")
    (run,) = runs_of(results)
    assert run.info.run_name == "cyclemix-mscmr-f0-s1"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/dice_mean"] == pytest.approx(0.7)
    assert history_of(results, run, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.3333)]
    assert history_of(results, run, "test/dice_mean") == [(0, 0.7)]
    assert run.data.params["training.learning_rate"] == "0.00123457"
    assert run.data.tags["provenance.hardware.cores"] == "2"
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mscmr", "d1")
    names = {p.path for p in tracking.Store(results, TRACKING).client.list_artifacts(run.info.run_id)}
    assert names == {"config.json", "history.csv", "metrics.csv", "provenance.json"}


def test_a_changed_evaluation_replaces_the_run_and_keeps_its_note(results: Path) -> None:
    tracking.mirror_evaluation(results, TRACKING, make_run(results), "test")
    (before,) = runs_of(results)
    tracking.Store(results, TRACKING).client.set_tag(before.info.run_id, "mlflow.note.content", "look at b")
    tracking.mirror_evaluation(results, TRACKING, make_run(results, dice=0.5), "test")
    (after,) = runs_of(results)
    assert after.info.run_id != before.info.run_id
    assert history_of(results, after, "test/dice_mean") == [(0, 0.6)]
    assert after.data.tags["mlflow.note.content"] == "look at b"


def test_validation_scores_stand_apart_from_test_scores(results: Path) -> None:
    folder = make_run(results)
    tracking.mirror_evaluation(results, TRACKING, folder, "val")
    tracking.mirror_evaluation(results, TRACKING, folder, "test")
    (run,) = runs_of(results)
    assert {"val_native/dice_mean", "test/dice_mean", "val/dice_avg"} <= set(run.data.metrics)


def test_summaries_and_figures_are_runs_of_their_own(results: Path) -> None:
    tables, figures = layout.table_dir(results, "mscmr"), layout.figure_dir(results, "mscmr")
    tables.mkdir(parents=True)
    figures.mkdir(parents=True)
    (figures / "boxplot.png").write_bytes(b"png")
    header = "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs\n"
    for mean in (0.8, 0.81):
        (tables / "summary.csv").write_text(f"{header}mscmr,m,scribble,Avg,dice,{mean},0.1,0.7,0.9,5,0,1\n")
        assert tracking.mirror_summary(results, TRACKING, "mscmr")
        assert tracking.mirror_figures(results, TRACKING, "mscmr")
    (summary,) = runs_of(results, "summary")
    assert summary.data.metrics["cv/dice_mean"] == 0.81
    (report,) = runs_of(results, "report")
    client = tracking.Store(results, TRACKING).client
    assert [p.path for p in client.list_artifacts(report.info.run_id, "figures")] == ["figures/boxplot.png"]


# Live


def test_a_resumed_training_continues_its_run(results: Path) -> None:
    config = make_run(results).parent / "config.json"
    for steps in ((1, 2), (2, 3, 4)):  # the second starts from a checkpoint after step 1
        with tracking.open_run(results, TRACKING, config, 0, 1, {"commit": "c0ffee"}) as mirror:
            mirror.params({"training": {"learning_rate": 0.0012345678}})
            for step in steps:
                mirror.metrics({"loss": 1 / step, "val_dice_avg": 0.5}, step)
    (run,) = runs_of(results)
    assert history_of(results, run, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.3333), (4, 0.25)]
    assert run.info.status == "FINISHED"


def test_an_evaluation_completes_what_the_live_mirror_missed(results: Path) -> None:
    folder = make_run(results, steps=4)
    with tracking.open_run(results, TRACKING, folder.parent / "config.json", 0, 1) as mirror:
        mirror.metrics({"loss": 1.0, "seconds": 2.0, "val_dice_avg": 0.5}, 1)
    (before,) = runs_of(results)
    tracking.mirror_evaluation(results, TRACKING, folder, "test")
    (after,) = runs_of(results)
    assert after.info.run_id == before.info.run_id
    assert history_of(results, after, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.3333), (4, 0.25)]


class FakeStore:
    """Remembers calls; fails the first ``failures`` times that something is logged."""

    def __init__(self, held: dict[str, list[tuple[int, float]]] | None = None, failures: int = 0) -> None:
        self.held, self.failures = held, failures
        self.failed = threading.Event()
        self.calls: list[tuple[str, Any]] = []
        self.client = SimpleNamespace(
            update_run=lambda *a, **k: self.calls.append(("update", k)),
            set_terminated=lambda run, status: self.calls.append(("end", status)),
        )

    def find(self, key: RunKey) -> Any:
        if self.held is None:
            return None
        data = SimpleNamespace(params={}, metrics=dict.fromkeys(self.held, 0.0))
        return SimpleNamespace(info=SimpleNamespace(run_id="old"), data=data)

    def create(self, key: RunKey) -> str:
        self.calls.append(("create", key.name))
        return "new"

    def retire(self, run_id: str) -> None:
        self.calls.append(("retire", run_id))

    def history(self, run: Any, keys: list[str]) -> dict[str, list[tuple[int, float]]]:
        return {key: (self.held or {})[key] for key in keys}

    def log(self, run_id: str, points: Any = (), params: Any = None, tags: Any = None) -> None:
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise ConnectionError("no route")
        self.calls.append((run_id, [(key, step) for key, step, _, _ in points]))

    @property
    def points(self) -> list[tuple[str, int]]:
        return [point for name, value in self.calls if name in ("old", "new") for point in value]


def test_a_training_that_starts_again_replaces_its_run() -> None:
    store = FakeStore({"train/loss": [(10, 1.0), (20, 0.5)]})
    mirror = RunMirror(KEY, lambda: store)
    mirror.metrics({"loss": 2.0}, 10)
    mirror.close()
    assert ("retire", "old") in store.calls
    assert store.points == [("train/loss", 10)]
    assert ("end", "FINISHED") in store.calls


def test_an_outage_is_one_warning_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore(failures=1)
    mirror = RunMirror(KEY, lambda: store)
    mirror.metrics({"loss": 1.0}, 0)
    assert store.failed.wait(10)
    for step in range(1, 50):
        mirror.metrics({"loss": 1.0}, step)
    mirror.close("KILLED")  # tries once more
    assert [step for _, step in store.points] == list(range(50))
    assert store.calls[-1] == ("end", "KILLED")
    assert len([r for r in caplog.records if "training goes on" in r.getMessage()]) == 1


def test_a_dead_store_never_raises_nor_delays(caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> FakeStore:
        raise ConnectionError("refused")

    mirror = RunMirror(KEY, connect)
    started = time.monotonic()
    for step in range(1000):
        mirror.metrics({"loss": 1.0}, step)
    mirror.close("FAILED")
    mirror.close("FAILED")
    assert time.monotonic() - started < 3
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert "ConnectionError: refused" in caplog.text


def test_an_error_in_the_block_ends_the_run_as_failed() -> None:
    store = FakeStore()
    with pytest.raises(FloatingPointError), RunMirror(KEY, lambda: store):
        raise FloatingPointError("step 3")
    assert ("end", "FAILED") in store.calls


PARALLEL = """
import multiprocessing, sys
from pathlib import Path
import mlflow  # once, before the fork: importing it eight times would be most of the test
from cyclemix import tracking
from cyclemix.config import Tracking
from cyclemix.mirror import live

live.PATIENCE_SECONDS = 300  # a busy machine shall not fail the test

def train(seed):
    config = Path(sys.argv[1]) / "runs/mscmr/cyclemix/config.json"
    with tracking.open_run(sys.argv[1], Tracking(), config, 0, seed) as mirror:
        for step in range(1, 26):
            mirror.metrics({"loss": seed + step / 100, "lr": 0.1, "val_dice_avg": 0.5}, step)

context = multiprocessing.get_context("fork")
workers = [context.Process(target=train, args=(seed,)) for seed in range(8)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(max(worker.exitcode for worker in workers))
"""


def test_eight_trainings_at_once_lose_no_run_and_no_metric(results: Path) -> None:
    make_run(results)
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, str(results)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = runs_of(results)
    assert sorted(run.data.tags["seed"] for run in runs) == [str(seed) for seed in range(8)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        seed = int(run.data.tags["seed"])
        expected = [(step, round(seed + step / 100, 4)) for step in range(1, 26)]
        assert history_of(results, run, "train/loss") == expected
        assert len(history_of(results, run, "val/dice_avg")) == 25
    store = tracking.Store(results, TRACKING)
    assert not store.client.search_runs(["0"])  # nothing landed in Default


FORGETFUL = """
from types import SimpleNamespace
from cyclemix.mirror.live import RunMirror
from cyclemix.mirror.record import RunKey

ends = SimpleNamespace(set_terminated=lambda run, status: print(run, status, flush=True))
store = SimpleNamespace(client=ends, find=lambda key: None, create=lambda key: "r1", log=lambda *given: None)
RunMirror(RunKey("d", "m", 0, 0), lambda: store).metrics({"loss": 1.0}, 1)
"""


def test_a_process_that_ends_without_a_word_leaves_no_running_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "r1 KILLED\n"
