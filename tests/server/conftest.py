"""A real MLflow server for all tests of this folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from mlflow_server import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server; ``MLFLOW_TRACKING_URI`` names it."""
    if importlib.util.find_spec("flask") is None:
        pytest.skip("MLflow's server is not installed: make install-ui")
    folder = tmp_path_factory.mktemp("server")
    with running_server(folder, folder / "server.log") as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", running.uri)
        yield running
