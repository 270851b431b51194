"""A toy method by the steps of CONTRIBUTING alone: one file, one block, a row in the table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from studies import SMALL, Project

from cyclemix.cli import new_method
from cyclemix.config.strict import ConfigError


def cyclemix(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "cyclemix", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_method_is_a_row_of_the_finished_study(finished_study: Project) -> None:
    folder = finished_study.folder
    said = cyclemix(folder, "new-method", "toy")
    assert "cyclemix/methods/toy.py\ntests/unit/methods/test_toy.py\nconfig/methods.yaml\n" in said
    cyclemix(folder, "schema")
    tests = [sys.executable, "-m", "pytest", "-q", "tests/unit/methods/test_toy.py"]
    assert subprocess.run(tests, cwd=folder, check=False).returncode == 0
    rows = "methods=[unet_pce, toy, cyclemix, unet_full]"
    plan = finished_study.plan(config=(*SMALL, rows))
    assert plan["train toy"] == 1
    assert "train cyclemix" not in plan
    finished_study.snakemake(config=(*SMALL, rows))
    table = (folder / "results" / "tables" / "phantom" / "comparison.md").read_text()
    assert "toy" in table


def test_taken_and_impossible_names_are_refused(clean_project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a name of lower-case letters.*got 'My-Method'"):
        new_method.write("My-Method", clean_project.folder)
    with pytest.raises(ConfigError, match=r"has a row cyclemix already; choose another name"):
        new_method.write("cyclemix", clean_project.folder)
    shutil.copytree(clean_project.folder / "config", tmp_path / "config")
    (tmp_path / "cyclemix" / "methods").mkdir(parents=True)
    (tmp_path / "cyclemix" / "methods" / "toy.py").touch()
    with pytest.raises(ConfigError, match=r"toy.py exists already; choose another name"):
        new_method.write("toy", tmp_path)
    assert "toy" not in (tmp_path / "config" / "methods.yaml").read_text()
