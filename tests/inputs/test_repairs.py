"""Inputs that look odd and work: taken as they are, or brought into order and said so."""

from __future__ import annotations

import gzip
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data_files import Lab, edit_header, edit_voxels

from cyclemix.data.store import load_case

KINDS = ("images", "labels", "scribbles")


def reorder(lab: Lab, kind: str, change: Callable[[nib.Nifti1Image], nib.Nifti1Image]) -> None:
    path = lab.root / kind / "a1.nii.gz"
    nib.save(change(nib.Nifti1Image.from_bytes(nib.load(path).to_bytes())), path)


def to_axes(codes: str) -> Callable[[nib.Nifti1Image], nib.Nifti1Image]:
    """The same volume stored along other axes, as nibabel turns it."""

    def change(image: nib.Nifti1Image) -> nib.Nifti1Image:
        start = nib.io_orientation(image.affine)
        return image.as_reoriented(
            nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(codes))
        )

    return change


def flipped(lab: Lab) -> None:
    reorder(lab, "labels", to_axes("LPS"))


def permuted(lab: Lab) -> None:
    reorder(lab, "scribbles", to_axes("SAR"))


def shifted(lab: Lab) -> None:
    image = nib.load(lab.root / "labels" / "a1.nii.gz")
    affine = image.affine.copy()
    affine[0, 3] += 3
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), lab.root / "labels" / "a1.nii.gz")


def time_axis(lab: Lab) -> None:
    for kind in KINDS:
        path = lab.root / kind / "a1.nii.gz"
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine), path)


def float_label(lab: Lab) -> None:
    edit_voxels(lab.root / "labels" / "a1.nii.gz", lambda array: array.astype(np.float64))


def scaled_label(lab: Lab) -> None:
    """0, 1 and 2 as floats, stored as int16 times a slope: they are read as 0, 1.0000153 and 2."""
    path = lab.root / "labels" / "a1.nii.gz"
    image = nib.load(path)
    scaled = nib.Nifti1Image(np.asarray(image.dataobj).astype(np.float64), image.affine)
    scaled.set_data_dtype(np.int16)
    nib.save(scaled, path)
    assert nib.load(path).get_fdata()[12, 12, 0] != 1


def no_orientation(lab: Lab) -> None:
    edit_header(lab.root / "labels" / "a1.nii.gz", qform_code=0, sform_code=0)


def padding(lab: Lab) -> None:
    path = lab.root / "images" / "a1.nii.gz"
    image = nib.load(path)
    nib.save(image, path.with_suffix(""))  # uncompressed
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes() + bytes(512)))
    path.with_suffix("").unlink()


# fmt: off
CASES: dict[str, tuple[Callable[[Lab], None], str]] = {
    "label flipped against the image": (flipped,
     "stored along other axes than the image; turned to it (its -x, -y, +z)"),
    "label with permuted axes": (permuted,
     "stored along other axes than the image; turned to it (its +z, +y, +x)"),
    "label shifted against the image": (shifted,
     "its affine places it 3.0 mm from the image; same grid, so the image's"),
    "label header without orientation": (no_orientation,
     "its header gives no orientation; the image's is used"),
    "4D with a last axis of 1": (time_axis, ""),
    "float label of whole numbers": (float_label, ""),
    "label scaled by its header": (scaled_label,
     "label values within 0.001 of whole numbers (scl_slope 3.05"),
    "padding behind the volume": (padding, ""),
}
# fmt: on


@pytest.mark.parametrize("name", CASES)
def test_the_prepared_arrays_are_those_of_the_clean_files(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    change, message = CASES[name]
    clean, lab = Lab(tmp_path / "clean"), Lab(tmp_path / "odd")
    for one in (clean, lab):  # nothing symmetric
        edit_voxels(one.root / "labels" / "a1.nii.gz", corner)
    change(lab)
    clean.prepare()
    caplog.clear()
    lab.prepare()
    expected, found = load_case(clean.npz("a1")), load_case(lab.npz("a1"))
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.scribble, expected.scribble)
    np.testing.assert_array_equal(found.image, expected.image)
    assert message in caplog.text
    assert not caplog.records or message


def corner(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[1, 6:9, 5:12] = 2
    return array


def repeat_slices(lab: Lab, count: int) -> None:
    """Case a1 with ``count`` slices, its two in turn."""
    for kind in KINDS:
        path = lab.root / kind / "a1.nii.gz"
        edit_voxels(path, lambda array: np.resize(array, (count, *array.shape[1:])))


def single_slice(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    repeat_slices(lab, 1)
    assert lab.prepare()["n_slices"].tolist() == [1, 2]


def five_hundred_slices(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    repeat_slices(lab, 500)
    for kind in KINDS:
        edit_voxels(lab.root / kind / "a1.nii.gz", lambda array: np.tile(array, (1, 2, 2)))
    native = 500 * 80 * 72 * 4  # bytes of the float32 image
    tracemalloc.start()
    index = lab.prepare(threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert index["n_slices"].tolist() == [500, 2]
    assert peak < 12 * native  # 87 MB for 12 MB of voxels: no copy a slice


ODD_NAMES = (
    "7",
    "IMG-0007 (2)",
    "Müller 3.v2",
    "Müller, Jürgen 1",
    "série #4, axial",
    "心臓 2",
    "it's [3] #x;%s{}",
)


def names(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "Bilder – été 心臓", cases=ODD_NAMES)
    assert lab.prepare()["case"].tolist() == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        assert load_case(lab.npz(name)).subject == name
    again = lab.prepare()
    assert again["path"].map(lambda path: Path(path).is_file()).all()


def big_endian(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    expected = load_case(prepared(lab)).image
    path = lab.root / "images" / "a1.nii.gz"
    image = nib.load(path)
    swapped = nib.Nifti1Image(
        np.asarray(image.dataobj).astype(">f4"), image.affine, image.header.as_byteswapped(">")
    )
    nib.save(swapped, path)
    np.testing.assert_array_equal(load_case(prepared(lab)).image, expected)


def prepared(lab: Lab) -> Path:
    shutil.rmtree(lab.index.parent, ignore_errors=True)
    lab.prepare()
    return lab.npz("a1")


WORKS: dict[str, Callable[[Path], None]] = {
    "single-slice volume": single_slice,
    "500-slice volume": five_hundred_slices,
    "unicode and spaces in names": names,
    "big-endian file": big_endian,
}


@pytest.mark.parametrize("name", WORKS)
def test_works(tmp_path: Path, name: str) -> None:
    WORKS[name](tmp_path)
