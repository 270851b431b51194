"""Volumes that this project writes: their header, and what they may replace.

The header's ``descrip`` field of a written volume holds `MARK` and a checksum of its voxels. A command
replaces such volumes only, and only while their voxels are as they were written: a wrong output folder costs
no image, expert's label or drawn scribble, and a second run no segmentation that was corrected by hand.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

MARK = "cyclemix"


def written_image(voxels: np.ndarray, header: nibabel.Nifti1Header) -> nibabel.Nifti1Image:
    """The volume to write: the image's geometry, none of the fields that describe its grey values.

    Args:
        voxels: (x,y,z[,c]) as they will be stored.
        header: of the image; it is left as it is.
    """
    own = header.copy()
    own.set_data_dtype(voxels.dtype)
    own.set_slope_inter(1, 0)
    own.set_intent("none")
    own["cal_min"] = own["cal_max"] = 0
    own["aux_file"], own["descrip"] = b"", _mark(voxels)
    return nibabel.Nifti1Image(voxels, header.get_best_affine(), own)


def refuse_foreign(outputs: Iterable[Path], inputs: Iterable[Path], option: str) -> None:
    """Refuse outputs that would replace an input, or a file that is not as this project wrote it.

    Args:
        outputs: volumes that are about to be written.
        inputs: files that are about to be read.
        option: the command-line option that names the outputs' folder.

    Raises:
        ValueError: such a file is there; names it.
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
    """Whether a NIfTI file bears the mark of its voxels; False where it cannot be read."""
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            return False
        return bool(image.header["descrip"].item() == _mark(np.asanyarray(image.dataobj)))
    except (OSError, EOFError, KeyError, ValueError, zlib.error, ImageFileError, HeaderDataError):
        return False


def _mark(voxels: np.ndarray) -> bytes:
    little_endian = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    return f"{MARK} {zlib.crc32(little_endian.tobytes()):08x}".encode()
