"""Whole studies: killed, stopped, started twice; they go on to the same result."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import stages
import torch
from studies import ROOT, Project, copy_of_project, with_few_hearts

STEPS = 100
STUDY = (
    f"training={{max_steps: {STEPS}, validate_every_steps: 50, batch_size: 2, base_filters: 4, levels: 3, "
    "checkpoint_seconds: 0.5, device: cpu}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
    "methods=[unet_pce]",
)
ONE_CORE = ("--cores", "1")  # the weights' last bits depend on the number of threads
RUN = Path("results/runs/phantom/unet_pce/fold0_seed0")
DEADLINE_S = 120


@pytest.fixture(scope="module")
def project(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project whose small phantom is prepared; what is not disturbed runs warm."""
    project = with_few_hearts(copy_of_project(tmp_path_factory.mktemp("faults"), warm))
    project.snakemake("data", config=STUDY)
    return project


@contextmanager
def training(project: Project, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The study's Snakemake, started on its models, once the training has written a checkpoint."""
    command = [sys.executable, "-m", "snakemake", *ONE_CORE, "models", *options, "--config", *STUDY]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not (project.folder / RUN / "checkpoint.pt").exists():
                assert process.poll() is None, "ended before its first checkpoint" + project.logs()
                assert time.monotonic() < deadline, "no checkpoint in time" + project.logs()
                time.sleep(0.02)
            yield process
        finally:
            if process.poll() is None:
                send(process, signal.SIGKILL)


def send(process: subprocess.Popen[str], number: int) -> None:
    """A signal to a process and all below it, gathered first: a job may have a group of its own.

    The process comes first, so that it never sees a job fail and gives its lock back before its own turn.
    """
    for member in [process, *psutil.Process(process.pid).children(recursive=True)]:
        with suppress(ProcessLookupError):
            os.kill(member.pid, number)


def weights(project: Project) -> dict[str, torch.Tensor]:
    saved = torch.load(project.folder / RUN / "model.pt", weights_only=True)
    return dict(saved["state_dict"])


def test_kill_9_and_sigterm_in_training_then_resume_give_the_same_model(project: Project) -> None:
    with training(project) as process:
        send(process, signal.SIGKILL)
    run = project.folder / RUN
    assert not (run / "model.pt").exists(), "killed before its end"
    stuck = project.snakemake("models", config=STUDY, check=False)
    assert stuck.returncode != 0, "nothing unlocks by itself"
    assert "lock" in stuck.stdout.lower()

    project.snakemake("--unlock", config=STUDY)
    project.snakemake(*ONE_CORE, "models", "--rerun-incomplete", config=STUDY)
    resumed = weights(project)
    check_resumed_once(run)

    shutil.rmtree(run)
    project.snakemake(*ONE_CORE, "models", config=STUDY)
    undisturbed = weights(project)
    assert json.loads((run / "provenance.json").read_text())["resumed_at_steps"] == []
    check_same(resumed, undisturbed)

    interrupted_by_sigterm(project)
    check_resumed_once(run)
    check_same(weights(project), undisturbed)


def interrupted_by_sigterm(project: Project) -> None:
    """As a batch system ends a job: SIGTERM to Snakemake and all below; then the same command again."""
    shutil.rmtree(project.folder / RUN)
    with training(project) as process:
        send(process, signal.SIGTERM)
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1, said
    assert "Will exit after finishing currently running jobs" in said
    log = (project.folder / "results/logs/train/phantom_unet_pce_fold0_seed0.log").read_text()
    assert re.search(r"SIGTERM: checkpoint at step \d+; the same command resumes from it", log), log
    assert not (project.folder / RUN / "model.pt").exists()
    project.snakemake(*ONE_CORE, "models", "--rerun-incomplete", config=STUDY)  # no lock is left


def check_resumed_once(run: Path) -> None:
    told = json.loads((run / "provenance.json").read_text())
    assert 0 < told["resumed_at_steps"][0] < STEPS
    assert told["steps"] == STEPS


def check_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_second_snakemake_is_refused_and_sigterm_to_the_first_lets_its_jobs_finish(
    project: Project, tmp_path: Path
) -> None:
    other = copy_of_project(tmp_path / "other copy", project.python)
    shared = (*STUDY, f"results={project.folder / 'results'}")
    shutil.rmtree(project.folder / RUN, ignore_errors=True)
    with training(project) as process:
        send(process, signal.SIGSTOP)  # so that the first is at work for as long as the second looks
        second = project.snakemake("models", config=STUDY, check=False)
        elsewhere = other.snakemake("models", config=shared, check=False)
        process.terminate()  # Snakemake alone; it takes effect as it continues, before its job can have ended
        send(process, signal.SIGCONT)
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout
    assert elsewhere.returncode == 1
    holder = f"machine {socket.gethostname()}, process {process.pid}, started in {project.folder}"
    assert f"another Snakemake writes to this results folder ({holder}); wait for its end" in elsewhere.stdout
    assert process.returncode == 1, said
    assert "Will exit after finishing currently running jobs" in said
    assert re.search(r"Finished jobid: \d+ \(Rule: train\)", said), said
    assert (project.folder / RUN / "model.pt").exists()
    for either, config in ((project, STUDY), (other, shared)):
        assert either.plan("models", config=config) == {}, "no lock is left, and the first did all of it"


def test_two_trainings_in_one_folder_wait_for_each_other(warm: Path, reference: Any, tmp_path: Path) -> None:
    job = reference.jobs["train"]
    folder = stages.copy(reference.before["train"], tmp_path / "study")
    run = folder / Path(next(name for name in job.made if name.endswith("model.pt"))).parent
    run.mkdir(parents=True, exist_ok=True)
    command = [str(warm), "-m", "cyclemix", *job.arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    both = [tmp_path / "first", tmp_path / "second"]
    waiting = "another training writes to"
    with (run / "train.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = []
        for log in both:
            with log.open("w") as stream:
                processes.append(subprocess.Popen(command, cwd=folder, stderr=stream, env=environment))
        deadline = time.monotonic() + DEADLINE_S
        while not all(waiting in log.read_text() for log in both):
            assert time.monotonic() < deadline, [log.read_text() for log in both]
            time.sleep(0.05)
    assert [process.wait(DEADLINE_S) for process in processes] == [0, 0], [log.read_text() for log in both]
    assert reference.wrong(folder) == []
    assert any("resuming at step 4 of 4" in log.read_text() for log in both), "one found the other's end"


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
