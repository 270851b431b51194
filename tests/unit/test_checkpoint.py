"""Checkpoints are whole, the last two are kept, and a foreign one is not resumed."""

from __future__ import annotations

import errno
import logging
import threading
import time
from pathlib import Path

import pytest
import torch

from cyclemix import checkpoint

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


def test_a_second_training_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def second() -> None:
        with checkpoint.exclusive(tmp_path):
            order.append("second")

    with checkpoint.exclusive(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for its end" not in caplog.text:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_file_system_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with checkpoint.exclusive(tmp_path):
        assert "no file locks on this file system" in caplog.text
