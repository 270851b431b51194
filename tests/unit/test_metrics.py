"""Dice and surface distances against values by hand and MONAI's recorded values; brute force: properties."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from cyclemix import metrics
from cyclemix.metrics import dice, miss_distance, surface, surface_metrics

# Two frames of six ACDC patients, the first's label as prediction, the second's as truth; from MONAI 1.6.
# patient, first frame, second frame, label value, (dz, dy, dx), dice, hd, hd95, assd
RECORDED = [
    ("patient001", "01", "12", 1, (10.0, 1.5625, 1.5625), 0.57927, 24.8452, 14.8199, 6.1463),
    ("patient001", "01", "12", 2, (10.0, 1.5625, 1.5625), 0.615165, 15.468, 7.9672, 1.9301),
    ("patient001", "01", "12", 3, (10.0, 1.5625, 1.5625), 0.855657, 13.7073, 9.8821, 2.457),
    ("patient014", "01", "13", 1, (10.0, 1.3671900034, 1.3671900034), 0.796172, 20.3704, 14.4366, 2.8955),
    ("patient014", "01", "13", 2, (10.0, 1.3671900034, 1.3671900034), 0.719362, 7.3625, 3.0571, 0.6704),
    ("patient014", "01", "13", 3, (10.0, 1.3671900034, 1.3671900034), 0.921025, 6.8359, 3.0571, 0.4609),
    ("patient038", "01", "11", 1, (10.0, 0.833333015442, 0.833333015442), 0.715979, 14.7667, 10.1379, 2.5797),
    ("patient038", "01", "11", 2, (10.0, 0.833333015442, 0.833333015442), 0.545291, 14.3856, 10.0347, 2.8099),
    ("patient038", "01", "11", 3, (10.0, 0.833333015442, 0.833333015442), 0.641506, 14.1912, 11.577, 4.878),
    ("patient043", "01", "07", 1, (6.5, 1.91963994503, 1.91963994503), 0.491535, 20.1207, 16.3412, 6.9978),
    ("patient043", "01", "07", 2, (6.5, 1.91963994503, 1.91963994503), 0.510403, 15.3571, 8.8474, 2.1811),
    ("patient043", "01", "07", 3, (6.5, 1.91963994503, 1.91963994503), 0.790382, 15.0499, 11.5178, 2.8702),
    ("patient067", "01", "10", 1, (10.0, 1.3671875, 1.3671875), 0.659466, 26.7911, 20.0, 6.3927),
    ("patient067", "01", "10", 2, (10.0, 1.3671875, 1.3671875), 0.367422, 15.377, 11.0226, 3.5992),
    ("patient067", "01", "10", 3, (10.0, 1.3671875, 1.3671875), 0.573572, 16.9938, 12.898, 5.334),
    ("patient093", "01", "14", 1, (7.0, 1.5625, 1.5625), 0.562551, 18.7683, 14.7639, 7.1047),
    ("patient093", "01", "14", 2, (7.0, 1.5625, 1.5625), 0.135604, 17.4889, 13.9754, 6.6966),
    ("patient093", "01", "14", 3, (7.0, 1.5625, 1.5625), 0.395453, 19.3271, 17.1213, 8.0721),
]


def box(shape: tuple[int, int, int], *slices: slice) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[slices] = True
    return mask


def ball(radius: float, centre: tuple[int, int, int] = (15, 15, 15)) -> np.ndarray:
    grid = np.indices((31, 31, 31)).transpose(1, 2, 3, 0) - np.array(centre)
    return np.linalg.norm(grid, axis=-1) <= radius


def test_shifted_box_by_hand():
    # 3x3x3 boxes two voxels apart in x: 9 surface voxels at 2 mm, 8 at 1 mm (the centre is inside), 9 shared.
    pred = box((5, 5, 7), slice(1, 4), slice(1, 4), slice(1, 4))
    truth = box((5, 5, 7), slice(1, 4), slice(1, 4), slice(3, 6))
    found = surface_metrics(pred, truth, (10.0, 3.0, 1.0))
    assert found == pytest.approx({"hd_mm": 2.0, "hd95_mm": 2.0, "assd_mm": (8 * 1 + 9 * 2) / 26})


def test_hd95_is_the_larger_directed_percentile_not_the_pooled_one():
    truth = box((1, 30, 30), slice(0, 1), slice(0, 1), slice(0, 10))
    pred = truth.copy()
    pred[0, 10, 0] = True
    # pred -> truth: ten zeros and one 10, whose 95th percentile lies half-way; truth -> pred: ten zeros.
    found = surface_metrics(pred, truth, (8.0, 1.0, 1.0))
    assert found == pytest.approx({"hd_mm": 10.0, "hd95_mm": 5.0, "assd_mm": 10 / 21})


def test_surface_is_a_shell_and_the_border_is_outside():
    solid = np.ones((3, 4, 5), dtype=bool)
    assert surface(solid).sum() == 3 * 4 * 5 - 1 * 2 * 3
    plate = np.ones((1, 4, 4), dtype=bool)
    assert surface(plate).all()


def test_identical_masks_have_no_distance():
    assert surface_metrics(ball(6), ball(6), (2.0, 1.0, 1.0)) == {"hd_mm": 0, "hd95_mm": 0, "assd_mm": 0}


@pytest.mark.parametrize("swap", [False, True])
def test_a_missed_structure_counts_as_the_volumes_diagonal(swap):
    empty, voxel = np.zeros((2, 3, 4), dtype=bool), box((2, 3, 4), slice(0, 1), slice(0, 1), slice(0, 1))
    masks = (voxel, empty) if swap else (empty, voxel)
    diagonal = (20**2 + 6**2 + 4**2) ** 0.5
    found = surface_metrics(*masks, (10.0, 2.0, 1.0))
    assert found == pytest.approx(dict.fromkeys(metrics.DISTANCES, diagonal))
    assert miss_distance((2, 3, 4), (10.0, 2.0, 1.0)) == pytest.approx(diagonal)


def test_ragged_predictions_take_the_transform_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    pred, truth = rng.random((2, 6, 20, 20)) < 0.3
    by_tree = surface_metrics(pred, truth, (5.0, 1.0, 1.5))
    monkeypatch.setattr(metrics, "_TREE_POINTS", 0)
    monkeypatch.setattr(metrics, "_by_tree", None)
    assert surface_metrics(pred, truth, (5.0, 1.0, 1.5)) == pytest.approx(by_tree)


def test_refusals_name_what_is_wrong():
    mask = np.zeros((2, 3, 4), dtype=bool)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 4\) and \(2, 3, 5\)"):
        dice(mask, np.zeros((2, 3, 5), dtype=bool))
    with pytest.raises(ValueError, match="truth must be a bool mask, got uint8"):
        surface_metrics(mask, mask.astype(np.uint8), (1, 1, 1))
    with pytest.raises(ValueError, match=r"three positive numbers .*got \(1, 1\)"):
        surface_metrics(mask, mask, (1, 1))
    with pytest.raises(ValueError, match="three positive numbers"):
        surface_metrics(mask, mask, (1, 0, 1))
    with pytest.raises(ValueError, match=r"volumes \(D, H, W\), got shape \(3, 4\)"):
        surface_metrics(mask[0], mask[0], (1, 1, 1))


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: f"{row[0]}-{row[3]}")
def test_equals_monai_on_acdc_frames(mirror: Path, row):
    patient, first, second, value, spacing, *recorded = row
    (folder,) = mirror.glob("raw.githubusercontent.com/HiLab-git/WSL4MIS/*/data/ACDC/ACDC_training_volumes")
    masks = []
    for frame in (first, second):
        with h5py.File(folder / f"{patient}_frame{frame}.h5") as volume:
            masks.append(volume["label"][:] == value)
    assert dice(*masks) == pytest.approx(recorded[0], abs=1e-6)
    found = surface_metrics(*masks, spacing)
    assert [found[name] for name in metrics.DISTANCES] == pytest.approx(recorded[1:], abs=1e-4)
