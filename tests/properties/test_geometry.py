"""Native -> prepared -> native: labels return to the native grid for any spacing, size and orientation."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_labels import label_to_native
from nibabel.orientations import ornt_transform
from scipy import ndimage

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.data.readers.alignment import on_image_grid
from cyclemix.data.readers.native import load_volume
from cyclemix.data.resample import label_to_grid, make_geometry
from cyclemix.inference.export import save_labels
from cyclemix.inference.predictor import to_native

SIZE = st.tuples(st.integers(1, 4), st.integers(12, 60), st.integers(12, 60))
SPACING = st.tuples(st.floats(2.0, 12.0), st.floats(0.6, 3.0), st.floats(0.6, 3.0))
ORDER = st.permutations([0, 1, 2])
SIGNS = st.tuples(*[st.sampled_from([-1, 1])] * 3)
TILT = st.tuples(*[st.floats(-0.4, 0.4)] * 3)


def blobs(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """(D,H,W) uint8 of smooth regions 0..3, some pixels of each."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3), mode="wrap")
    return np.digitize(smooth, np.quantile(smooth, [0.5, 0.7, 0.85])).astype(np.uint8)


def near(label: np.ndarray, value: int, reach: tuple[int, int]) -> np.ndarray:
    """Where ``value`` lies within ``reach`` (rows, columns)."""
    return ndimage.maximum_filter(label == value, (1, 2 * reach[0] + 1, 2 * reach[1] + 1), mode="constant")


@settings(max_examples=60)
@given(SIZE, SPACING, st.floats(0.6, 3.0), st.integers(0, 1000))
def test_labels_come_home_within_one_voxel(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], pixel: float, seed: int
) -> None:
    """One voxel of the coarser grid: a prepared pixel's value was read half of its width away at most."""
    side = 4 * math.ceil(max(n * s for n, s in zip(shape[1:], spacing[1:], strict=True)) / pixel / 4 + 1)
    side = max(side, 32)
    geometry = make_geometry(shape, spacing, b"", Grid(spacing_mm=pixel, crop_px=side))
    label = blobs(shape, seed)
    prepared = label_to_grid(label, geometry, side)
    reach = tuple(max(1, math.floor(scale / 2 + 0.5)) for scale in geometry.scale_yx)
    exact = label_to_native(prepared, geometry)
    # the outermost native half pixel may have no prepared centre
    inner = exact != UNLABELLED
    assert inner[:, reach[0] : shape[1] - reach[0], reach[1] : shape[2] - reach[1]].all()
    for value in range(4):
        assert not ((exact == value) & ~near(label, value, (reach[0], reach[1]))).any()
    if max(geometry.scale_yx) <= 0.5:
        np.testing.assert_array_equal(exact, label)
    known = np.where(prepared == UNLABELLED, 0, prepared)
    probs = torch.nn.functional.one_hot(torch.from_numpy(known).long(), 4).permute(0, 3, 1, 2).float()
    home = to_native(probs, geometry).argmax(dim=1).numpy()
    wider = tuple(max(1, math.ceil(scale)) for scale in geometry.scale_yx)
    edge_y, edge_x = wider
    middle = np.s_[:, edge_y : shape[1] - edge_y, edge_x : shape[2] - edge_x]
    for value in range(4):
        assert not ((home == value) & ~near(label, value, (edge_y, edge_x)))[middle].any()


def image_affine(
    spacing: tuple[float, float, float],
    order: list[int],
    signs: tuple[int, int, int],
    tilt: tuple[float, ...],
) -> np.ndarray:
    """Voxel (x,y,z) -> world, mm: axes in any order and direction, tilted."""
    turn = nib.eulerangles.euler2mat(*tilt)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, order] @ np.diag(np.array(signs) * np.array(spacing[::-1]))
    affine[:3, 3] = (-31.5, 12.25, 100.0)
    return affine


@settings(max_examples=60)
@given(SIZE, SPACING, ORDER, SIGNS, TILT, ORDER, SIGNS)
def test_a_label_stored_along_any_axes_is_brought_to_its_image(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    order: list[int],
    signs: tuple[int, int, int],
    tilt: tuple[float, ...],
    label_order: list[int],
    label_signs: tuple[int, int, int],
) -> None:
    """All 48 ways to store an array, on images of any orientation; a prediction is written on the
    image's grid."""
    label = blobs(shape, 7)
    stored = nib.Nifti1Image(label.T, image_affine(spacing, order, signs, tilt))
    own = np.column_stack([label_order, label_signs])
    turned = stored.as_reoriented(ornt_transform(np.column_stack([[0, 1, 2], [1, 1, 1]]), own))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nib.save(nib.Nifti1Image(label.T.astype(np.float32), stored.affine), folder / "image.nii")
        nib.save(turned, folder / "label.nii")
        _, header = load_volume(str(folder / "image.nii"), "image")
        array, header_of_label = load_volume(str(folder / "label.nii"), "label")
        assert header is not None
        found = on_image_grid(array, header_of_label, header, "label", "label.nii")
        save_labels(folder / "prediction.nii.gz", found, header.binaryblock)
        prediction = nib.load(folder / "prediction.nii.gz")
        written = np.asarray(prediction.dataobj).T
    np.testing.assert_array_equal(found, label)
    np.testing.assert_array_equal(written, label)
    np.testing.assert_allclose(prediction.affine, stored.affine, atol=1e-4)
