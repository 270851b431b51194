"""An initialised MLflow store, made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.tracking import api


@pytest.fixture(scope="module", autouse=True)
def _own_store() -> Iterator[None]:
    """The store beside the results, whatever the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised store without experiments; copying it is 50 times as fast as making one."""
    results = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{layout.mlflow_dir(results) / 'mlflow.db'}"
    api.init(results, Tracking(uri=store), [], results / "sentinel.json")
    return layout.mlflow_dir(results)


@pytest.fixture
def results(empty_store: Path, tmp_path: Path) -> Path:
    """A results folder with an initialised store."""
    shutil.copytree(empty_store, layout.mlflow_dir(tmp_path))
    return tmp_path
