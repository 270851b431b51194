"""Torch files: a byte that is not what was written is found, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cyclemix.inference import torch_file

CPU = torch.device("cpu")


def write(path: Path) -> Path:
    path.write_bytes(torch_file.to_bytes({"weights": torch.arange(512.0), "step": 3}))
    return path


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.pt"), write(tmp_path / "b.pt")
    assert first.read_bytes() == second.read_bytes()
    assert torch_file.load(first, CPU)["step"] == 3


def test_a_flipped_bit_in_a_weight_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt")
    content = bytearray(path.read_bytes())
    position = content.index(torch.arange(512.0).numpy().tobytes())
    content[position + 100] ^= 1
    path.write_bytes(content)
    altered = torch.load(path, weights_only=True)["weights"]
    assert not torch.equal(altered, torch.arange(512.0)), "torch itself reads it without a word"
    with pytest.raises(torch_file.Damaged, match=r"data/0 does not match its checksum"):
        torch_file.load(path, CPU)
