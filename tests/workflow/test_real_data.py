"""Real MSCMRseg and ACDC volumes from the mirror: geometry, labels, sizes, disjoint patients."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from native_labels import label_to_native
from studies import with_lists

from cyclemix.config.labels import UNLABELLED
from cyclemix.data import download, prepare
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import read_native
from cyclemix.data.store import load_case, read_index

CONFIG = Path(__file__).resolve().parents[2] / "config"
MSCMR, ACDC = (CONFIG / "datasets" / f"{label}.yaml" for label in ("mscmr", "acdc"))


def make(spec_file: Path, folder: Path, part: str, mirror: Path) -> pd.DataFrame:
    """Download and prepare a part on the data set's own grid; its index."""
    grid = load_dataset(spec_file).grid
    index = folder / "prepared" / grid.name / f"index_{part}.csv"
    download.run(spec_file, part, folder / f"raw_{part}.json", str(mirror), threads=2)
    prepare.run(spec_file, part, folder / f"raw_{part}.json", grid, index, threads=2)
    return read_index([index])


@pytest.fixture(scope="module")
def mscmr(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """All 25 + 5 cases of MSCMRseg that the mirror holds."""
    folder = tmp_path_factory.mktemp("mscmr")
    return folder, pd.concat([make(MSCMR, folder, part, mirror) for part in ("train", "val")])


@pytest.fixture(scope="module")
def acdc(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pd.DataFrame]:
    """Four training and two validation patients of ACDC; one has no frame01."""
    folder = tmp_path_factory.mktemp("acdc")
    spec_file = with_lists(ACDC, folder / "acdc.yaml", train=[4, 14, 38, 90], val=[17, 22])
    return folder, spec_file, pd.concat([make(spec_file, folder, part, mirror) for part in ("train", "val")])


def test_mscmr_is_complete_and_small(mscmr: tuple[Path, pd.DataFrame]) -> None:
    folder, index = mscmr
    assert len(index) == 30
    assert index["supervision"].tolist() == ["scribble"] * 25 + ["full"] * 5
    size = sum(Path(path).stat().st_size for path in index["path"])
    assert size < 30e6
    train = index[index["supervision"] == "scribble"]
    marked = train[["scribble_background", "scribble_RV", "scribble_MYO", "scribble_LV"]].sum(axis=1)
    assert marked.between(0.005, 0.12).all()
    assert (train[["scribble_RV", "scribble_MYO", "scribble_LV"]] > 0).all().all()
    assert {p.name for p in folder.iterdir()} == {"raw", "prepared", "raw_train.json", "raw_val.json"}


def test_mscmr_geometry_is_the_headers(mscmr: tuple[Path, pd.DataFrame]) -> None:
    folder, index = mscmr
    for row in index.iloc[::7].itertuples():
        (path,) = (folder / "raw").glob(f"MSCMR_dataset/*/images/{row.case}.nii.gz")
        image, case = nib.load(path), load_case(Path(str(row.path)))
        np.testing.assert_allclose(case.geometry.spacing_mm, image.header.get_zooms()[::-1], rtol=1e-6)
        assert case.geometry.native_shape == image.shape[::-1]
        header = nib.Nifti1Header(case.geometry.header)
        np.testing.assert_array_equal(header.get_best_affine(), image.affine)
        assert case.image.shape == (image.shape[2], 212, 212)


def volume_overlap(truth: np.ndarray, back: np.ndarray, value: int) -> float:
    """Dice of a class, pixels outside the square counted as background."""
    first, second = truth == value, back == value
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def test_dense_labels_come_home(
    mscmr: tuple[Path, pd.DataFrame], acdc: tuple[Path, Path, pd.DataFrame]
) -> None:
    """To the training grid and back loses only what its pixel size must lose."""
    for folder, spec_file, index in ((mscmr[0], MSCMR, mscmr[1]), acdc):
        spec = load_dataset(spec_file)
        receipt = json.loads((folder / "raw_val.json").read_text())
        for entry in receipt["cases"][:3]:
            truth = read_native(spec, folder / "raw", entry, "label")[0]
            case = load_case(Path(index.set_index("case").loc[entry["case"], "path"]))
            assert case.label is not None
            back = label_to_native(case.label, case.geometry)
            assert back.shape == truth.shape
            for value in (1, 2, 3):
                assert volume_overlap(truth, back, value) > 0.93


def test_scribbles_keep_their_share(
    mscmr: tuple[Path, pd.DataFrame], acdc: tuple[Path, Path, pd.DataFrame]
) -> None:
    """The marked area in mm^2, by class, changes little and no class is lost on any slice."""
    for folder, spec_file, index in ((mscmr[0], MSCMR, mscmr[1]), acdc):
        spec = load_dataset(spec_file)
        pixel = spec.grid.spacing_mm**2
        for entry in json.loads((folder / "raw_train.json").read_text())["cases"][:3]:
            native, spacing, _ = read_native(spec, folder / "raw", entry, "scribble")
            scribble = load_case(Path(index.set_index("case").loc[entry["case"], "path"])).scribble
            assert scribble is not None
            for value in (1, 2, 3):
                before, after = (native == value).sum(axis=(1, 2)), (scribble == value).sum(axis=(1, 2))
                assert ((after > 0) == (before > 0)).all()
                share = after.sum() * pixel / (before.sum() * spacing[1] * spacing[2])
                assert 0.8 < share < 1.5
            drawn = (scribble != UNLABELLED).mean()
            assert 0 < drawn < 0.15


def test_acdc_geometry_is_the_tables(acdc: tuple[Path, Path, pd.DataFrame]) -> None:
    """Spacing, slices and group of the scribbles' headers against an independent table."""
    with (CONFIG / "manifests" / "acdc_patients.tsv").open() as stream:
        table = {row["patient"]: row for row in csv.DictReader(stream, delimiter="\t")}
    _, _, index = acdc
    assert len(index) == 12
    for row in index.itertuples():
        known = table[str(row.subject)]
        assert row.spacing_y_mm == pytest.approx(float(known["spacing_xy_mm"]), abs=1e-5)
        assert row.spacing_x_mm == pytest.approx(float(known["spacing_xy_mm"]), abs=1e-5)
        assert row.spacing_z_mm == pytest.approx(float(known["slice_spacing_mm"]), abs=1e-5)
        assert row.n_slices == int(known["n_slices"])
        assert row.group == known["group"]
        assert row.supervision == "both"
    assert sorted(index.loc[index["subject"] == "patient090", "frame"]) == ["frame04", "frame11"]


def test_acdc_from_the_original_layout(
    acdc: tuple[Path, Path, pd.DataFrame], mirror: Path, tmp_path: Path
) -> None:
    """The same volumes as ``patientXXX/patientXXX_frameYY[_gt].nii.gz`` give the same prepared cases."""
    folder, spec_file, index = acdc
    spec, root = load_dataset(spec_file), tmp_path / "training"
    for entry in json.loads((folder / "raw_val.json").read_text())["cases"]:
        header = nib.Nifti1Header(read_native(spec, folder / "raw", entry, "image")[2])
        with h5py.File(folder / "raw" / entry["image"].partition("::")[0]) as stored:
            for suffix, array in (("", stored["image"][()] * 1000), ("_gt", stored["label"][()])):
                path = root / entry["subject"] / f"{entry['case']}{suffix}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(array.T.astype(np.float32), header.get_best_affine()), path)
        (path.parent / f"{entry['subject']}_4d.nii.gz").write_bytes(gzip.compress(b"not read"))
    local = tmp_path / "acdc.yaml"
    local.write_text(spec_file.read_text().replace("root: null", f"root: {root}"))
    again = make(local, tmp_path / "data", "val", mirror)
    raw = tmp_path / "data" / "raw"
    assert [p.name for p in raw.rglob("*") if p.is_file()] == ["acdc_scribbles.zip"]
    columns = ["case", "group", "n_slices", "spacing_z_mm", "spacing_x_mm", "supervision", "scribble_MYO"]
    first = index[index["case"].isin(again["case"])].sort_values("case")
    assert again[columns].to_numpy().tolist() == first[columns].to_numpy().tolist()
    for mine, theirs in zip(again["path"], first["path"], strict=True):
        one, two = load_case(Path(mine)), load_case(Path(theirs))
        np.testing.assert_allclose(one.image, two.image, atol=0.04)
        for a, b in ((one.label, two.label), (one.scribble, two.scribble)):
            assert a is not None
            assert b is not None
            np.testing.assert_array_equal(a, b)


def test_the_mirrors_acdc_holds_one_scan_twice(mirror: Path, tmp_path: Path) -> None:
    """Patients 74 and 76 share their images: known under same_person, refused without."""
    spec_file = with_lists(ACDC, tmp_path / "acdc.yaml", train=[74], val=[17], masks=[76])
    make_part: Callable[[str], Any] = lambda part: make(spec_file, tmp_path, part, mirror)  # noqa: E731
    make_part("train")
    with pytest.raises(ValueError, match="patient076_frame01, patient074_frame01 hold the same image"):
        make_part("masks")
    spec_file.write_text(spec_file.read_text() + "same_person: [[patient074, patient076]]\n")
    make_part("train")
    assert make_part("masks")["person"].tolist() == ["patient074"] * 2
