"""Simulated scribbles, checks and statistics."""

from __future__ import annotations

import numpy as np
import pytest

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.readers.native import DataError
from cyclemix.data.scribbles.checks import around, check, simulate, slice_fractions

CLASSES = ["RV", "MYO"]


def ring(size: int = 120) -> np.ndarray:
    """A disc (3) in a ring (2), a square (1) beside."""
    y, x = np.indices((size, size)) - size // 2
    radius = np.hypot(y, x)
    label = np.zeros((size, size), np.uint8)
    label[40:70, 10:30] = 1
    label[radius <= 25] = 2
    label[radius <= 15] = 3
    return label


def test_strokes_are_thin_inside_their_class_and_reach_every_class() -> None:
    label = ring()
    for seed in range(5):
        scribble = simulate(label, (1.0, 1.0), np.random.default_rng(seed))
        drawn = scribble != UNLABELLED
        assert set(np.unique(scribble)) == {0, 1, 2, 3, UNLABELLED}
        assert (scribble[drawn] == label[drawn]).all()
        for value in (1, 2, 3):
            assert 0 < (scribble == value).sum() < 0.5 * (label == value).sum()
        assert 0.005 < drawn.mean() < 0.1


def test_background_stroke_keeps_near_the_structures_and_away_from_them() -> None:
    label = ring()
    scribble = simulate(label, (1.0, 1.0), np.random.default_rng(0))
    marked, shown = np.argwhere(scribble == 0), np.argwhere(label > 0)
    distances = np.sqrt(((marked[:, None] - shown[None]) ** 2).sum(-1)).min(axis=1)
    assert distances.min() >= 3
    assert distances.max() <= 17


def test_the_same_stream_draws_the_same() -> None:
    first, second, other = (simulate(ring(), (1.0, 1.0), np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_tiny_structure_gets_a_dot_and_an_empty_slice_a_background_stroke() -> None:
    label = np.zeros((60, 60), np.uint8)
    label[30, 30] = 1
    assert (simulate(label, (1.0, 1.0), np.random.default_rng(0)) == 1).sum() == 1
    empty = simulate(np.zeros((60, 60), np.uint8), (1.0, 1.0), np.random.default_rng(0))
    assert set(np.unique(empty)) == {0, UNLABELLED}


def test_around() -> None:
    region = np.zeros((50, 50), bool)
    region[20:30, 1:5] = True
    assert around(region, (1.0, 2.0), 4.0) == (slice(16, 34), slice(0, 7))
    assert around(np.zeros((5, 5), bool), (1.0, 1.0), 4.0) == (slice(None), slice(None))


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


@pytest.mark.parametrize(
    ("fill", "message"), [(UNLABELLED, "no pixel is labelled"), (0, "only background is marked")]
)
def test_empty_scribble_is_refused(fill: int, message: str) -> None:
    with pytest.raises(DataError, match=rf"s\.nii: empty scribble, {message}; expected strokes of RV, MYO"):
        check(np.full((1, 4, 4), fill, np.uint8), CLASSES, "s.nii")


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
    assert "100 % of the pixels are labelled, much for a scribble" in caplog.text
    caplog.clear()
    truth = np.where(volume() == 1, 1, 0).astype(np.uint8)
    truth[0, 0, :4] = 2
    check(volume(), CLASSES, "s.nii", truth)
    # 4 background pixels and 2 MYO pixels of 20 contradict, of the structures' strokes 2 of 10
    assert "s.nii: 30 % of the strokes contradict the dense label" in caplog.messages


def test_strokes_that_mostly_contradict_the_label_are_refused() -> None:
    truth = np.where(volume() == 1, 2, 0).astype(np.uint8)
    with pytest.raises(
        DataError, match=r"s\.nii: 100 % of the structures' strokes contradict the dense label"
    ):
        check(volume(), CLASSES, "s.nii", truth)
