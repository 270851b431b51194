"""A results folder that is moved or copied takes its artifacts along; nothing is written at the old place."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from mirrored import TRACKING, make_run, make_study

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.tracking import api
from cyclemix.tracking.sqlite import repoint
from cyclemix.tracking.store import Store


@pytest.fixture
def study(empty_store: Path, tmp_path: Path) -> Path:
    """A mirrored study of one run in a folder whose name needs quoting in a URI."""
    results = tmp_path / "été 1" / "results"
    make_study(results, seeds=1)
    shutil.copytree(empty_store, layout.mlflow_dir(results))
    api.sync(results, TRACKING)
    return results


def files(results: Path) -> set[str]:
    folder = layout.mlflow_dir(results) / "artifacts"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def locations(results: Path) -> list[str]:
    """All that the database says of artifacts."""
    store = Store(results, TRACKING)
    experiment = store.client.get_experiment(store.experiment("mscmr"))
    runs = store.client.search_runs([experiment.experiment_id])
    models = store.client.search_logged_models([experiment.experiment_id])
    return [
        experiment.artifact_location,
        *(run.info.artifact_uri for run in runs),
        *(model.artifact_location for model in models),
    ]


def test_a_moved_folder_is_complete_and_says_so(study: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, there = files(study), study.parent.parent / "T" / "results"
    assert before
    there.parent.mkdir()
    shutil.move(study, there)
    study.parent.rmdir()
    study.parent.write_text("the old place cannot be made again")
    api.sync(there, TRACKING)
    assert files(there) == before, "everything is found, nothing is uploaded twice"
    assert all(where.startswith((there / "mlflow/artifacts").as_uri()) for where in locations(there))
    told = [line for line in caplog.messages if "moved or copied" in line]
    old = study / "mlflow/artifacts"
    assert told == [f"{layout.database(there)}: moved or copied from {old}; artifacts now lie beside it"]
    caplog.clear()
    api.sync(there, TRACKING)
    assert not [line for line in caplog.messages if "moved" in line]


def test_a_copy_writes_into_itself_alone(study: Path) -> None:
    there = study.parent.parent / "copy" / "results"
    shutil.copytree(study, there)
    original = files(study)
    folder = make_run(there, seed=2)
    assert api.mirror_evaluation(there, TRACKING, folder)
    assert files(study) == original
    new = {Path(name).name for name in files(there) - original}
    assert new == {"config.json", "history.csv", "metrics.csv", "provenance.json"}
    assert all(where.startswith((study / "mlflow/artifacts").as_uri()) for where in locations(study))


def test_a_second_name_of_the_folder_changes_nothing(study: Path) -> None:
    link = study.parent.parent / "link"
    link.symlink_to(study)
    before = locations(study)
    api.sync(link, TRACKING)
    assert locations(study) == before


def test_locations_elsewhere_are_left_alone(study: Path, tmp_path: Path) -> None:
    with sqlite3.connect(layout.database(study)) as connection:
        connection.execute("update experiments set artifact_location = 'file:///mnt/disk/mine'")
    assert repoint(layout.database(study), study / "mlflow" / "artifacts") == []
    own = Tracking(uri=f"sqlite:///{layout.database(study)}")
    assert (
        Store(tmp_path / "other", own).client.get_experiment("1").artifact_location == "file:///mnt/disk/mine"
    )
