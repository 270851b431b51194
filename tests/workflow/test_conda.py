"""`--use-conda`: rules activate their environment. The wiring only; no channel is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conda_stand_in import build_channel, conda_packages, write_stand_in
from rattler import MatchSpec
from studies import copy_of_project, with_few_hearts

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "envs" / "cyclemix.yaml"


def test_every_conda_package_is_one_that_conda_reads() -> None:
    for pin in conda_packages(ENVIRONMENT):
        spec = MatchSpec(pin, strict=True)
        assert spec.name is not None, pin
        assert spec.version is not None, pin


def test_rules_run_in_their_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data stages of one part: each job's Python is the one of the environment that was just made."""
    notes = tmp_path / "starts"
    channel = tmp_path / "channel"
    build_channel(channel, ENVIRONMENT, sys.executable, notes)
    binaries = write_stand_in(tmp_path / "conda", channel)
    (tmp_path / "project").mkdir()
    project = with_few_hearts(copy_of_project(tmp_path / "project"))
    data = "results/data/phantom"
    monkeypatch.setenv("PATH", str(binaries), prepend=os.pathsep)
    project.snakemake(f"{data}/prepared/3.2mm_64px/index_val.csv", f"{data}/folds.json", "--use-conda")
    starts = [line for line in notes.read_text().splitlines() if "-m cyclemix" in line]
    stages = {line.split("-m cyclemix ")[1].split()[0] for line in starts}
    assert stages == {"download", "prepare", "split"}
    made = project.folder / ".snakemake" / "conda"
    assert all(line.startswith(str(made)) for line in starts), starts
