"""model.pt: complete in itself, equal bytes for equal models, refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import WIDE, write_model

from cyclemix.config.strict import ConfigError
from cyclemix.inference.model_file import find_models, load_model

CPU = torch.device("cpu")


def test_the_file_holds_all_that_a_model_needs(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path / "model.pt"), CPU)
    assert model.config.classes == ["RV", "MYO", "LV"]
    assert model.config.grid.name == "3.2mm_64px"
    assert model.domain == WIDE
    assert model.origin == {"commit": "abc"}, "what differs between equal trainings stays outside"
    assert not model.net.training


def test_equal_models_are_equal_bytes_whatever_their_names(tmp_path: Path) -> None:
    first, second = (write_model(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert first.read_bytes() == second.read_bytes()


def test_a_foreign_file_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(
        ConfigError, match=r"other.pt: expected a model.pt with .*, found no config, preparation, domain"
    ):
        load_model(tmp_path / "other.pt", CPU)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ConfigError, match=r"model.pt: damaged, or not a model of this project"):
        load_model(path, CPU)


def test_a_model_of_another_preparation_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.pt")
    saved = torch.load(path, weights_only=True)
    saved["preparation"]["version"] = -1
    torch.save(saved, path)
    with pytest.raises(
        ConfigError, match=r"preprocessing version -1, .* the version that trained it \(commit abc\)"
    ):
        load_model(path, CPU)


def test_a_run_and_a_method_folder_stand_for_their_models(tmp_path: Path) -> None:
    runs = [tmp_path / "cyclemix" / f"fold{fold}_seed0" for fold in (0, 1)]
    for run in runs:
        run.mkdir(parents=True)
        write_model(run / "model.pt")
    assert find_models(runs[1]) == [runs[1] / "model.pt"]
    assert find_models(runs[1] / "model.pt") == [runs[1] / "model.pt"]
    assert find_models(tmp_path / "cyclemix") == [run / "model.pt" for run in runs]
    with pytest.raises(ConfigError, match=r"expected a model.pt, a run's folder or a folder of runs"):
        find_models(tmp_path / "nowhere")
