"""The files of a new method can be imported; tests/workflow/test_reruns.py trains one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cyclemix.cli import new_method
from cyclemix.config.strict import ConfigError
from cyclemix.config.study import load_methods
from cyclemix.methods.base import Method


def test_the_generated_files_are_a_method_its_test_and_its_block(repository: Path, tmp_path: Path) -> None:
    for folder in ("config", "cyclemix/methods", "tests/unit/methods"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(repository / "config" / "methods.yaml", tmp_path / "config")
    written = new_method.write("toy", tmp_path)
    names = ["cyclemix/methods/toy.py", "tests/unit/methods/test_toy.py", "config/methods.yaml"]
    assert [str(path.relative_to(tmp_path)) for path in written] == names
    for path, name in zip(written[:2], ("Toy", "test_terms_of_equal_logits"), strict=True):
        namespace: dict[str, Any] = {"__name__": path.stem}
        exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), namespace)
        assert name in namespace
        assert name != "Toy" or issubclass(namespace[name], Method)
    assert load_methods(written[2])["toy"].method == "toy"


def test_taken_and_impossible_names_are_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a name of lower-case letters.*got 'My-Method'"):
        new_method.write("My-Method", repository)
    with pytest.raises(ConfigError, match=r"has a row cyclemix already; choose another name"):
        new_method.write("cyclemix", repository)
    shutil.copytree(repository / "config", tmp_path / "config")
    (tmp_path / "cyclemix" / "methods").mkdir(parents=True)
    (tmp_path / "cyclemix" / "methods" / "toy.py").touch()
    with pytest.raises(ConfigError, match=r"toy.py exists already; choose another name"):
        new_method.write("toy", tmp_path)
    assert "toy" not in (tmp_path / "config" / "methods.yaml").read_text()
