"""pyproject, locks and the conda environment agree, and name no index."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from scripts import load_script

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "envs" / "cyclemix.yaml").read_text())


def pins(name: str) -> dict[str, Requirement]:
    lines = (ROOT / "envs" / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


@pytest.mark.parametrize(
    ("lock", "extra"),
    [
        ("requirements.lock", None),
        ("requirements-dev.lock", "dev"),
        ("requirements-ui.lock", "ui"),
        ("requirements-docs.lock", "docs"),
        ("requirements-browser.lock", "dev"),
        ("requirements-browser.lock", "ui"),
        ("requirements-browser.lock", "browser"),
    ],
)
def test_locks_hold_every_dependency_within_its_bounds(lock: str, extra: str | None) -> None:
    locked = pins(lock)
    wanted = [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] if extra else [])]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(version(locked[canonicalize_name(requirement.name)])), (
            requirement
        )
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in locked.values())


def test_locks_agree_with_each_other() -> None:
    base = pins("requirements.lock")
    for lock in ("requirements-dev.lock", "requirements-ui.lock"):
        others = pins(lock)
        assert {name: str(pin) for name, pin in base.items()} == {name: str(others[name]) for name in base}


def test_the_lock_of_the_browser_holds_the_versions_of_the_others() -> None:
    browser = {name: version(pin) for name, pin in pins("requirements-browser.lock").items()}
    for lock in ("requirements-dev.lock", "requirements-ui.lock"):
        for name, pin in pins(lock).items():
            assert browser[name] == version(pin), f"{name} of {lock}"


def test_the_lock_of_the_documentation_changes_no_version() -> None:
    known = {name: version(pin) for name, pin in pins("requirements-dev.lock").items()}
    docs = {name: version(pin) for name, pin in pins("requirements-docs.lock").items()}
    assert {name: docs[name] for name in docs.keys() & known.keys()} == {
        name: known[name] for name in docs.keys() & known.keys()
    }


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "envs").glob("*.lock")))
def test_locks_fit_cpu_and_gpu_machines_and_any_index(name: str) -> None:
    text = (ROOT / "envs" / name).read_text()
    assert re.search(r"^torch==[\d.]+$", text, re.MULTILINE), "no local version such as +cpu"
    assert not re.search(r"^(nvidia-|cuda-|triton\b)", text, re.MULTILINE)
    assert "://" not in text
    assert "--" not in text


def test_the_conda_environment_installs_the_lock_with_pip() -> None:
    """pip of a new conda environment gets the lines that `make install` gives to pip of a new `.venv`."""
    *conda, pip = ENVIRONMENT["dependencies"]
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
    assert [line.split()[0] for line in conda] == ["python", "pip"], "no version that only PyPI may have"
    lines = (ROOT / "envs" / "requirements.lock").read_text().splitlines()
    assert pip == {"pip": [line for line in lines if not line.startswith("#")]}
    python = conda[0].removeprefix("python =")
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


def test_the_conda_environment_is_what_make_lock_writes() -> None:
    written = load_script("envs/lock.py").conda_environment(ROOT / "envs" / "requirements.lock")
    assert written == (ROOT / "envs" / "cyclemix.yaml").read_text()


def test_the_container_installs_the_lock_on_a_supported_python() -> None:
    text = (ROOT / "envs" / "cyclemix.def").read_text()
    header, *parts = re.split(r"^%", text, flags=re.MULTILINE)
    base = re.search(r"^Bootstrap: docker\nFrom: python:(\d+\.\d+)-slim$", header, re.MULTILINE)
    assert base is not None
    assert SpecifierSet(PROJECT["requires-python"]).contains(base[1])
    sections = dict(part.split("\n", 1) for part in parts)
    assert list(sections) == ["files", "post", "environment", "test", "help"]
    source, target = sections["files"].split()
    assert (ROOT / source).is_file()
    assert target in sections["post"]
    for name in ("post", "environment", "test"):
        done = subprocess.run(["sh", "-n"], input=sections[name], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "://" not in text
