"""Between the native and the training grid."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.data.resample import (
    image_to_grid,
    label_to_grid,
    make_geometry,
    outside,
    scribble_to_grid,
)
from cyclemix.data.store import Geometry


def geometry(height: int, width: int, spacing: float, grid: Grid, depth: int = 1) -> Geometry:
    return make_geometry((depth, height, width), (8.0, spacing, spacing), b"", grid)


def test_origin_and_scale_by_hand() -> None:
    made = make_geometry((3, 100, 80), (8.0, 0.5, 1.0), b"h", Grid(spacing_mm=2.0, crop_px=32))
    assert made.scale_yx == (4.0, 2.0)  # native pixels a prepared pixel
    # middles: native (49.5, 39.5), prepared 15.5
    assert made.origin_yx == (49.5 - 4 * 15.5, 39.5 - 2 * 15.5)
    assert made.native_shape == (3, 100, 80)
    assert made.spacing_mm == (8.0, 0.5, 1.0)


def test_equal_grid_is_a_crop() -> None:
    grid = Grid(spacing_mm=1.0, crop_px=32)
    image = np.random.default_rng(0).normal(size=(1, 40, 36)).astype(np.float32)
    label = np.random.default_rng(1).integers(0, 4, (1, 40, 36)).astype(np.uint8)
    made = geometry(40, 36, 1.0, grid)
    assert made.origin_yx == (4.0, 2.0)
    np.testing.assert_allclose(image_to_grid(image, made, 32), image[:, 4:36, 2:34], rtol=1e-6)
    np.testing.assert_array_equal(label_to_grid(label, made, 32), label[:, 4:36, 2:34])
    np.testing.assert_array_equal(scribble_to_grid(label, made, 32), label[:, 4:36, 2:34])


def test_padding_is_unlabelled_never_background() -> None:
    grid = Grid(spacing_mm=1.0, crop_px=32)
    made = geometry(20, 32, 1.0, grid)
    beyond = outside(made, 32)
    assert beyond.sum() == 12 * 32
    assert beyond[:6].all()
    assert beyond[26:].all()
    for move in (label_to_grid, scribble_to_grid):
        moved = move(np.zeros((1, 20, 32), np.uint8), made, 32)
        assert (moved[0][beyond] == UNLABELLED).all()
        assert (moved[0][~beyond] == 0).all()


def test_linear_interpolation_and_averaging() -> None:
    # the tent averages symmetrically, so a ramp keeps its value at each prepared centre
    ramp = np.tile(np.arange(64, dtype=np.float32), (64, 1))[None]
    made = geometry(64, 64, 0.5, Grid(spacing_mm=1.0, crop_px=32))
    moved = image_to_grid(ramp, made, 32)[0]
    np.testing.assert_allclose(moved[:, 1:-1], np.tile(0.5 + 2 * np.arange(1, 31), (32, 1)), rtol=1e-5)
    # a checkerboard is averaged away instead of being aliased
    board = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)[None]
    assert np.abs(image_to_grid(board, made, 32)[0, 1:-1, 1:-1] - 0.5).max() < 1e-5


def test_the_same_bits_on_every_processor() -> None:
    # recorded on x86-64 with AVX2; the BLAS of a processor with AVX-512 rounds a matrix product differently
    plane, row, column = np.indices((3, 57, 64))
    image = ((plane * 31 + row * row * 7 + column * 13) % 1009).astype(np.float32)
    scribble = np.where(image < 300, image % 4, UNLABELLED).astype(np.uint8)
    made = geometry(57, 64, 0.73, Grid(spacing_mm=1.37, crop_px=32), depth=3)
    resampled = image_to_grid(image, made, 32), scribble_to_grid(scribble, made, 32)
    found = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in resampled]
    assert found == ["8ae0e0782f574080", "ba2018b81245fd99"]


def test_enlarging_interpolates_between_neighbours() -> None:
    image = np.zeros((1, 32, 32), np.float32)
    image[0, :, 16:] = 1.0
    made = geometry(32, 32, 2.0, Grid(spacing_mm=1.0, crop_px=64))
    assert made.origin_yx[1] == 15.5 - 0.5 * 31.5  # -0.25
    row = image_to_grid(image, made, 64)[0, 30]
    # native positions 15.25 and 15.75 lie between columns 15 (0) and 16 (1)
    np.testing.assert_allclose(row[[30, 31, 32, 33]], [0.0, 0.25, 0.75, 1.0], atol=1e-6)


@pytest.mark.parametrize("spacing", [0.7, 0.73, 1.0, 1.2])
def test_thin_strokes_survive_whole(spacing: float) -> None:
    scribble = np.full((1, 200, 200), UNLABELLED, np.uint8)
    scribble[0, 40:160, 97] = 2  # a stroke one native pixel wide, down the slice
    grid = Grid(spacing_mm=1.36719, crop_px=64)
    made = geometry(200, 200, spacing, grid)
    moved = scribble_to_grid(scribble, made, 64)[0]
    rows = made.origin_yx[0] + made.scale_yx[0] * np.arange(64)
    crossed = (rows > 42) & (rows < 157)
    widths = (moved[crossed] == 2).sum(axis=1)
    assert widths.min() >= 1
    assert widths.max() <= 2
    assert set(np.unique(moved)) == {2, UNLABELLED}


def test_broad_strokes_keep_their_area() -> None:
    scribble = np.full((1, 200, 200), UNLABELLED, np.uint8)
    scribble[0, 50:150, 80:120] = 1
    made = geometry(200, 200, 0.7, Grid(spacing_mm=1.4, crop_px=96))
    moved = scribble_to_grid(scribble, made, 96)[0]
    area_native, area_moved = 100 * 40 * 0.7**2, (moved == 1).sum() * 1.4**2
    assert abs(area_moved - area_native) <= 0.1 * area_native


def test_the_larger_share_wins_where_strokes_meet() -> None:
    scribble = np.full((1, 64, 64), UNLABELLED, np.uint8)
    scribble[0, :, 30], scribble[0, :, 31:] = 1, 2
    made = geometry(64, 64, 0.5, Grid(spacing_mm=1.5, crop_px=32))
    # prepared column 15 covers native 30 - 1/... : centre 31.5 - 3 * 0.5 = 30, that is columns 29, 30 and 31
    assert made.origin_yx[1] + made.scale_yx[1] * 15 == 30.0
    moved = scribble_to_grid(scribble, made, 32)[0]
    assert set(np.unique(moved[:, 16])) == {2, UNLABELLED}
    assert (moved[10:20, 15] == 1).all()  # a third each: the lower value on a tie


@settings(max_examples=40)
@given(height=st.integers(30, 200), spacing=st.floats(0.7, 1.9), target=st.floats(0.7, 3.5))
def test_middles_coincide_and_the_mapping_is_exact(height: int, spacing: float, target: float) -> None:
    made = geometry(height, height, spacing, Grid(spacing_mm=target, crop_px=64))
    middle = made.origin_yx[0] + made.scale_yx[0] * 31.5
    assert middle == pytest.approx((height - 1) / 2, abs=1e-9)
    # the distance of two prepared pixels in mm is the grid's spacing
    assert made.scale_yx[0] * spacing == pytest.approx(target, rel=1e-12)
