"""Many trainings write to one MLflow store at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mirrored import TRACKING, history_of, loss, runs_of, write_config, write_scores, write_training

from cyclemix.tracking import api
from cyclemix.tracking.store import Store

PARALLEL = """
import multiprocessing, sys
from contextlib import closing
from pathlib import Path
import alembic.command  # once, before the fork: importing them sixteen times would be most of the test
import mlflow.store.tracking.sqlalchemy_store
from mirrored import loss
from cyclemix.tracking import api as tracking
from cyclemix.config.models import Tracking
from cyclemix.tracking import live

live.LEAST_WAIT_SECONDS = live.MOST_WAIT_SECONDS = 300  # a busy machine shall not fail the test

def train(seed):
    config = Path(sys.argv[1]) / "runs/mscmr/cyclemix/config.json"
    with tracking.open_run(sys.argv[1], Tracking(), config, 0, seed) as mirror:
        for step in range(1, 21):
            mirror.metrics({"loss": loss(seed, step), "val_dice_avg": 0.5}, step)

context = multiprocessing.get_context("fork")
workers = [context.Process(target=train, args=(seed,)) for seed in range(16)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(max(worker.exitcode for worker in workers))
"""


def test_sixteen_trainings_at_once_lose_no_run_and_no_metric(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    api.init(results, TRACKING, ["mscmr"], results / "runs" / "track_init.json")
    write_config(results)
    paths = [str(repository), str(repository / "tests" / "helpers")]
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, str(results)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = runs_of(results)
    assert sorted(int(run.data.tags["seed"]) for run in runs) == list(range(16))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        seed = int(run.data.tags["seed"])
        assert history_of(results, run, "train/loss") == [(step, loss(seed, step)) for step in range(1, 21)]
        assert len(history_of(results, run, "val/dice_avg")) == 20
    assert not Store(results, TRACKING).client.search_runs(["0"])  # nothing landed in Default
    live = {run.info.run_id for run in runs}
    for seed in range(16):
        write_scores(results, write_training(results, seed, steps=20))
    api.sync(results, TRACKING)
    assert {run.info.run_id for run in runs_of(results)} == live, "the files agree with what was seen live"
