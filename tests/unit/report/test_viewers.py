"""Segmentations with names and colours, read back as 3D Slicer and ITK-SNAP do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from cyclemix.data.outputs import written_image
from cyclemix.data.readers.itk import segment_names
from cyclemix.inference.segment import Segmented
from cyclemix.report import viewers
from cyclemix.report.plots.style import CARDIAC

AFFINE = np.array([[0, -1.5, 0, 10], [-1.25, 0, 0, 20], [0, 0, -6, 30], [0, 0, 0, 1]], float)
LABELS = np.arange(24, dtype=np.uint8).reshape(4, 3, 2) % 4


def write(folder: Path, voxels: np.ndarray = LABELS) -> Segmented:
    """A segmentation (x,y,z) as `segment` leaves it, and the viewers' files beside it."""
    header = nibabel.Nifti1Image(voxels, AFFINE).header
    nibabel.save(written_image(voxels, header), folder / "p1.nii.gz")
    volumes = pd.DataFrame({"structure": ["RV", "MYO", 'left "LV"'], "volume_ml": 1.0})
    done = Segmented("p1", voxels.T.astype(np.float32), voxels.T, (6.0, 1.5, 1.25), volumes)
    viewers.save(folder, done)
    return done


def test_slicers_file_has_the_labels_their_geometry_names_and_colours(tmp_path: Path) -> None:
    write(tmp_path)
    image = sitk.ReadImage(str(tmp_path / "p1.seg.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), LABELS.T)
    same = sitk.ReadImage(str(tmp_path / "p1.nii.gz"))
    for get in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, get)() == pytest.approx(getattr(same, get)(), abs=1e-5)
    assert segment_names(tmp_path / "p1.seg.nrrd") == {1: "RV", 2: "MYO", 3: 'left "LV"'}
    colour = [float(part) for part in image.GetMetaData("Segment0_Color").split()]
    expected = [int(CARDIAC["RV"][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    assert colour == pytest.approx(expected, abs=1e-3)
    assert image.GetMetaData("Segment2_Extent") == "0 3 0 2 0 1"


def test_itk_snaps_labels_are_eight_columns_with_names(tmp_path: Path) -> None:
    write(tmp_path)
    lines = (tmp_path / "itk-snap-labels.txt").read_text().splitlines()
    rows = [re.fullmatch(r"\s*(\d+)((?:\s+\d+){3})\s+([01])\s+([01])\s+([01])\s+\"([^\"]*)\"", line)
            for line in lines if not line.startswith("#")]  # fmt: skip
    assert [(row[1], row[6]) for row in rows if row] == [
        ("0", "Clear Label"),
        ("1", "RV"),
        ("2", "MYO"),
        ("3", "left 'LV'"),
    ]
    assert rows[1] is not None
    assert rows[1][2].split() == [str(int(CARDIAC["RV"][place : place + 2], 16)) for place in (1, 3, 5)]


def test_a_single_plane_has_three_axes_in_slicer(tmp_path: Path) -> None:
    write(tmp_path, LABELS[..., 0])
    assert sitk.ReadImage(str(tmp_path / "p1.seg.nrrd")).GetSize() == (4, 3, 1)


def test_what_was_edited_since_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path)
    viewers.refuse_foreign(tmp_path, ["p1", "p2"])
    image = sitk.ReadImage(str(tmp_path / "p1.seg.nrrd"))
    image[0, 0, 0] = 3  # painted by hand; Slicer keeps the header's other keys
    sitk.WriteImage(image, str(tmp_path / "p1.seg.nrrd"))
    with pytest.raises(ValueError, match=r"p1\.seg\.nrrd: already there, and not as .* name another --out"):
        viewers.refuse_foreign(tmp_path, ["p1"])
    (tmp_path / "itk-snap-labels.txt").write_text("my colours")
    with pytest.raises(ValueError, match=r"itk-snap-labels\.txt: already there"):
        viewers.refuse_foreign(tmp_path, [])


def test_labels_of_other_structures_are_not_replaced(tmp_path: Path) -> None:
    done = write(tmp_path)
    other = replace(done, volumes=done.volumes.assign(structure=["LV", "MYO", "RV"]))
    with pytest.raises(ValueError, match=r"itk-snap-labels\.txt: of a model with other structures; name"):
        viewers.save(tmp_path, other)
