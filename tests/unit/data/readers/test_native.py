"""Reading upstream volumes: geometry by the header, nothing damaged passes."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
from data_files import write_nifti, write_own

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import DataError, read_native
from cyclemix.data.spec import DatasetSpec


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    return load_dataset(write_own(tmp_path))


@pytest.fixture
def entry(tmp_path: Path, spec: DatasetSpec) -> dict[str, Any]:
    root = tmp_path / "scans"
    kinds = {"image": "images", "label": "labels", "scribble": "scribbles"}
    return {"case": "a1"} | {kind: str(root / folder / "a1.nii.gz") for kind, folder in kinds.items()}


def test_axes_are_transposed_and_spacing_comes_from_the_header(tmp_path: Path, spec: DatasetSpec) -> None:
    volume = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # (D,H,W)
    path = write_nifti(tmp_path / "v.nii.gz", volume, (8.0, 1.5, 0.75))
    array, spacing, header = read_native(spec, tmp_path, {"case": "v", "image": "v.nii.gz"}, "image")
    np.testing.assert_array_equal(array, volume)
    assert array.dtype == np.float32
    assert spacing == (8.0, 1.5, 0.75)
    assert len(header) == 348
    assert header == gzip.decompress(path.read_bytes())[:348]


def test_labels_take_the_tables_values(tmp_path: Path, spec: DatasetSpec, entry: dict[str, Any]) -> None:
    label, _, _ = read_native(spec, tmp_path, entry, "label")
    scribble, spacing, _ = read_native(spec, tmp_path, entry, "scribble")
    assert np.unique(label).tolist() == [0, 1, 2]
    assert np.unique(scribble).tolist() == [0, 1, 2, UNLABELLED]
    assert (scribble[0, 5, 4:32] == 0).all()  # value 3 is background here
    assert scribble[0, 0, 0] == UNLABELLED
    assert spacing == (5.0, 1.0, 1.0)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_truncated_gzip_is_refused(
    tmp_path: Path, spec: DatasetSpec, entry: dict[str, Any], part: float
) -> None:
    path = Path(entry["label"])
    content = path.read_bytes()
    path.write_bytes(content[: max(4, int(part * len(content)))])
    with pytest.raises(DataError, match=r"labels/a1\.nii\.gz: damaged or cut off"):
        read_native(spec, tmp_path, entry, "label")


def test_absent(tmp_path: Path, spec: DatasetSpec) -> None:
    with pytest.raises(DataError, match=r"gone\.nii\.gz: no such file"):
        read_native(spec, tmp_path, {"case": "t", "image": "gone.nii.gz"}, "image")
    with pytest.raises(DataError, match="case t: the data set gives it no label"):
        read_native(spec, tmp_path, {"case": "t", "image": "gone.nii.gz", "label": None}, "label")


def test_units_and_odd_shapes(tmp_path: Path, spec: DatasetSpec) -> None:
    image = nib.Nifti1Image(np.ones((4, 3, 2, 1), np.int16), np.diag([1e-3, 2e-3, 8e-3, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "m.nii.gz")
    array, spacing, _ = read_native(spec, tmp_path, {"case": "m", "image": "m.nii.gz"}, "image")
    assert array.shape == (2, 3, 4)
    np.testing.assert_allclose(spacing, (8, 2, 1), rtol=1e-6)
    nib.save(nib.Nifti1Image(np.ones((4, 3), np.int16), np.diag([1, 2, 1, 1])), tmp_path / "flat.nii.gz")
    array, spacing, _ = read_native(spec, tmp_path, {"case": "f", "image": "flat.nii.gz"}, "image")
    assert array.shape == (1, 3, 4)
    assert spacing[1:] == (2.0, 1.0)


def test_nifti2_header_is_converted(tmp_path: Path, spec: DatasetSpec) -> None:
    nib.save(nib.Nifti2Image(np.ones((4, 3, 2), np.int16), np.diag([1, 2, 8, 1])), tmp_path / "two.nii.gz")
    array, spacing, header = read_native(spec, tmp_path, {"case": "t", "image": "two.nii.gz"}, "image")
    assert array.shape == (2, 3, 4)
    assert spacing == (8.0, 2.0, 1.0)
    assert len(header) == 348


def acdc_like(tmp_path: Path, scribble_shape: tuple[int, ...] = (2, 3, 4)) -> dict[str, Any]:
    """HDF5 volume without geometry, scribble in a zip with it."""
    with h5py.File(tmp_path / "v.h5", "w") as stored:
        stored["image"] = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        stored["label"] = np.ones((2, 3, 4), np.uint8)
    write_nifti(tmp_path / "s.nii.gz", np.ones(scribble_shape, np.uint8), (10.0, 1.25, 1.5))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.write(tmp_path / "s.nii.gz", "deep/s.nii.gz")
    return {"case": "v", "image": "v.h5::image", "label": "v.h5::label", "scribble": "s.zip::deep/s.nii.gz"}


def with_geometry(spec: DatasetSpec, kind: str) -> DatasetSpec:
    return spec.model_copy(update={"files": spec.files.model_copy(update={"geometry": kind})})


def test_hdf5_takes_the_geometry_of_the_named_file(tmp_path: Path, spec: DatasetSpec) -> None:
    entry = acdc_like(tmp_path)
    image, spacing, _ = read_native(with_geometry(spec, "scribble"), tmp_path, entry, "image")
    assert image[1, 2, 3] == 23
    assert spacing == (10.0, 1.25, 1.5)
    label, spacing, _ = read_native(with_geometry(spec, "scribble"), tmp_path, entry, "label")
    assert (label == 1).all()
    assert spacing == (10.0, 1.25, 1.5)


def test_hdf5_of_another_shape_than_its_geometry_is_refused(tmp_path: Path, spec: DatasetSpec) -> None:
    entry = acdc_like(tmp_path, (2, 4, 3))
    with pytest.raises(
        DataError, match=r"v\.h5::image: image has shape \(2, 3, 4\) .* expected the image's \(2, 4, 3\)"
    ):
        read_native(with_geometry(spec, "scribble"), tmp_path, entry, "image")
