"""MetaImage and NRRD volumes, read by SimpleITK, with their geometry as a NIfTI-1 header.

ITK's world axes point to the patient's left and back (LPS), NIfTI's to the right and front (RAS): the first
two rows of the affine change sign.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from cyclemix.data.readers.sizes import check_sizes
from cyclemix.data.readers.volumes import LONGEST_HEADER
from cyclemix.data.reading import DataError

NRRD_SIZES = re.compile(rb"^(?:space directions|spacings):.*\d", re.IGNORECASE | re.MULTILINE)
META_SIZES = re.compile(rb"^(?:ElementSpacing|ElementSize)\s*=.*\d", re.IGNORECASE | re.MULTILINE)
"""Header lines with voxel sizes."""

NRRD_UNITS = re.compile(rb"^(?:space )?units:(.*)$", re.IGNORECASE | re.MULTILINE)

MILLIMETRES = {"mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "???"}
"""Units of length that mean mm or are unspecified."""

SEGMENTATION = ".seg.nrrd"
"""Extension of 3D Slicer's segmentations, whose header has names of values."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load(path: str | Path) -> tuple[np.ndarray, nib.Nifti1Header]:
    """The array, axes (third, second, first), and its header.

    Raises:
        DataError: missing, damaged, or not a single numeric volume; names the file.
    """
    reader = _reader(path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise DataError(f"{path}: damaged or cut off ({_reason(error)}); replace the file") from None
    if image.GetNumberOfComponentsPerPixel() != 1:
        found = image.GetNumberOfComponentsPerPixel()
        raise DataError(
            f"{path}: expected one number per voxel, got {found} (colours, channels or overlapping "
            "segments); save a single labelmap or channel"
        )
    return sitk.GetArrayFromImage(image), _header(reader, path)


def header(path: str | Path) -> nib.Nifti1Header:
    """The header, without reading the voxels.

    Raises:
        DataError: missing, damaged, or invalid voxel sizes; names the file.
    """
    return _header(_reader(path), path)


def segment_names(path: str | Path) -> dict[int, str]:
    """Names of values in a header of 3D Slicer's segmentations (``.seg.nrrd``); empty in other files.

    Raises:
        DataError: missing or damaged; names the file.
    """
    reader = _reader(path)
    fields = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    places = [key.removesuffix("_LabelValue") for key in fields if key.endswith("_LabelValue")]
    return {int(fields[f"{place}_LabelValue"]): fields.get(f"{place}_Name", "").strip() for place in places}


def _reader(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; correct the patterns")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: no header that can be read ({_reason(error)}); replace the file") from None
    return reader


def _header(reader: Any, path: str | Path) -> nib.Nifti1Header:
    size, spacing = reader.GetSize(), np.array(reader.GetSpacing()[:3], float)
    dimension = len(size)
    if dimension < 3:
        raise DataError(
            f"{path}: {dimension} axes, so the header gives no slice thickness; store the slice as a volume "
            "of three axes"
        )
    _check_given(path)
    check_sizes(spacing[::-1].tolist(), str(path), "the spacing or its unit")
    affine = np.eye(4)
    affine[:3, :3] = np.array(reader.GetDirection()).reshape(dimension, dimension)[:3, :3]
    affine[:3, :3] *= spacing
    affine[:3, 3] = reader.GetOrigin()[:3]
    made = nib.Nifti1Header()
    made.set_data_shape(size[:3])
    made.set_xyzt_units("mm")
    made.set_qform(LPS_TO_RAS @ affine, code="scanner")
    made.set_sform(LPS_TO_RAS @ affine, code="scanner")
    return made


def _check_given(path: str | Path) -> None:
    """Refuse headers without voxel sizes (ITK assumes 1 mm) or not in mm (ITK ignores units)."""
    with Path(path).open("rb") as stream:
        text = stream.read(LONGEST_HEADER)
    nrrd = text.startswith(b"NRRD")
    text = re.split(rb"\r?\n\r?\n" if nrrd else rb"ElementDataFile", text, maxsplit=1)[0]
    if not (NRRD_SIZES if nrrd else META_SIZES).search(text):
        expected = "`space directions` or `spacings`" if nrrd else "`ElementSpacing`"
        raise DataError(f"{path}: no voxel size in the header; expected {expected}, a size is never assumed")
    units = NRRD_UNITS.search(text) if nrrd else None
    found = (
        {unit.decode(errors="replace").lower() for unit in re.findall(rb'"([^"]*)"', units[1])}
        if units
        else set()
    )
    if other := sorted(found - MILLIMETRES):
        raise DataError(f"{path}: voxel sizes in {', '.join(other)}; expected mm, correct `space units`")


def _reason(error: RuntimeError) -> str:
    """The last line of ITK's message, which has the cause."""
    return str(error).strip().splitlines()[-1].strip()
