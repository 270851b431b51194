"""The logged model: complete, pinned, and what the documentation says of it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from mirrored import TRACKING, make_study, runs_of, write_tables
from models import write_model

from cyclemix.config.models import Inference
from cyclemix.files import layout
from cyclemix.inference import segment
from cyclemix.provenance.digests import sources
from cyclemix.tracking import api, model
from cyclemix.tracking.store import Store


@pytest.fixture(scope="module")
def results(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirrored study of two seeds, the second better and with a real network."""
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, seeds=2)
    shutil.copytree(empty_store, layout.mlflow_dir(folder))
    write_model(layout.run_dir(folder, "mscmr", "cyclemix", 0, 1) / "model.pt")
    api.sync(folder, TRACKING)
    return folder


@pytest.fixture
def study(results: Path, tmp_path: Path) -> Path:
    """A copy of the study, to be changed."""
    shutil.copytree(results, tmp_path / "study")
    return tmp_path / "study"


def logged(results: Path) -> list[Any]:
    store = Store(results, TRACKING)
    return list(store.client.search_logged_models([store.experiment("mscmr")]))


def test_the_best_seed_is_the_model_of_the_summary_run(results: Path) -> None:
    (found,) = logged(results)
    (run,) = runs_of(results, "summary")
    assert (found.name, found.source_run_id, str(found.status)) == ("cyclemix", run.info.run_id, "READY")
    assert found.params == {"fold": "0", "seed": "1", "best_val_dice": "0.8100"}
    assert run.data.params["best_seed"] == "1"
    assert [output.model_id for output in run.outputs.model_outputs] == [found.model_id]


def test_the_documented_snippet_segments_in_a_process_that_knows_the_model_alone(
    results: Path, repository: Path, phantom_prepared: Path, tmp_path: Path
) -> None:
    page = (repository / "docs" / "how-to" / "mlflow.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    image = next((phantom_prepared / "data" / "tiny" / "raw").glob("*/*_frame01.nii.gz"))
    uri = layout.tracking_uri(results, None)
    for name, value in (("http://127.0.0.1:5000", uri), ("stack.nii.gz", str(image))):
        assert name in code
        code = code.replace(name, value)
    code += "\nimport cyclemix\nprint(cyclemix.__file__)\nprint(result['segmentation'][0])\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    package, written = done.stdout.splitlines()[-2:]
    assert "/code/cyclemix/" in package, "the package that was logged with the model"
    assert Path(written) == tmp_path / "segmented" / image.name
    best = layout.run_dir(results, "mscmr", "cyclemix", 0, 1) / "model.pt"
    segment.run([best], [image], tmp_path / "ours", Inference(), "cpu")
    expected, got = (nibabel.load(path) for path in (tmp_path / "ours" / image.name, written))
    assert np.array_equal(np.asarray(expected.dataobj), np.asarray(got.dataobj))
    assert np.array_equal(expected.affine, got.affine)


def test_a_changed_summary_takes_its_model_along(study: Path) -> None:
    (before,) = logged(study)
    write_tables(study, mean=0.88)
    api.sync(study, TRACKING)
    (after,) = logged(study)
    assert after.model_id != before.model_id
    (run,) = runs_of(study, "summary")
    assert after.source_run_id == run.info.run_id


def test_a_better_seed_replaces_the_model(study: Path) -> None:
    path = layout.run_dir(study, "mscmr", "cyclemix", 0, 0) / "provenance.json"
    path.write_text(path.read_text().replace('"best_val_dice": 0.8', '"best_val_dice": 0.9'))
    api.sync(study, TRACKING)
    (found,) = logged(study)
    assert found.params["seed"] == "0"
    api.sync(study, TRACKING)
    assert [again.model_id for again in logged(study)] == [found.model_id]


def test_requirements_are_what_the_bundled_modules_import_as_locked(repository: Path) -> None:
    imported = set()
    for path in sources(model.LOADER):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    names = {"cc3d": "connected-components-3d", "yaml": "pyyaml", "SimpleITK": "simpleitk"}
    third_party = imported - set(sys.stdlib_module_names) - {"cyclemix"}
    assert {names.get(name, name) for name in third_party} == set(model.REQUIREMENTS) - {"mlflow-skinny"}
    lock = (repository / "envs" / "requirements.lock").read_text()
    assert set(model.requirements()) <= {line.split(";")[0].strip() for line in lock.splitlines()}
