"""A clean copy of the project, and one finished phantom study for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from studies import Project, copy_of_project, with_few_hearts


@pytest.fixture(scope="session")
def clean_project(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy without results, for dry runs and refusals; tests leave it as it is."""
    return copy_of_project(tmp_path_factory.mktemp("clean"), warm)


@pytest.fixture(scope="session")
def finished(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small phantom study, run once to the end; tests leave it as it is."""
    project = with_few_hearts(copy_of_project(tmp_path_factory.mktemp("finished"), warm))
    project.snakemake("--workflow-profile", "workflow/profiles/default")
    return project


@pytest.fixture
def finished_study(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished study, with Snakemake's records and the files' times, to be edited."""
    shutil.copytree(finished.folder, tmp_path / "study", symlinks=True)
    return Project(tmp_path / "study", finished.python)
