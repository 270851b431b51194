"""Written volumes are marked, keep the geometry alone, and replace nothing that is not marked."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cyclemix.data.outputs import is_marked, refuse_foreign, written_header


def save(path: Path, own: bool) -> Path:
    image = nibabel.Nifti1Image(np.ones((4, 5, 3), np.int16), np.diag([-1.5, -1.5, 8, 1]))
    image.header["cal_max"], image.header["descrip"], image.header["aux_file"] = 900, b"cine", b"grey.lut"
    image.header.set_intent("t test", (3,), name="grey")
    header = written_header(image.header, np.dtype(np.uint8)) if own else image.header
    data = np.asarray(image.dataobj).astype(header.get_data_dtype())
    nibabel.save(nibabel.Nifti1Image(data, image.affine, header), path)
    return path


def test_the_header_keeps_geometry_and_nothing_about_grey_values(tmp_path: Path) -> None:
    header = nibabel.load(save(tmp_path / "p.nii.gz", own=True)).header
    assert header.get_zooms() == (1.5, 1.5, 8)
    assert (float(header["cal_max"]), float(header["cal_min"])) == (0, 0)
    assert header.get_intent() == ("none", (), "")
    assert header["aux_file"].item() == b""
    assert header["descrip"].item() == b"cyclemix"


def test_only_own_volumes_are_replaced(tmp_path: Path) -> None:
    refuse_foreign([tmp_path / "none.nii.gz", save(tmp_path / "own.nii.gz", own=True)], "--out")
    foreign = save(tmp_path / "image.nii.gz", own=False)
    with pytest.raises(ValueError, match=r"image\.nii\.gz: already there .* name another --out or move"):
        refuse_foreign([foreign], "--out")


def test_what_cannot_be_read_is_not_own(tmp_path: Path) -> None:
    path = tmp_path / "notes.nii.gz"
    path.write_bytes(b"no volume")
    assert not is_marked(path)
