"""Torch files: a byte that is not what was written is found, wherever it lies."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from flips import every_flip

from cyclemix.inference import torch_file

CPU = torch.device("cpu")


def write(path: Path) -> Path:
    path.write_bytes(torch_file.to_bytes({"weights": torch.arange(512.0), "step": 3}))
    return path


def refused(path: Path) -> bool:
    """Whether the file is refused as damaged; else it must read as `write` wrote it."""
    try:
        read = torch_file.load(path, CPU)
    except torch_file.Damaged:
        return True
    assert read["step"] == 3
    assert torch.equal(read["weights"], torch.arange(512.0))
    return False


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


def test_no_flipped_bit_and_no_cut_changes_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt")
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        content = bytearray(whole)
        content[draw.integers(len(whole))] ^= 1 << int(draw.integers(8))
        path.write_bytes(content)
        found += refused(path)
    assert found > 700  # the others are in gaps that align the contents
    for size in draw.integers(len(whole), size=100):
        path.write_bytes(whole[:size])
        with pytest.raises(torch_file.Damaged):
            torch_file.load(path, CPU)


def test_every_bit_of_the_archives_directory(tmp_path: Path) -> None:
    """One of an entry's bits makes it a folder, of which torch reads nothing and says nothing."""
    path = write(tmp_path / "model.pt")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    found = 0
    for content in every_flip(whole, start):
        path.write_bytes(content)
        found += refused(path)
    assert found > 1000
