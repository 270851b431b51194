"""The phantom's scribbles."""

from __future__ import annotations

import numpy as np

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.phantom.strokes import around, draw_scribble


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
        scribble = draw_scribble(label, (1.0, 1.0), np.random.default_rng(seed))
        drawn = scribble != UNLABELLED
        assert set(np.unique(scribble)) == {0, 1, 2, 3, UNLABELLED}
        assert (scribble[drawn] == label[drawn]).all()
        for value in (1, 2, 3):
            assert 0 < (scribble == value).sum() < 0.5 * (label == value).sum()
        assert 0.005 < drawn.mean() < 0.1


def test_background_stroke_keeps_near_the_structures_and_away_from_them() -> None:
    label = ring()
    scribble = draw_scribble(label, (1.0, 1.0), np.random.default_rng(0))
    marked, shown = np.argwhere(scribble == 0), np.argwhere(label > 0)
    distances = np.sqrt(((marked[:, None] - shown[None]) ** 2).sum(-1)).min(axis=1)
    assert distances.min() >= 3
    assert distances.max() <= 17


def test_the_same_stream_draws_the_same() -> None:
    first, second, other = (draw_scribble(ring(), (1.0, 1.0), np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_tiny_structure_gets_a_dot_and_an_empty_slice_a_background_stroke() -> None:
    label = np.zeros((60, 60), np.uint8)
    label[30, 30] = 1
    assert (draw_scribble(label, (1.0, 1.0), np.random.default_rng(0)) == 1).sum() == 1
    empty = draw_scribble(np.zeros((60, 60), np.uint8), (1.0, 1.0), np.random.default_rng(0))
    assert set(np.unique(empty)) == {0, UNLABELLED}


def test_around() -> None:
    region = np.zeros((50, 50), bool)
    region[20:30, 1:5] = True
    assert around(region, (1.0, 2.0), 4.0) == (slice(16, 34), slice(0, 7))
    assert around(np.zeros((5, 5), bool), (1.0, 1.0), 4.0) == (slice(None), slice(None))
