"""Studies that are submitted to a real SLURM through the profile: one to its end, one that is hindered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from onehost import NODES, Cluster
from studies import Project, copy_of_project, with_few_hearts

PROFILE = "workflow/profiles/slurm"
STEPS = 40
CONFIG = (
    f"training={{max_steps: {STEPS}, validate_every_steps: 20, batch_size: 2, base_filters: 4, levels: 3, "
    "checkpoint_seconds: 3600, device: cpu}",
    "inference={test_time_augmentation: false}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
)
TWIN, FAILING = "unet_pce", "unet_full"
ENDED = {"cancelled": "CANCELLED", "timed_out": "TIMEOUT", "warned": "FAILED"}
"""Rows of the hindered study, each a twin of `TWIN`: how SLURM tells the end of the first job."""

SLOW_STEP = """\
        import pathlib, time
        if pathlib.Path("slow").exists():
            pathlib.Path(f"{self.settings.label}.steps").touch()
            time.sleep(8)
"""
"""Steps take 8 s while a file ``slow`` lies in the project: a checkpoint has to wait for the end of one."""

DEADLINE_S = 600.0


class Submitted(Project):
    """A project and the Snakemake that submits its jobs, as a cluster's user starts it."""

    def submit(self, cluster: Cluster, target: str, *methods: str) -> None:
        command = [sys.executable, "-m", "snakemake", target, "--workflow-profile", PROFILE]
        command += ["--config", *CONFIG, f"methods=[{', '.join(methods)}]"]
        environment = os.environ | {"SLURM_CONF": str(cluster.conf)}
        with (self.folder / "said.log").open("w") as said:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def said(self) -> str:
        return (self.folder / "said.log").read_text()

    def run_folder(self, label: str) -> Path:
        return self.folder / "results" / "runs" / "phantom" / label / "fold0_seed0"

    def wait_for(self, what: str, came: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not came():
            assert time.monotonic() < deadline, f"no {what} in time\n{self.said[-6000:]}{self.logs()}"
            time.sleep(0.5)

    def ended(self) -> int:
        self.wait_for("end", lambda: self.process.poll() is not None)
        return self.process.returncode


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone whose user has edited the profile and has made the data on the login node."""
    project = with_few_hearts(copy_of_project(tmp_path_factory.mktemp("clone")))
    project.edit(f"{PROFILE}/config.yaml", "slurm-status-command: sacct", "slurm-status-command: squeue")
    project.edit(f"{PROFILE}/config.yaml", "restart-times: 3", "restart-times: 1")
    with (project.folder / PROFILE / "config.yaml").open("a") as profile:
        profile.write("slurm-init-seconds-before-status-checks: 2\n")
    project.snakemake("data", config=CONFIG)
    return project


@pytest.fixture(scope="module")
def whole(
    prepared: Project, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Submitted]:
    """A study to its tables, its trainings in one array; runs while the other one is hindered."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    project = Submitted(shutil.copytree(prepared.folder, folder))
    project.edit(f"{PROFILE}/config.yaml", "jobs: 100", "jobs: unlimited")
    project.edit(f"{PROFILE}/config.yaml", "# slurm-array", "slurm-array")
    project.submit(cluster, "all", TWIN, "cyclemix")
    yield project
    project.process.kill()


@pytest.fixture(scope="module")
def hindered(
    prepared: Project, whole: Submitted, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Submitted]:
    """A study's trainings, one that fails and three that SLURM ends early, after Snakemake's end."""
    folder = tmp_path_factory.mktemp("hindered") / "study"
    project = Submitted(shutil.copytree(prepared.folder, folder))
    project.edit(
        "cyclemix/training/engine.py",
        "        self.parts.train()\n",
        f"        self.parts.train()\n{SLOW_STEP}",
    )
    fail = 'raise ValueError("this row fails")\n        return {'
    project.edit(f"cyclemix/methods/{FAILING}.py", "return {", fail)
    with (folder / "config" / "methods.yaml").open("a") as blocks:
        for label in ENDED:
            blocks.write(f"\n{label}:\n  method: {TWIN}\n  supervision: scribble\n  summary: a twin\n")
    (folder / "slow").touch()
    project.submit(cluster, "models", FAILING, *ENDED)
    for label, command in {
        "cancelled": "scancel {id}",
        "timed_out": "scontrol update JobId={id} EndTime=now",
        # Less is left than the profile's lead time, and more than SLURM's next look at the clock.
        "warned": "scontrol update JobId={id} EndTime=now+110",
    }.items():
        project.wait_for(f"step of {label}", (folder / f"{label}.steps").exists)
        job = cluster.jobs(folder, f"_{label}_0_0")[0]["JobId"]
        # SLURM refuses an end that a busy second has made past, so it is asked until it agrees.
        project.wait_for(f"end of {label}", partial(cluster.did, *command.format(id=job).split()))
    project.wait_for("end of the first jobs", lambda: first_ends(cluster, project) == ENDED)
    (folder / "slow").unlink()
    project.ended()
    yield project
    project.process.kill()


def first_ends(cluster: Cluster, project: Project) -> dict[str, str]:
    return {label: states(cluster, project, label)[0] for label in ENDED}


def states(cluster: Cluster, project: Project, label: str) -> list[str]:
    return [job["JobState"] for job in cluster.jobs(project.folder, f"_{label}_0_0")]


def weights(project: Submitted, label: str) -> dict[str, torch.Tensor]:
    return dict(torch.load(project.run_folder(label) / "model.pt", weights_only=True)["state_dict"])


def test_a_failing_training_leaves_the_others_running_and_shows_its_logs(
    hindered: Submitted, cluster: Cluster
) -> None:
    assert hindered.process.returncode != 0
    assert states(cluster, hindered, FAILING) == ["FAILED", "FAILED"], "tried again once, as the profile says"
    assert "cyclemix: error: this row fails" in hindered.said
    assert f"results/logs/train/phantom_{FAILING}_fold0_seed0.log" in hindered.said
    job = cluster.jobs(hindered.folder, f"_{FAILING}_0_0")[-1]["JobId"]
    log = (
        hindered.folder
        / "results"
        / "logs"
        / "slurm"
        / "rule_train"
        / f"phantom_{FAILING}_0_0"
        / f"{job}.log"
    )
    assert str(log) in hindered.said
    assert log.stat().st_size
    for label in ENDED:
        assert (hindered.run_folder(label) / "model.pt").exists()


@pytest.mark.parametrize("label", ENDED)
def test_a_training_that_was_ended_early_is_resubmitted_and_goes_on_from_sigterm(
    hindered: Submitted, cluster: Cluster, label: str
) -> None:
    """No checkpoint is due by the clock, so there is only the one that SIGTERM asked for."""
    assert states(cluster, hindered, label) == [ENDED[label], "COMPLETED"]
    told = json.loads((hindered.run_folder(label) / "provenance.json").read_text())
    assert told["steps"] == STEPS
    (resumed_at,) = told["resumed_at_steps"]
    assert 0 < resumed_at < STEPS


def test_the_whole_study_went_through_slurm(whole: Submitted, cluster: Cluster) -> None:
    assert whole.ended() == 0, whole.said[-6000:] + whole.logs()
    assert (whole.folder / "results" / "tables" / "phantom" / "comparison.html").stat().st_size
    jobs = cluster.jobs(whole.folder)
    found = sorted(
        (job["Comment"].split("_")[1], job["Partition"], job.get("TresPerJob", "")) for job in jobs
    )
    gpu = "gres:gpu:1"
    assert found == [
        *[("evaluate", "cpu", "")] * 2, ("figures", "cpu", ""), *[("predict", "gpu", gpu)] * 2,
        *[("run", "cpu", "")] * 2, ("tabulate", "cpu", ""), *[("train", "gpu", gpu)] * 2,
    ]  # fmt: skip
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    trainings = cluster.jobs(whole.folder, "rule_train")
    assert {job["ArrayTaskId"] for job in trainings} == {"1", "2"}
    assert len({job["ArrayJobId"] for job in trainings}) == 1


def test_both_nodes_train(hindered: Submitted, whole: Submitted, cluster: Cluster) -> None:
    for project in (hindered, whole):
        assert {job["NodeList"] for job in cluster.jobs(project.folder)} == {*NODES}
    assert {job["NodeList"] for job in cluster.jobs(hindered.folder, "rule_train")} == {*NODES}


@pytest.mark.parametrize("label", ENDED)
def test_an_early_end_does_not_change_the_model(hindered: Submitted, whole: Submitted, label: str) -> None:
    assert whole.ended() == 0
    assert json.loads((whole.run_folder(TWIN) / "provenance.json").read_text())["resumed_at_steps"] == []
    resumed, undisturbed = weights(hindered, label), weights(whole, TWIN)
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)
