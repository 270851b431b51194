"""Checkpoints are whole, the last two are kept, and a foreign one is not resumed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from cyclemix.training import checkpoint

CPU = torch.device("cpu")


def test_the_newest_comes_back(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, {"digest": "d", "step": step})
    assert checkpoint.load(tmp_path, "d", CPU) == {"digest": "d", "step": 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]


def test_a_truncated_one_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"digest": "d", "step": step, "weights": torch.zeros(1000)})
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    saved = checkpoint.load(tmp_path, "d", CPU)
    assert saved is not None
    assert saved["step"] == 1
    assert "checkpoint.pt cannot be read" in caplog.text


def test_a_foreign_digest_starts_afresh_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint.save(tmp_path, {"digest": "old"})
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(tmp_path, "new", CPU) is None
    assert "belongs to another configuration, data or code" in caplog.text


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, "d", CPU) is None
