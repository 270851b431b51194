"""Which edits change the code digest, and what a provenance holds."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from cyclemix.methods import available
from cyclemix.provenance import digests
from cyclemix.provenance.digests import STAGES, closure, code_digest, collect, file_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package ``toy``: stage -> ops.mix -> helper, with a method loaded by name and an excluded module."""
    files = {
        "toy/__init__.py": "",
        "toy/stage.py": """
            '''What it does.'''
            import os
            from toy import tracking
            from toy.ops import mix
            def run(x: int) -> int:
                '''Double.'''
                # a comment
                if x < 0:
                    log.warning('negative: %d', x)
                    raise ValueError(f'got {x}; ' + 'expected >= 0')
                return mix.twice(Field(x, description='a number', name='x')) + len(os.sep)
        """,
        "toy/ops/__init__.py": "",
        "toy/ops/mix.py": "from ..helper import add\ndef twice(x): return add(x, x)\n",
        "toy/helper.py": "def add(a, b):\n    return a + b\n",
        "toy/tracking/__init__.py": "from toy.tracking import store\ndef log(): ...\n",
        "toy/tracking/store.py": "x = 1\n",
        "toy/unused.py": "x = 1\n",
        "toy/methods/__init__.py": "",
        "toy/methods/plain.py": "from toy.losses import pce\n",
        "toy/methods/other.py": "x = 1\n",
        "toy/losses.py": "def pce(): return 1\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def digest(root: Path) -> str:
    return code_digest("toy.stage", ["toy.methods.plain"], exclude=["toy.tracking"], root=root)


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("toy/stage.py", "# a comment", "# another comment", id="comment"),
        pytest.param("toy/stage.py", "'''Double.'''", "'''Twice as much.'''", id="docstring"),
        pytest.param("toy/stage.py", "'''What it does.'''", "", id="module docstring gone"),
        pytest.param("toy/helper.py", "return a + b", "return (\n        a\n        + b\n    )", id="format"),
        pytest.param("toy/stage.py", "got {x}; ", "found {-x}: ", id="error message"),
        pytest.param("toy/stage.py", "negative: %d", "below 0: %d", id="log message"),
        pytest.param("toy/stage.py", "a number", "an integer", id="description"),
        pytest.param("toy/tracking/__init__.py", "log", "note", id="excluded package"),
        pytest.param("toy/tracking/store.py", "1", "2", id="module of an excluded package"),
        pytest.param("toy/unused.py", "1", "2", id="module that is not imported"),
        pytest.param("toy/methods/other.py", "1", "2", id="another method"),
    ],
)
def test_edits_that_change_no_result_keep_the_digest(package: Path, name: str, old: str, new: str) -> None:
    before = digest(package)
    edit(package, name, old, new)
    assert digest(package) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("toy/stage.py", "+ len", "- len", id="the stage"),
        pytest.param("toy/stage.py", "name='x'", "name='y'", id="a string that is used"),
        pytest.param("toy/stage.py", "raise ValueError", "raise KeyError", id="the type of an error"),
        pytest.param("toy/helper.py", "a + b", "a - b", id="a relative import of an import"),
        pytest.param("toy/ops/__init__.py", "", "x = 1\n", id="the package around an import"),
        pytest.param("toy/methods/plain.py", "import pce", "import pce as ce", id="the method"),
        pytest.param("toy/losses.py", "return 1", "return 2", id="an import of the method"),
        pytest.param("toy/losses.py", "return 1", "return 1.0", id="int to float"),
        pytest.param("toy/losses.py", "return 1", "return True", id="int to bool"),
    ],
)
def test_real_edits_change_the_digest(package: Path, name: str, old: str, new: str) -> None:
    before = digest(package)
    path = package / name
    path.write_text(path.read_text().replace(old, new) if old else new)
    assert digest(package) != before


@pytest.mark.parametrize(
    "block",
    [
        "def f():\n    {}",
        "class A:\n    def f(self):\n        {}",
        "if x:\n    pass\nelif y:\n    pass\nelse:\n    {}",
        "for x in y:\n    with x:\n        {}",
        "try:\n    pass\nexcept OSError:\n    {}",
        "try:\n    pass\nfinally:\n    {}",
        "match x:\n    case 1:\n        {}",
    ],
)
def test_an_import_inside_a_block_is_found(package: Path, block: str) -> None:
    (package / "toy" / "stage.py").write_text(block.format("from toy import helper\n"))
    assert list(closure(["toy.stage"], root=package)) == ["toy", "toy.helper", "toy.stage"]


def test_unknown_module_is_refused(package: Path) -> None:
    with pytest.raises(ValueError, match=r"no module toy\.methods\.gone under"):
        code_digest("toy.stage", ["toy.methods.gone"], root=package)


