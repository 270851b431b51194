"""What SECURITY.md promises of files and servers."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cyclemix.config.strict import ConfigError, load_yaml
from cyclemix.data.store import load_case
from cyclemix.inference.model_file import load_model
from cyclemix.training import checkpoint

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")


class Trap:
    """Makes a file when it is unpickled by a reader that runs what it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    return tmp_path / "sprung"


def test_the_trap_works(tmp_path: Path, sprung: Path) -> None:
    torch.save({"digest": Trap(sprung)}, tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert sprung.exists()


@pytest.mark.parametrize("plain", [False, True])
def test_a_model_with_code_in_it_is_refused_and_not_run(tmp_path: Path, sprung: Path, plain: bool) -> None:
    path = tmp_path / "model.pt"
    if plain:
        path.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    else:
        torch.save({"config": Trap(sprung), "state_dict": {}}, path)
    with pytest.raises(ConfigError, match=r"model\.pt: damaged, or not a model of this project"):
        load_model(path, CPU)
    assert not sprung.exists()


def test_a_checkpoint_with_code_in_it_is_passed_over(
    tmp_path: Path, sprung: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"digest": "d", "state": Trap(sprung)}, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path, "d", CPU) is None
    assert not sprung.exists()
    text = "checkpoint.pt cannot be read (it contains objects other than tensors, numbers and text, which"
    assert text in caplog.text


def test_a_prepared_case_with_code_in_it_is_refused(tmp_path: Path, sprung: Path) -> None:
    trap = np.empty(1, object)
    trap[0] = Trap(sprung)
    np.savez(tmp_path / "a.npz", meta=trap, image=trap)
    with pytest.raises(ValueError, match=r"a\.npz: damaged or not a prepared case"):
        load_case(tmp_path / "a.npz")
    assert not sprung.exists()


def test_yaml_with_code_in_it_is_refused(tmp_path: Path, sprung: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"methods: !!python/object/apply:os.mknod ['{sprung}']\n")
    with pytest.raises(ConfigError, match=r"study\.yaml: not valid YAML"):
        load_yaml(path)
    assert not sprung.exists()


def test_every_reader_of_the_package_is_a_safe_one() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "cyclemix").rglob("*.py"))
    loads = re.findall(r"torch\.load\(.*\)", text)
    assert loads
    assert all("weights_only=True" in call for call in loads)
    for unsafe in (
        r"shell=True",
        r"yaml\.load\(",
        r"pickle\.load",
        r"np\.load\(",
        r"allow_pickle=True",
        r"os\.system",
        r"\beval\(",
    ):
        assert not re.search(rf"(?<!\.){unsafe}", text), unsafe


def test_servers_listen_on_the_loopback_address_unless_told_otherwise() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "MLFLOW_HOST ?= 127.0.0.1" in makefile
    starts = re.findall(r"mlflow (?:ui|server)(?:[^\n]*\\\n)*[^\n]*", makefile)
    commands = [text for text in starts if "--backend-store-uri" in text]
    assert len(commands) == 2
    assert all(re.search(r"--host (127\.0\.0\.1|\$\(MLFLOW_HOST\))", text) for text in commands)
