"""The commands of a tiny study, one a job, as the rules give them; and what their files hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from studies import ROOT, SMALL, Project

STAGES = (
    "download",
    "prepare",
    "split",
    "track_init",
    "resolve",
    "train",
    "predict",
    "evaluate",
    "run_figures",
    "tabulate",
    "figures",
    "ranking",
)
STUDY = (*SMALL, "methods=[unet_pce]")

UNDECLARED = re.compile(r"mlflow/|checkpoint(\.previous)?\.pt$|train\.lock$")
"""Files that are no result: the mirror, checkpoints, locks."""

TIMES = {"training_seconds", "cpu_seconds", "resumed_at_steps", "checksum"}
"""What may differ between an undisturbed run and one that was killed and went on."""


@dataclass(frozen=True)
class Answer:
    """How a command ended: exit status (-9 = killed), moments it went through, seconds, what it said."""

    status: int
    moments: int
    seconds: float
    text: str


class Server:
    """Runs ``cyclemix`` commands in forks of a process that has imported everything (`fork_server`)."""

    def __init__(self, scratch: Path) -> None:
        """Start it; ``scratch``: a folder for what commands say."""
        self._output = scratch / "output"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, folder: Path, arguments: list[str], **fault: Any) -> Answer:
        """One command in ``folder``.

        Args:
            fault: ``moment`` or ``after`` (seconds) with ``signal``, and ``seed`` (share of an unsynced file
                that survives); ``environment``, additional variables.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"cwd": str(folder), "arguments": arguments, "output": str(self._output), **fault}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Answer(**answer, text=self._output.read_text())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass
class Job:
    """A command of the study and the files that it makes."""

    stage: str
    arguments: list[str]
    moments: int = 0
    seconds: float = 0.0
    made: set[str] = field(default_factory=set)


def planned(project: Project) -> list[Job]:
    """The study's jobs as a dry run prints them, in an order in which they can be run."""
    text = project.snakemake("--dry-run", "--printshellcmds", config=STUDY).stdout
    jobs = []
    for line in re.findall(r"^Shell command: python -m cyclemix (.*)$", text, re.MULTILINE):
        words = shlex.split(line.partition(" 2> ")[0])
        jobs.append(Job(words[0].replace("-", "_"), words))
    return sorted(jobs, key=lambda job: STAGES.index(job.stage))


def files(folder: Path) -> set[str]:
    """Files below ``results``, half-written ones too."""
    return {str(path.relative_to(folder)) for path in (folder / "results").rglob("*") if path.is_file()}


def results(folder: Path) -> set[str]:
    """Files below ``results`` that are results."""
    return {name for name in files(folder) if not UNDECLARED.search(name)}


def content(path: Path) -> str:
    """Digest of what a result says: its bytes, but for times."""
    raw = path.read_bytes()
    if path.name == "history.csv":
        raw = pd.read_csv(io.BytesIO(raw)).drop(columns="seconds").to_csv().encode()
    elif path.name == "provenance.json":
        told = {key: value for key, value in json.loads(raw).items() if key not in TIMES}
        told["outputs"].pop("history.csv", None)  # holds times
        raw = json.dumps(told).encode()
    elif path.name == "track_init.json":  # names its folder; the store numbers the experiments
        told = json.loads(raw)
        raw = json.dumps([Path(told["uri"]).name, told["ready"], sorted(told["experiments"])]).encode()
    return hashlib.sha256(raw).hexdigest()


def copy(source: Path, target: Path) -> Path:
    """``target`` made anew as a copy of ``source``."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target, symlinks=True))
