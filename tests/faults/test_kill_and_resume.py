"""A study that is killed at the worst moment goes on to the same result."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from studies import Project, copy_of_project, with_few_hearts

STEPS = 100
STUDY = (
    f"training={{max_steps: {STEPS}, validate_every_steps: 50, batch_size: 2, base_filters: 4, levels: 3, "
    "checkpoint_seconds: 0.5, device: cpu}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
    "methods=[unet_pce]",
)
RUN = Path("results/runs/phantom/unet_pce/fold0_seed0")
DEADLINE_S = 120


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project whose small phantom is prepared."""
    project = with_few_hearts(copy_of_project(tmp_path_factory.mktemp("faults")))
    project.snakemake("data", config=STUDY)
    return project


def killed_once_it_trains(project: Project) -> None:
    """Start the study; kill -9 Snakemake and its jobs once the training has written a checkpoint."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "models", "--config", *STUDY]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not (project.folder / RUN / "checkpoint.pt").exists():
                assert process.poll() is None, "ended before its first checkpoint" + project.logs()
                assert time.monotonic() < deadline, "no checkpoint in time" + project.logs()
                time.sleep(0.02)
        finally:
            # A job may have a process group of its own, so the whole tree is gathered before it falls apart.
            for member in [*psutil.Process(process.pid).children(recursive=True), process]:
                os.kill(member.pid, signal.SIGKILL)


def weights(project: Project) -> dict[str, torch.Tensor]:
    saved = torch.load(project.folder / RUN / "model.pt", weights_only=True)
    return dict(saved["state_dict"])


def test_kill_9_in_training_then_resume_gives_the_same_model(project: Project) -> None:
    killed_once_it_trains(project)
    run = project.folder / RUN
    assert not (run / "model.pt").exists(), "killed before its end"
    stuck = project.snakemake("models", config=STUDY, check=False)
    assert stuck.returncode != 0, "nothing unlocks by itself"
    assert "lock" in stuck.stdout.lower()

    project.snakemake("--unlock", config=STUDY)
    project.snakemake("models", "--rerun-incomplete", config=STUDY)
    resumed = weights(project)
    told = json.loads((run / "provenance.json").read_text())
    assert 0 < told["resumed_at_steps"][0] < STEPS
    assert told["steps"] == STEPS

    shutil.rmtree(run)
    project.snakemake("models", config=STUDY)
    undisturbed = weights(project)
    assert json.loads((run / "provenance.json").read_text())["resumed_at_steps"] == []
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)


def test_a_failing_row_leaves_the_others_running_and_shows_its_log(project: Project) -> None:
    path = project.folder / "cyclemix" / "methods" / "unet_full.py"
    text = path.read_text()
    assert "return {" in text
    try:
        path.write_text(text.replace("return {", 'raise ValueError("this row fails")\n        return {'))
        config = (*STUDY[:2], "methods=[unet_full, unet_pce]")
        options = ("models", "--keep-going", "--workflow-profile", "workflow/profiles/default")
        done = project.snakemake(*options, config=config, check=False)
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert "cyclemix: error: this row fails" in done.stdout
    assert "results/logs/train/phantom_unet_full_fold0_seed0.log" in done.stdout
    assert (project.folder / RUN / "model.pt").exists()
    assert not (project.folder / "results/runs/phantom/unet_full/fold0_seed0/model.pt").exists()
