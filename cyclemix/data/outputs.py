"""Label volumes that this project writes: their header, and what they may replace.

A written volume is marked in its header's ``descrip`` field. A command replaces marked volumes only, so that
a wrong output folder never costs an image, an expert's label or a drawn scribble.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

MARK = b"cyclemix"
"""Content of ``descrip`` in the header of every volume that this project writes."""


def written_header(header: nibabel.Nifti1Header, dtype: np.dtype) -> nibabel.Nifti1Header:
    """The header of a written volume: the image's geometry, none of the fields that describe its grey values.

    Args:
        header: of the image; it is left as it is.
        dtype: of the written values.
    """
    own = header.copy()
    own.set_data_dtype(dtype)
    own.set_slope_inter(1, 0)
    own.set_intent("none")
    own["cal_min"] = own["cal_max"] = 0
    own["aux_file"], own["descrip"] = b"", MARK
    return own


def refuse_foreign(outputs: Iterable[Path], option: str) -> None:
    """Refuse outputs that would replace a file which this project did not write.

    Args:
        outputs: volumes that are about to be written.
        option: the command-line option that names their folder.

    Raises:
        ValueError: such a file is there; names it.
    """
    for path in outputs:
        if path.exists() and not is_marked(path):
            raise ValueError(
                f"{path}: already there and not written by this project, so it is not replaced; name another "
                f"{option} or move the file"
            )


def is_marked(path: Path) -> bool:
    """Whether the header of a NIfTI file bears `MARK`; False where it cannot be read."""
    try:
        header = nibabel.load(path).header
        return isinstance(header, nibabel.Nifti1Header) and header["descrip"].item() == MARK
    except (OSError, EOFError, KeyError, ValueError, zlib.error, ImageFileError, HeaderDataError):
        return False
