"""Studies that are submitted to a real SLURM through the profile: one to its end, one that is hindered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from onehost import NODES, Cluster
from studies import Project, copy_of_project, with_few_hearts

PROFILE = "workflow/profiles/slurm"
STEPS = 160
CONFIG = (
    f"training={{max_steps: {STEPS}, validate_every_steps: 80, batch_size: 2, base_filters: 4, levels: 3, "
    "checkpoint_seconds: 2, device: cpu}",
    "inference={flip_average: false}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
)
FAILING, TIMED_OUT, WARNED, CANCELLED = "unet_full", "unet_pce", "cyclemix", "cyclemix_1"
"""What happens to which training of the hindered study."""

DEADLINE_S = 300.0


class Submitted(Project):
    """A project and the Snakemake that submits its jobs, as a cluster's user starts it."""

    def submit(self, target: str, *methods: str) -> None:
        command = [sys.executable, "-m", "snakemake", target, "--workflow-profile", PROFILE]
        command += ["--config", *CONFIG, f"methods=[{', '.join(methods)}]"]
        with (self.folder / "said.log").open("w") as said:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return (self.folder / "said.log").read_text()

    def run_folder(self, label: str) -> Path:
        return self.folder / "results" / "runs" / "phantom" / label / "fold0_seed0"

    def train_log(self, label: str) -> str:
        path = self.folder / "results" / "logs" / "train" / f"phantom_{label}_fold0_seed0.log"
        return path.read_text() if path.exists() else ""

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
def whole(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitted]:
    """A study to its tables, its trainings in one array; runs while the other one is hindered."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    project = Submitted(shutil.copytree(prepared.folder, folder))
    project.edit(f"{PROFILE}/config.yaml", "jobs: 100", "jobs: unlimited")
    project.edit(f"{PROFILE}/config.yaml", "# slurm-array", "slurm-array")
    project.submit("all", TIMED_OUT, WARNED)
    yield project
    project.process.kill()


@pytest.fixture(scope="module")
def hindered(
    prepared: Project, whole: Submitted, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Submitted]:
    """A study's trainings, one that fails and three that SLURM ends early, after Snakemake's end.

    While a file ``slow`` lies in the project, a step takes 0.4 s, so that there is time to hinder.
    """
    folder = tmp_path_factory.mktemp("hindered") / "study"
    project = Submitted(shutil.copytree(prepared.folder, folder))
    step = "        self.parts.train()\n"
    pause = "        __import__('time').sleep(0.4 if __import__('os').path.exists('slow') else 0)\n"
    project.edit("cyclemix/engine.py", step, step + pause)
    fail = 'raise ValueError("this row fails")\n        return {'
    project.edit(f"cyclemix/methods/{FAILING}.py", "return {", fail)
    (folder / "slow").touch()
    project.submit("models", FAILING, TIMED_OUT, WARNED, CANCELLED)
    for label, command in {
        CANCELLED: "scancel {id}",
        TIMED_OUT: "scontrol update JobId={id} EndTime=now",
        # Less is left than the profile's lead time, and more than SLURM's next look at the clock.
        WARNED: "scontrol update JobId={id} EndTime=now+110",
    }.items():
        project.wait_for(f"checkpoint of {label}", (project.run_folder(label) / "checkpoint.pt").exists)
        job = cluster.jobs(folder, f"_{label}_0_0")[0]["JobId"]
        subprocess.run(command.format(id=job).split(), check=True)
    for label in (CANCELLED, TIMED_OUT, WARNED):
        project.wait_for(f"SIGTERM to {label}", lambda label=label: "SIGTERM" in project.train_log(label))
    (folder / "slow").unlink()
    project.ended()
    yield project
    project.process.kill()


def weights(project: Submitted, label: str) -> dict[str, torch.Tensor]:
    return dict(torch.load(project.run_folder(label) / "model.pt", weights_only=True)["state_dict"])


def states(cluster: Cluster, project: Project, label: str) -> list[str]:
    return [job["JobState"] for job in cluster.jobs(project.folder, f"_{label}_0_0")]


def test_a_failing_training_leaves_the_others_running_and_shows_its_logs(
    hindered: Submitted, cluster: Cluster
) -> None:
    assert hindered.process.returncode != 0
    assert states(cluster, hindered, FAILING) == ["FAILED", "FAILED"], "tried again once, as the profile says"
    assert "cyclemix: error: this row fails" in hindered.said
    assert f"results/logs/train/phantom_{FAILING}_fold0_seed0.log" in hindered.said
    job = cluster.jobs(hindered.folder, f"_{FAILING}_0_0")[-1]["JobId"]
    log = hindered.folder / "results" / "logs" / "slurm" / "rule_train" / f"phantom_{FAILING}_0_0" / f"{job}.log"
    assert str(log) in hindered.said
    assert log.stat().st_size
    for label in (TIMED_OUT, WARNED, CANCELLED):
        assert (hindered.run_folder(label) / "model.pt").exists()


@pytest.mark.parametrize(
    ("label", "end"), [(CANCELLED, "CANCELLED"), (TIMED_OUT, "TIMEOUT"), (WARNED, "FAILED")]
)
def test_a_training_that_was_ended_early_is_resubmitted_and_goes_on(
    hindered: Submitted, cluster: Cluster, label: str, end: str
) -> None:
    assert states(cluster, hindered, label) == [end, "COMPLETED"]
    told = json.loads((hindered.run_folder(label) / "provenance.json").read_text())
    assert told["steps"] == STEPS
    (resumed_at,) = told["resumed_at_steps"]
    assert 0 < resumed_at < STEPS


def test_the_whole_study_went_through_slurm(whole: Submitted, cluster: Cluster) -> None:
    assert whole.ended() == 0, whole.said[-6000:] + whole.logs()
    assert (whole.folder / "results" / "tables" / "phantom" / "comparison.html").stat().st_size
    jobs = cluster.jobs(whole.folder)
    found = sorted((job["Comment"].split("_")[1], job["Partition"], job.get("TresPerJob", "")) for job in jobs)
    gpu = "gres:gpu:1"
    assert found == [
        *[("evaluate", "cpu", "")] * 2, ("figures", "cpu", ""), *[("predict", "gpu", gpu)] * 2,
        ("tabulate", "cpu", ""), *[("train", "gpu", gpu)] * 2,
    ]  # fmt: skip
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    trainings = cluster.jobs(whole.folder, "rule_train")
    assert {job["ArrayTaskId"] for job in trainings} == {"1", "2"}
    assert len({job["ArrayJobId"] for job in trainings}) == 1


def test_both_nodes_train(hindered: Submitted, whole: Submitted, cluster: Cluster) -> None:
    for project in (hindered, whole):
        assert {job["NodeList"] for job in cluster.jobs(project.folder)} == {*NODES}
    assert {job["NodeList"] for job in cluster.jobs(hindered.folder, "rule_train")} == {*NODES}


@pytest.mark.parametrize("label", [TIMED_OUT, WARNED])
def test_the_time_limit_does_not_change_the_model(hindered: Submitted, whole: Submitted, label: str) -> None:
    assert whole.ended() == 0
    resumed, undisturbed = weights(hindered, label), weights(whole, label)
    assert json.loads((whole.run_folder(label) / "provenance.json").read_text())["resumed_at_steps"] == []
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)
