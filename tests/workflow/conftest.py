"""A clean copy of the project, and one finished phantom study for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from studies import Project, copy_of_project, with_few_hearts
from warm_python import warm_python


@pytest.fixture(scope="session")
def clean_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy without results, for dry runs and refusals; tests leave it as it is."""
    return copy_of_project(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small phantom study, run once to the end; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    project = with_few_hearts(copy_of_project(folder / "clone"))
    with warm_python(project.folder, folder / "warm") as warm:
        Project(project.folder, warm / "bin" / "python").snakemake(
            "--workflow-profile", "workflow/profiles/default"
        )
    return project


@pytest.fixture
def finished_study(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished study, with Snakemake's records and the files' times, to be edited."""
    shutil.copytree(finished.folder, tmp_path / "study", symlinks=True)
    return Project(tmp_path / "study")
