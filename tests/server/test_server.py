"""The mirror against a real MLflow server: live curves, a kill in the middle, artifacts through the proxy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from mirrored import loss, make_study, write_config

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.tracking import api
from cyclemix.tracking.store import Store

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])}


class Study:
    """A results folder and its experiment on the server."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.tracking = Tracking(experiment_prefix=results.name)
        self.store = Store(results, self.tracking)

    def runs(self, stage: str = "train") -> list[Any]:
        experiment = self.store.experiment("mscmr")
        return list(
            self.store.client.search_runs([experiment], f"tags.stage LIKE '{stage}'", max_results=1000)
        )

    def history(self, run: Any, key: str) -> list[tuple[int, float]]:
        points = self.store.client.get_metric_history(run.info.run_id, key)
        return sorted((point.step, round(point.value, 4)) for point in points)

    def sync(self) -> int:
        """Runs written by `cyclemix track-sync`."""
        command = [sys.executable, "-m", "cyclemix", "track-sync", "--results", str(self.results)]
        command += ["--tracking", self.tracking.model_dump_json()]
        done = subprocess.run(
            command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = re.search(r"(\d+) runs written", done.stderr)
        assert found, done.stderr
        return int(found[1])


@pytest.fixture
def study(server: Any, tmp_path: Path) -> Study:
    """An empty results folder, mirrored to the server."""
    return Study(tmp_path)


def test_curves_are_there_while_training_goes_on(study: Study) -> None:
    config = write_config(study.results)
    with api.open_run(study.results, study.tracking, config, 0, 1) as mirror:
        mirror.metrics({"loss": 0.5}, 10)
        deadline = time.monotonic() + 60
        while not (runs := [run for run in study.runs() if run.data.metrics]):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (run,) = runs
        assert run.info.status == "RUNNING"
        assert run.data.metrics == {"train/loss": 0.5}
        assert run.data.tags["provenance.versions.python"] == sys.version.split()[0]


def test_a_study_and_its_models_pass_through_the_server(study: Study, server: Any) -> None:
    make_study(study.results, seeds=2)
    assert study.sync() == 4
    first = {run.info.run_name: run.info.run_id for run in study.runs("%")}
    assert len(first) == len(study.runs("%")) == 4
    assert study.sync() == 0
    assert {run.info.run_name: run.info.run_id for run in study.runs("%")} == first
    (model,) = study.store.client.search_logged_models([study.store.experiment("mscmr")])
    assert (model.name, model.source_run_id) == ("cyclemix", first["cyclemix-mscmr"])
    assert not layout.mlflow_dir(study.results).exists(), "clients write no file of the store"
    stored = {path.name for path in (server.folder / "artifacts").rglob("*") if path.is_file()}
    assert {"config.json", "history.csv", "metrics.csv", "boxplot.png", "model.pt", "MLmodel"} <= stored


def test_the_server_listens_to_this_machine_alone_and_refuses_foreign_names(server: Any) -> None:
    command = server.command()
    assert command[command.index("--host") + 1] == "127.0.0.1"
    address = f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(address, timeout=30).ok
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=30).status_code == 403


TRAININGS = """
import multiprocessing, sys
from pathlib import Path
import mlflow  # once, before the fork
from mirrored import loss, write_scores, write_training
from cyclemix.tracking import api as tracking
from cyclemix.config.models import Tracking
from cyclemix.tracking import live

live.RETRY_SECONDS = 1.0
live.LEAST_WAIT_SECONDS = live.MOST_WAIT_SECONDS = 120  # so that a busy machine leaves no call behind
results = Path(sys.argv[1])

def train(seed, barriers):
    config = results / "runs/mscmr/cyclemix/config.json"
    with tracking.open_run(results, Tracking(experiment_prefix=results.name), config, 0, seed) as mirror:
        for step in range(1, 21):
            mirror.metrics({"loss": loss(seed, step), "val_dice_avg": 0.5}, step)
            if step in (8, 14):  # the server is killed after the first stop and back after the second
                for barrier in barriers[step]:
                    barrier.wait()

context = multiprocessing.get_context("fork")
barriers = {step: [context.Barrier(17), context.Barrier(17)] for step in (8, 14)}
workers = [context.Process(target=train, args=(seed, barriers)) for seed in range(16)]
for worker in workers:
    worker.start()
for reached, go_on in barriers.values():
    reached.wait()
    print("stopped", flush=True)
    input()
    go_on.wait()
for worker in workers:
    worker.join()
for seed in range(16):
    write_scores(results, write_training(results, seed, steps=20))
sys.exit(max(worker.exitcode for worker in workers))
"""


def test_sixteen_trainings_outlive_a_killed_server_and_are_complete_after_a_sync(
    study: Study, server: Any
) -> None:
    api.init(study.results, study.tracking, ["mscmr"], study.results / "runs" / "track_init.json")
    write_config(study.results)
    with subprocess.Popen(
        [sys.executable, "-c", TRAININGS, str(study.results)],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as trainings:
        assert trainings.stdin is not None
        assert trainings.stdout is not None
        for action in (server.kill, server.start):
            assert trainings.stdout.readline() == "stopped\n"
            action()
            trainings.stdin.write("\n")
            trainings.stdin.flush()
        assert trainings.wait(300) == 0
    study.sync()
    assert study.sync() == 0
    runs = study.runs()
    assert sorted(int(run.data.tags["seed"]) for run in runs) == list(range(16))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        seed = int(run.data.tags["seed"])
        curve = [(step, loss(seed, step)) for step in range(1, 21)]
        assert study.history(run, "train/loss") == curve
        assert study.history(run, "val/dice_avg") == [(step, 0.5) for step in range(1, 21)]
        assert study.history(run, "test/dice_mean") == [(0, pytest.approx(0.7))]
    assert not study.store.client.search_runs(["0"]), "nothing landed in Default"
