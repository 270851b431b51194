"""MetaImage and NRRD: the array, the geometry, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_files import OWN, write_case, write_own

from cyclemix.data import download, prepare
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.itk import header, load
from cyclemix.data.readers.native import DataError, load_volume, read_image
from cyclemix.data.readers.nifti import header_shape, header_spacing
from cyclemix.data.readers.volumes import files_of
from cyclemix.data.receipts import read_receipt
from cyclemix.data.store import load_case

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")


def write(path: Path, array: np.ndarray) -> Path:
    """(D,H,W) with voxels (6, 1.5, 1.25) mm, its first one at LPS (10, 20, 30), rows and columns swapped."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.25, 1.5, 6.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_array_and_geometry(suffix: str, tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    path = write(tmp_path / f"a{suffix}", array)
    read, own = load(path)
    np.testing.assert_array_equal(read, array)
    assert header_shape(own) == (2, 3, 4)
    assert header_spacing(own) == (6.0, 1.5, 1.25)
    # LPS -> RAS: x, y change sign. A step along the first axis is 1.25 mm of LPS y, the second 1.5 mm of x.
    expected = [[0, -1.5, 0, -10], [-1.25, 0, 0, -20], [0, 0, -6, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(own.get_best_affine(), expected)
    np.testing.assert_allclose(header(path).get_best_affine(), expected)


def test_geometry_is_that_of_itks_own_nifti(tmp_path: Path) -> None:
    array = np.zeros((2, 3, 4), np.uint8)
    path = write(tmp_path / "a.nrrd", array)
    sitk.WriteImage(sitk.ReadImage(str(path)), str(tmp_path / "a.nii.gz"))
    _, nifti = load_volume(str(tmp_path / "a.nii.gz"), "image")
    assert nifti is not None
    np.testing.assert_allclose(header(path).get_best_affine(), nifti.get_best_affine(), atol=1e-5)


def test_what_is_cut_off_or_no_volume_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mha", np.arange(600, dtype=np.int16).reshape(4, 10, 15))
    (tmp_path / "cut.mha").write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cut\.mha: damaged or cut off"):
        load(tmp_path / "cut.mha")
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(DataError, match=r"text\.nrrd: no header that can be read"):
        header(tmp_path / "text.nrrd")
    with pytest.raises(DataError, match=r"absent\.mha: no such file"):
        load(tmp_path / "absent.mha")
    colour = sitk.GetImageFromArray(np.zeros((2, 3, 4, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "rgb.nrrd"))
    with pytest.raises(DataError, match=r"rgb\.nrrd: expected one number per voxel, got 3"):
        load(tmp_path / "rgb.nrrd")


def test_a_data_set_of_metaimages_is_prepared_as_one_of_nifti(tmp_path: Path) -> None:
    root = tmp_path / "scans"
    write_case(root, "a")
    for kind in ("images", "labels", "scribbles"):
        image = sitk.ReadImage(str(root / kind / "a.nii.gz"))
        sitk.WriteImage(image, str(root / kind / "a.mha"))
    cases = []
    for suffix in (".nii.gz", ".mha"):
        spec_file = tmp_path / "own.yaml"
        spec_file.write_text(OWN.format(root=root).replace(".nii.gz", suffix))
        data = tmp_path / suffix.strip(".")
        download.run(spec_file, "all", data / "raw_all.json")
        grid = load_dataset(spec_file).grid
        prepare.run(spec_file, "all", data / "raw_all.json", grid, data / "p" / "index_all.csv")
        cases.append(load_case(data / "p" / "a.npz"))
    for name in ("image", "label", "scribble"):
        np.testing.assert_array_equal(getattr(cases[0], name), getattr(cases[1], name))
    assert read_image(root / "images" / "a.mha")[1] == (5.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("suffix", "voxels"), [(".mhd", ".raw"), (".nhdr", ".raw"), (".mha", ""), (".nrrd", "")]
)
def test_the_file_of_the_voxels_belongs_to_a_detached_header(
    suffix: str, voxels: str, tmp_path: Path
) -> None:
    write(tmp_path / "scans" / f"a{suffix}", np.zeros((2, 3, 4), np.int16))
    expected = [f"scans/a{suffix}"] + ([f"scans/a{voxels}"] if voxels else [])
    assert files_of(tmp_path, f"scans/a{suffix}") == expected


def test_changed_voxels_of_a_detached_header_are_noticed(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    image = tmp_path / "scans/images/a1"
    sitk.WriteImage(sitk.ReadImage(f"{image}.nii.gz"), f"{image}.mhd")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "scans/images/a2.nii.gz")), str(image.with_name("a2.mhd")))
    spec_file.write_text(spec_file.read_text().replace('images/{case}.nii.gz"', 'images/{case}.mhd"'))
    receipt = tmp_path / "data/raw_all.json"
    download.run(spec_file, "all", receipt)
    listed = [Path(file["path"]).name for file in read_receipt(receipt)["files"]]
    assert {"a1.mhd", "a1.raw", "a2.mhd", "a2.raw"} <= set(listed)
    voxels = image.with_suffix(".raw").read_bytes()
    image.with_suffix(".raw").write_bytes(voxels[:-1] + bytes([voxels[-1] ^ 1]))
    grid = load_dataset(spec_file).grid
    message = r"a1\.raw: absent or changed since `download`; run `download` for this part again"
    with pytest.raises(DataError, match=message):
        prepare.run(spec_file, "all", receipt, grid, tmp_path / "data/p/index_all.csv")


def test_a_header_of_many_files_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mhd", np.zeros((2, 3, 4), np.int16))
    path.write_text(path.read_text().replace("a.raw", "LIST"))
    with pytest.raises(
        DataError, match=r"a\.mhd: expected its voxels in the file LIST .* store the volume as \.mha"
    ):
        files_of(tmp_path, "a.mhd")
