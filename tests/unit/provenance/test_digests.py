"""Which edits change the code digest, and what a provenance holds."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from cyclemix.provenance import digests
from cyclemix.provenance.digests import code_digest, collect, file_digest


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
                return mix.twice(x) + len(os.sep)
        """,
        "toy/ops/__init__.py": "",
        "toy/ops/mix.py": "from ..helper import add\ndef twice(x): return add(x, x)\n",
        "toy/helper.py": "def add(a, b):\n    return a + b\n",
        "toy/tracking.py": "def log(): ...\n",
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
        pytest.param("toy/tracking.py", "log", "note", id="excluded module"),
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
        pytest.param("toy/stage.py", "twice(x) +", "twice(x) -", id="the stage"),
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


def test_a_string_that_is_used_counts(package: Path) -> None:
    edit(package, "toy/losses.py", "return 1", "return 'a'")
    before = digest(package)
    edit(package, "toy/losses.py", "return 'a'", "return 'b'")
    assert digest(package) != before


def test_unknown_module_is_refused(package: Path) -> None:
    with pytest.raises(ValueError, match=r"no module toy\.methods\.gone under"):
        code_digest("toy.stage", ["toy.methods.gone"], root=package)


def test_training_depends_on_its_own_method_only() -> None:
    plain = code_digest("cyclemix.training.train", ["cyclemix.methods.unet_pce"])
    assert plain == code_digest("cyclemix.training.train", ["cyclemix.methods.unet_pce"])
    assert plain != code_digest("cyclemix.training.train", ["cyclemix.methods.cyclemix"])
    # the loop itself must not import a method, or an edit of one would retrain all
    closure = _closure("cyclemix.training.train")
    assert {"cyclemix.methods", "cyclemix.methods.base", "cyclemix.data.store"} <= closure
    assert not {name for name in closure if name.startswith("cyclemix.methods.")} - {"cyclemix.methods.base"}
    assert not closure & {
        "cyclemix.metrics",
        "cyclemix.report.tables",
        "cyclemix.report.figures",
        "cyclemix.tracking.api",
    }


def _closure(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = digests._source(digests.ROOT, name)
        if path is not None and name not in found | set(digests.EXCLUDED):
            found.add(name)
            waiting += digests._read(path, path.stat().st_mtime_ns, name, "cyclemix")[1]
    return found


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
