"""Written volumes are marked, keep the geometry alone, and replace only unchanged volumes of this project."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cyclemix.data.outputs import GEOMETRY, is_marked, is_own, refuse_foreign, written_image

VOXELS = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def image() -> nibabel.Nifti1Image:
    found = nibabel.Nifti1Image(VOXELS.astype(np.int16), np.diag([-1.5, -1.5, 8, 1]))
    found.header["cal_max"], found.header["descrip"], found.header["aux_file"] = 900, b"cine", b"grey.lut"
    found.header.set_intent("t test", (3,), name="grey")
    found.header["glmax"], found.header["slice_duration"], found.header["db_name"] = 900, 2, b"study"
    found.header.set_xyzt_units("mm", "sec")
    return found


def own(path: Path) -> Path:
    nibabel.save(written_image(VOXELS, image().header), path)
    return path


def test_the_header_keeps_geometry_and_nothing_about_grey_values(tmp_path: Path) -> None:
    header, source = nibabel.load(own(tmp_path / "p.nii.gz")).header, image().header
    assert header.get_zooms() == (1.5, 1.5, 8)
    assert np.array_equal(header.get_best_affine(), source.get_best_affine())
    assert header.get_xyzt_units() == source.get_xyzt_units()
    fresh = nibabel.Nifti1Header()
    fresh.set_data_dtype(np.uint8)
    fresh["descrip"] = f"cyclemix {zlib.crc32(VOXELS.tobytes()):08x}".encode()
    others = [name for name in header if name not in (*GEOMETRY, "scl_slope", "scl_inter", "vox_offset")]
    assert [name for name in others if header[name] != fresh[name]] == []
    assert header.get_slope_inter() in ((None, None), (1, 0))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_own_volumes_are_replaced(tmp_path: Path, suffix: str) -> None:
    refuse_foreign([tmp_path / f"none{suffix}", own(tmp_path / f"own{suffix}")], [], "--out")


def test_other_images_are_not(tmp_path: Path) -> None:
    nibabel.save(image(), tmp_path / "image.nii.gz")
    with pytest.raises(ValueError, match=r"image\.nii\.gz: already there, and not as .* name another --out"):
        refuse_foreign([tmp_path / "image.nii.gz"], [], "--out")


def test_a_segmentation_corrected_by_hand_is_not(tmp_path: Path) -> None:
    """The editor keeps the header: only the voxels say that somebody worked on it."""
    path = own(tmp_path / "p.nii.gz")
    found = nibabel.load(path)
    corrected = np.asarray(found.dataobj).copy()
    corrected[0, 0, 0] = 3
    nibabel.save(nibabel.Nifti1Image(corrected, found.affine, found.header), path)
    with pytest.raises(ValueError, match="edited since"):
        refuse_foreign([path], [], "--out")
    assert is_marked(path), "it is still a label, no image to segment"


def test_an_input_is_never_its_own_output(tmp_path: Path) -> None:
    path = own(tmp_path / "p.nii.gz")
    with pytest.raises(ValueError, match=r"p\.nii\.gz: an input, which its output would replace"):
        refuse_foreign([tmp_path / "." / "p.nii.gz"], [path], "--out")


def test_what_cannot_be_read_is_not_own(tmp_path: Path) -> None:
    path = tmp_path / "notes.nii.gz"
    path.write_bytes(b"no volume")
    assert not is_own(path)
    assert not is_marked(path)
