"""Prepared cases as tensors: with the margin for training, without it for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from data_files import Lab
from training import settings

from cyclemix.config.models import Grid
from cyclemix.data.store import load_case
from cyclemix.training.slices import load_slices, load_volumes

PAPER = Grid(spacing_mm=1.0, crop_px=32, preparation="paper")


def test_training_sees_the_margin_and_validation_the_crop(tmp_path: Path) -> None:
    lab = Lab(tmp_path, cases=("a1",))
    lab.download()
    cases = lab.prepare_only(grid=PAPER)
    config = settings().model_copy(update={"grid": PAPER, "classes": ["RV", "LV"]})
    slices = load_slices(cases, config, torch.device("cpu"))
    assert slices.image.shape == (2, 1, 46, 46)
    assert slices.target.shape == (2, 46, 46)
    assert slices.size == (32, 32)
    (volume,) = load_volumes(cases, torch.device("cpu"))
    assert volume.image.shape == (2, 1, 32, 32)
    assert torch.equal(volume.image, slices.image[..., 7:39, 7:39])
    case = load_case(lab.npz("a1"))
    np.testing.assert_array_equal(volume.truth.numpy(), case.label)
    np.testing.assert_array_equal(slices.target[:, 7:39, 7:39].numpy(), case.scribble)