def test_training_depends_on_its_own_method_only() -> None:
    plain = code_digest("cyclemix.training.train", ["cyclemix.methods.unet_pce"])
    assert plain == code_digest("cyclemix.training.train", ["cyclemix.methods.unet_pce"])
    assert plain != code_digest("cyclemix.training.train", ["cyclemix.methods.cyclemix"])
    # the loop itself must not import a method, or an edit of one would retrain all
    names = digests.closure(["cyclemix.training.train"]).keys()
    assert {"cyclemix.methods", "cyclemix.methods.base", "cyclemix.data.store"} <= names
    assert not {name for name in names if name.startswith("cyclemix.methods.")} - {"cyclemix.methods.base"}
    assert not names & {"cyclemix.metrics", "cyclemix.report.tables", "cyclemix.tracking.api"}


@pytest.mark.parametrize("stage", ["train", "predict"])
@pytest.mark.parametrize("method", available())
def test_training_and_prediction_read_no_file_of_a_data_set(stage: str, method: str) -> None:
    names = digests.closure([STAGES[stage], f"cyclemix.methods.{method}"])
    assert not [name for name in names if name.startswith("cyclemix.data.readers")]
    assert "cyclemix.config.labels" in names


# Edits of a copy of the project's own package: which stages run again.


@pytest.fixture(scope="module")
def own_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    shutil.copytree(
        digests.ROOT / "cyclemix", root / "cyclemix", ignore=shutil.ignore_patterns("__pycache__")
    )
    return root


READ_IMAGES = {"data.prepare", "evaluate", "figures", "run_figures"}


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        pytest.param("report/plots/overlays.py", "GAP_IN = 0.03", "GAP_IN = 0.04",
                     {"figures", "run_figures"}, id="plot"),
        pytest.param("report/run_figures.py", "DPI = 100", "DPI = 99", {"run_figures"}, id="a run's figures"),
        pytest.param("report/templates/comparison.html", "n/a: ", "none: ", {"tables"}, id="template"),
        pytest.param("report/templates/style.css", "1.6rem", "1.7rem", {"tables"}, id="style sheet"),
        pytest.param("own_data/templates/overlays.html", "dashed", "dotted", set(), id="page of no stage"),
        pytest.param("data/readers/nifti.py", ":.4g", ":.5g",
                     READ_IMAGES, id="reader"),
        pytest.param("data/readers/nifti.py", "expected", "wanted", set(), id="reader's messages"),
        pytest.param("training/train.py", "resuming at step", "going on at step", set(), id="log message"),
        pytest.param("ops/puzzlemix.py", "cells per side", "cells along a side", set(), id="description"),
        pytest.param("config/models.py", "ge=32", "ge=16", set(), id="config"),
        pytest.param("cli/main.py", "INTERRUPTED = 130", "INTERRUPTED = 131", set(), id="command line"),
        pytest.param("tracking/live.py", "import", "import os\nimport", set(), id="mirror"),
        pytest.param("files/locks.py", "import errno", "import errno\nUNUSED = 1", set(), id="locks"),
        pytest.param("config/labels.py", "UNLABELLED = 255", "UNLABELLED = 254", set(STAGES), id="label"),
    ],
)  # fmt: skip
def test_an_edit_changes_the_digests_of_the_stages_that_depend_on_it(
    own_package: Path, name: str, old: str, new: str, stages: set[str]
) -> None:
    before = own_digests(own_package)
    path = own_package / "cyclemix" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    after = own_digests(own_package)
    path.write_text(text)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == stages


def own_digests(root: Path) -> dict[str, str]:
    """Digest of every stage; of training with the method that mixes with PuzzleMix."""
    extra = {"train": ["cyclemix.methods.cyclemix"]}
    return {stage: code_digest(module, extra.get(stage, ()), root=root) for stage, module in STAGES.items()}


def test_file_digest_is_of_contents_not_of_places(tmp_path: Path) -> None:
    for folder, order in (("a", "xy"), ("b", "yx")):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).write_text(f"content of {name}")
    first = file_digest([tmp_path / "a" / "x", tmp_path / "a" / "y"])
    assert first == file_digest([tmp_path / "b" / "y", tmp_path / "b" / "x"])
    (tmp_path / "b" / "y").write_text("other")
    assert first != file_digest([tmp_path / "b" / "y", tmp_path / "b" / "x"])


def test_collect_names_code_config_data_lock_and_machine(tmp_path: Path) -> None:
    config, case = tmp_path / "config.json", tmp_path / "case.npz"
    config.write_text("{}")
    case.write_bytes(b"data")
    found = collect(config, [case], ["cyclemix.methods.unet_pce"])
    assert found["config_digest"] == file_digest([config])
    assert found["data_digest"] == file_digest([case])
    assert found["code_digest"] == code_digest("cyclemix.training.train", ["cyclemix.methods.unet_pce"])
    assert found["lock_digest"] == file_digest([digests.ROOT / "envs" / "requirements.lock"])
    assert found["versions"]["numpy"].count(".") == 2
    assert found["hardware"]["cores"] >= 1
    assert isinstance(found["hardware"]["gpus"], list)
    assert found["dirty"] in (True, False, None)
