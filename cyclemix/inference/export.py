"""Write predictions as NIfTI in the geometry of the upstream image."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np

from cyclemix.data.outputs import written_image
from cyclemix.data.store import move_slices
from cyclemix.files.atomic import write_bytes


def save_labels(path: Path, labels: np.ndarray, header_block: bytes, slice_axis: int = 3) -> None:
    """Write (D,H,W) labels atomically as uint8 NIfTI with axes, shape and geometry of the image."""
    _save(path, labels.astype(np.uint8), header_block, slice_axis)


def save_map(path: Path, values: np.ndarray, header_block: bytes, slice_axis: int = 3) -> None:
    """Write (D,H,W) or (D,C,H,W) values as float32 NIfTI in the geometry of the image."""
    axes = (0, 2, 3, 1) if values.ndim == 4 else (0, 1, 2)
    volume = values.astype(np.float32).transpose(
        axes
    )  # (D,H,W[,C]); reversing the first three gives x,y,z[,C]
    _save(path, volume, header_block, slice_axis)


def _save(path: Path, volume: np.ndarray, header_block: bytes, slice_axis: int) -> None:
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(header_block), check=False)
    voxels = np.ascontiguousarray(move_slices(volume, slice_axis, back=True).swapaxes(0, 2))
    content = written_image(voxels, header).to_bytes()
    write_bytes(path, gzip.compress(content, compresslevel=6, mtime=0))
