"""Volumes that SimpleITK reads: MetaImage and NRRD, with their geometry as a NIfTI-1 header.

ITK's world axes point to the patient's left and back (LPS), NIfTI's to the right and front (RAS): the first
two rows of the affine change sign.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from cyclemix.data.readers.native import DataError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load(path: str | Path) -> tuple[np.ndarray, nib.Nifti1Header]:
    """The array, axes (third, second, first), and its header.

    Raises:
        DataError: absent, damaged, or not a single volume of numbers; names the file.
    """
    reader = _reader(path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise DataError(f"{path}: damaged or cut off ({_reason(error)}); replace the file") from None
    if image.GetNumberOfComponentsPerPixel() != 1:
        found = image.GetNumberOfComponentsPerPixel()
        raise DataError(f"{path}: expected one number a voxel, got {found}; export one channel")
    return sitk.GetArrayFromImage(image), _header(reader, path)


def header(path: str | Path) -> nib.Nifti1Header:
    """The geometry alone, without reading the voxels.

    Raises:
        DataError: absent, damaged, or voxel sizes that are not positive numbers; names the file.
    """
    return _header(_reader(path), path)


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
    if dimension < 2 or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise DataError(f"{path}: voxel size {spacing.tolist()} mm; expected positive numbers")
    rank = min(dimension, 3)
    affine = np.eye(4)
    affine[:rank, :rank] = np.array(reader.GetDirection()).reshape(dimension, dimension)[:rank, :rank]
    affine[:3, :3] *= np.append(spacing, [1.0] * (3 - rank))
    affine[:rank, 3] = reader.GetOrigin()[:rank]
    made = nib.Nifti1Header()
    made.set_data_shape([*size[:3], *[1] * (3 - rank)])
    made.set_xyzt_units("mm")
    made.set_qform(LPS_TO_RAS @ affine, code="scanner")
    made.set_sform(LPS_TO_RAS @ affine, code="scanner")
    return made


def _reason(error: RuntimeError) -> str:
    """The last line of ITK's message, which names the cause."""
    return str(error).strip().splitlines()[-1].strip()
