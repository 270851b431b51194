"""The generated hearts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cyclemix.data.phantom import phantom
from cyclemix.data.phantom.hearts import LV, MYO, RV

SEEDS = [(7, i) for i in range(3)]


@pytest.fixture(scope="module", params=SEEDS, ids=str)
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, np.ndarray]]:
    """Image, label and scribble of both frames, (D,H,W), with spacing."""
    folder = tmp_path_factory.mktemp("heart")
    frames = phantom.write_subject(folder, "h", request.param)
    out = []
    for frame in frames:
        images = {
            k: nib.load(folder / "h" / f"h_{frame}{s}.nii.gz")
            for k, s in (("image", ""), ("label", "_gt"), ("scribble", "_scribble"))
        }
        arrays = {kind: np.asarray(image.dataobj).T for kind, image in images.items()}
        out.append({**arrays, "spacing": np.array(images["image"].header.get_zooms()[::-1], float)})
    return out


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    def digest(folder: str, seeds: tuple[int, ...]) -> str:
        phantom.write_subject(tmp_path / folder, "h", seeds)
        content = b"".join(p.read_bytes() for p in sorted((tmp_path / folder).rglob("*.nii.gz")))
        return hashlib.sha256(content).hexdigest()

    assert digest("a", (1, 2)) == digest("b", (1, 2)) != digest("c", (1, 3))


def test_existing_equal_files_are_left_alone(tmp_path: Path) -> None:
    phantom.write_subject(tmp_path, "h", (1,))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")}
    phantom.write_subject(tmp_path, "h", (1,))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")} == before
    assert len(before) == 6


def test_geometry_is_a_scanners(subject: list[dict[str, np.ndarray]]) -> None:
    for frame in subject:
        dz, dy, dx = frame["spacing"]
        assert 5 <= dz <= 10
        assert dy == dx
        assert 0.69 < dx < 1.91
        assert 5 <= len(frame["image"]) <= 8
        assert 190 < frame["image"].shape[1] * dy < 260
        assert 190 < frame["image"].shape[2] * dx < 260
        assert frame["image"].dtype == np.int16


def test_anatomy(subject: list[dict[str, np.ndarray]]) -> None:
    for frame in subject:
        label, spacing = frame["label"], frame["spacing"]
        assert set(np.unique(label)) == {0, RV, MYO, LV}
        for plane in label:  # the wall encloses the cavity
            cavity = plane == LV
            assert cavity.any()
            rim = ndimage.binary_dilation(cavity) & ~cavity
            assert (plane[rim] == MYO).all()
        area = (label == LV).sum(axis=(1, 2))
        assert area[0] > 1.5 * area[-1]  # tapers to the apex
        assert (label[0] == RV).any()
        assert (label[-1] == RV).sum() < (label[0] == RV).sum()
        assert 20 < (label == LV).sum() * spacing.prod() / 1000 < 250  # ml


def test_the_heart_contracts(subject: list[dict[str, np.ndarray]]) -> None:
    diastole, systole = ((frame["label"] == LV).sum() for frame in subject)
    ejected = (diastole - systole) / diastole
    assert 0.3 < ejected < 0.8
    muscle = [(frame["label"] == MYO).sum() for frame in subject]
    assert 0.7 < muscle[1] / muscle[0] < 1.4


def test_scribbles_are_sparse_and_true(subject: list[dict[str, np.ndarray]]) -> None:
    for frame in subject:
        drawn = frame["scribble"] != phantom.UPSTREAM_UNLABELLED
        assert (frame["scribble"][drawn] == frame["label"][drawn]).all()
        assert 0.003 < drawn.mean() < 0.06
        for plane, truth in zip(frame["scribble"], frame["label"], strict=True):
            assert set(np.unique(plane)) == {*np.unique(truth), phantom.UPSTREAM_UNLABELLED}


def test_look_alikes_share_the_cavitys_grey_far_from_the_heart(subject: list[dict[str, np.ndarray]]) -> None:
    """Outside the heart and its background stroke lies at least as much blood-grey tissue as in the LV."""
    frame = subject[0]
    middle = len(frame["label"]) // 2
    image, label = frame["image"][middle].astype(float), frame["label"][middle]
    image = ndimage.gaussian_filter(image, 1.5 / frame["spacing"][1])
    low, high = np.percentile(image[label == LV], (10, 90))
    away = ndimage.distance_transform_edt(label == 0, sampling=frame["spacing"][1:]) > 16
    alike = away & (image > low) & (image < high)
    assert alike.sum() > 0.5 * (label == LV).sum()
    assert (frame["scribble"][middle][alike] == phantom.UPSTREAM_UNLABELLED).all()
