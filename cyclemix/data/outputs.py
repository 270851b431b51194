"""Volumes written by this project: their headers, and protection of other files against replacement.

The header field ``descrip`` of a written volume has `MARK` and a checksum of its voxels. A command replaces
only such volumes with unchanged voxels, so it never overwrites images, labels, drawn scribbles, or
segmentations that were corrected by hand.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

MARK = "cyclemix"
MARKED = re.compile(rb"cyclemix [0-9a-f]{8}")

UNREADABLE = (OSError, EOFError, KeyError, ValueError, zlib.error, ImageFileError, HeaderDataError)
"""Exceptions of nibabel for invalid files."""


GEOMETRY = (
    *("dim_info", "dim", "pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
"""Fields of a NIfTI-1 header that define the geometry."""


def written_image(voxels: np.ndarray, header: nibabel.Nifti1Header) -> nibabel.Nifti1Image:
    """A volume with the geometry of the image's header, without its other fields.

    The other fields (display range, intent, descriptions, timing) describe the image's intensities.

    Args:
        voxels: (x,y,z[,c]) as stored, except axes of length 1, which are taken from the header.
        header: header of the image; not modified.
    """
    shape = tuple(int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])])
    if voxels.size == math.prod(shape):
        voxels = voxels.reshape(shape)
    own = nibabel.Nifti1Header()
    for name in GEOMETRY:
        own[name] = header[name]
    own.set_data_dtype(voxels.dtype)
    own["descrip"] = _mark(voxels)
    return nibabel.Nifti1Image(voxels, header.get_best_affine(), own)


def refuse_foreign(outputs: Iterable[Path], inputs: Iterable[Path], option: str) -> None:
    """Refuse outputs that would replace an input, or a file that this project did not write.

    Args:
        outputs: volumes to write.
        inputs: files to read.
        option: command-line option of the output folder, for messages.

    Raises:
        ValueError: such a file exists; names it.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise ValueError(f"{path}: an input, which its output would replace; name another {option}")
        if path.exists() and not is_own(path):
            raise ValueError(
                f"{path}: already there, and not as this project wrote it (another file, or edited since); "
                f"name another {option} or move the file"
            )


def is_own(path: Path) -> bool:
    """Whether a NIfTI file has the mark of its voxels; False if unreadable."""
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            return False
        return bool(image.header["descrip"].item() == _mark(np.asanyarray(image.dataobj)))
    except UNREADABLE:
        return False


def is_marked(path: Path) -> bool:
    """Whether the header of a NIfTI file has a mark, regardless of the voxels; False if unreadable."""
    try:
        header = nibabel.load(path).header
        return (
            isinstance(header, nibabel.Nifti1Header)
            and MARKED.fullmatch(header["descrip"].item()) is not None
        )
    except UNREADABLE:
        return False


def _mark(voxels: np.ndarray) -> bytes:
    little_endian = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    return f"{MARK} {zlib.crc32(little_endian.tobytes()):08x}".encode()
