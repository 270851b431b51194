"""A finished study, MLflow's server and Chromium, for tests of what a person sees (`make test-browser`).

Environment variables
    CYCLEMIX_STUDY: results folder of a finished study to look at, in place of a small one that is run here.
    CYCLEMIX_PICTURES: folder for the pictures that the tests take, in place of one that is thrown away.
    CYCLEMIX_NEED_BROWSER: where set, an absent browser is a failure instead of a skip.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow_server import running_server
from studies import SMALL, copy_of_project, with_few_hearts
from watch import Chromium

DATASETS = ("phantom", "phantom_again")


def absent(what: str) -> None:
    """Skip, or fail where a browser is a must."""
    reason = f"{what}; `make test-browser` installs it"
    if os.environ.get("CYCLEMIX_NEED_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        absent(f"no browser: none of {', '.join(names)} is installed")
    if importlib.util.find_spec("playwright") is None:
        absent("no Python package playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # root has no sandbox; what is opened is our own
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Chromium(browser)
        browser.close()


@pytest.fixture(scope="session")
def results(
    request: pytest.FixtureRequest, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Results of a finished study with its report; asked for after the browser, since it takes minutes."""
    if "CYCLEMIX_STUDY" in os.environ:
        folder = Path(os.environ["CYCLEMIX_STUDY"]).resolve()
        for name in ("report.html", "mlflow/mlflow.db", "tables"):
            if not (folder / name).exists():
                pytest.fail(f"CYCLEMIX_STUDY: {folder / name} is missing; finish the study with `make run`")
        return folder
    project = with_few_hearts(
        copy_of_project(tmp_path_factory.mktemp("study"), request.getfixturevalue("warm"))
    )
    view = "title: The phantom again\nsource: phantom\n"  # two data sets, so that the report has a toggle
    (project.folder / "config" / "datasets" / f"{DATASETS[1]}.yaml").write_text(view)
    report = ("--report", "results/report.html", "--report-after-run")
    project.snakemake(
        *("--workflow-profile", "workflow/profiles/default", *report),
        config=(*SMALL, f"datasets=[{', '.join(DATASETS)}]", "methods=[unet_pce, cyclemix]"),
    )
    return project.folder / "results"


@pytest.fixture(scope="session")
def summaries(results: Path) -> dict[str, pd.DataFrame]:
    """``summary.csv`` by data set."""
    paths = sorted(results.glob("tables/*/summary.csv"))
    return {path.parent.name: pd.read_csv(path) for path in paths}


@pytest.fixture(scope="session")
def server(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of MLflow's server on the study's store."""
    if importlib.util.find_spec("flask") is None:  # of mlflow, not of mlflow-skinny
        absent("no MLflow UI, mlflow-skinny alone")
    log = tmp_path_factory.mktemp("server") / "server.log"  # a study to look at gets no file of ours
    with running_server(results / "mlflow", log, end=signal.SIGTERM) as running:
        yield running.uri


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder for the pictures of a test."""
    folder = Path(os.environ.get("CYCLEMIX_PICTURES") or tmp_path).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
