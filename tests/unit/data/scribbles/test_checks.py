"""Checks of scribbles and their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.scribbles.checks import check, slice_fractions

CLASSES = ["RV", "MYO"]


def volume() -> np.ndarray:
    """(2,10,10): slice 0 fully stroked, slice 1 only RV."""
    scribble = np.full((2, 10, 10), UNLABELLED, np.uint8)
    scribble[0, 0], scribble[0, 5, :5], scribble[0, 7, :2] = 0, 1, 2
    scribble[1, 5, :3] = 1
    return scribble


def test_fractions_by_hand() -> None:
    assert slice_fractions(volume(), CLASSES) == {
        "slice": [0, 1],
        "background": [0.1, 0.0],
        "RV": [0.05, 0.03],
        "MYO": [0.02, 0.0],
    }


def test_oddities_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check(volume(), CLASSES, "s.nii")
    assert caplog.messages == ["s.nii: slices [1] have strokes, but none of background"]
    caplog.clear()
    check(volume(), [*CLASSES, "LV"], "s.nii")
    assert "s.nii: no stroke of LV in the whole volume" in caplog.messages
    caplog.clear()
    dense = np.zeros((1, 10, 10), np.uint8)
    dense[0, 4:6] = 1
    check(dense, ["RV"], "s.nii")
    assert "100 % of the pixels are labelled, which is unusual for a scribble" in caplog.text
    caplog.clear()
    truth = np.where(volume() == 1, 1, 0).astype(np.uint8)
    truth[0, 0, :4] = 2
    check(volume(), CLASSES, "s.nii", truth)
    # 4 background pixels and 2 MYO pixels of 20 contradict, of the structures' strokes 2 of 10
    assert "s.nii: 30 % of the strokes contradict the dense label" in caplog.messages
