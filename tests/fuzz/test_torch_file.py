"""Torch files with flipped bits or cut off: read as they were written or refused."""

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


def test_no_flipped_bit_and_no_cut_changes_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt")
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        content = bytearray(whole)
        content[draw.integers(len(whole))] ^= 1 << int(draw.integers(8))
        path.write_bytes(content)
        try:
            read = torch_file.load(path, CPU)
        except torch_file.Damaged:
            found += 1
        else:  # in a gap that aligns the contents
            assert read["step"] == 3
            assert torch.equal(read["weights"], torch.arange(512.0))
    assert found > 700
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
    refused = 0
    for content in every_flip(whole, start):
        path.write_bytes(content)
        try:
            read = torch_file.load(path, CPU)
        except torch_file.Damaged:
            refused += 1
        else:
            assert read["step"] == 3
            assert torch.equal(read["weights"], torch.arange(512.0))
    assert refused > 1000
