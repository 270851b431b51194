"""Read upstream volumes: NIfTI files, members of a zip, arrays of an HDF5 file; geometry from the header.

Compressed files are read completely and their checksums verified before use: some readers fill a truncated
volume with zeros, which in a label is background.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cyclemix.data.readers import nifti
from cyclemix.data.readers.alignment import on_image_grid
from cyclemix.data.readers.nifti import Header, header_spacing
from cyclemix.data.readers.volumes import ITK_SUFFIXES
from cyclemix.data.reading import DataError, is_archive, read_hdf5, read_start, split_reference
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import Kind
from cyclemix.data.store import move_slices

logger = logging.getLogger(__name__)

SCALE_ERROR = 1e-3
"""Tolerance for label values stored as integers times ``scl_slope``."""

_Size = TypeVar("_Size", int, float)


def read_native(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], kind: Kind
) -> tuple[np.ndarray, tuple[float, float, float], bytes]:
    """One upstream volume on the native grid.

    Args:
        raw_dir: base folder of the receipt's relative paths.
        entry: a case of ``raw_{part}.json``.

    Returns:
        The array (D,H,W), the NIfTI array transposed with the case's ``slice_axis`` first and not reoriented:
        float32 intensities of an image, or uint8 class values of a label (0 background, 1.. classes,
        255 unlabelled); the voxel size (dz,dy,dx) in mm and the 348-byte NIfTI-1 header of the case's IMAGE.

    Raises:
        DataError: the file is missing, truncated, not finite, of another shape than the image, or has a value
            that is not in the table; names the file.
    """
    where = reference_path(raw_dir, entry, kind)
    array, own = load_volume(where, kind)
    header = own if kind == "image" and own is not None else read_geometry(spec, raw_dir, entry)
    axis = entry.get("slice_axis", 3)
    array = on_image_grid(array, own, header, kind, where, entry.get("label_geometry"))
    array = move_slices(array, axis)
    spacing = slices_first(header_spacing(header), axis)
    if kind == "image":
        return _finite(array, where), spacing, header.binaryblock
    return to_classes(array, spec, kind, where), spacing, header.binaryblock


def slices_first(sizes: tuple[_Size, _Size, _Size], slice_axis: int) -> tuple[_Size, _Size, _Size]:
    """Reorder sizes of the stored axes (third, second, first) to (D,H,W)."""
    order = [3 - slice_axis, *(i for i in range(3) if i != 3 - slice_axis)]
    return sizes[order[0]], sizes[order[1]], sizes[order[2]]


def read_geometry(spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any]) -> Header:
    """Header with the case's geometry: the image's, or that of ``files.geometry`` for HDF5 images."""
    _, member = split_reference(_reference(entry, "image"))
    kind: Kind = spec.files.geometry if member and not member.endswith((".nii", ".nii.gz")) else "image"
    where = reference_path(raw_dir, entry, kind)
    path, inside = split_reference(where)
    if inside and Path(path).is_file() and not is_archive(path):
        raise DataError(
            f"{where}: HDF5 holds no voxel size; set files.geometry to label or scribble, where those "
            "files are NIfTI, or convert the images to NIfTI"
        )
    if where.lower().endswith(ITK_SUFFIXES):
        from cyclemix.data.readers import itk

        return itk.header(where)
    return nifti.parse_header(read_start(where), where)


def load_volume(where: str, kind: Kind) -> tuple[np.ndarray, Header | None]:
    """The array with axes (third, second, first) as stored, and its header (None for HDF5).

    Args:
        where: ``file`` or ``file::member``.
        kind: label values are rounded if they differ from whole numbers only by the header's scale.

    Raises:
        DataError: the file is missing, damaged, or not one volume; names it.
    """
    if where.lower().endswith(ITK_SUFFIXES):
        from cyclemix.data.readers import itk

        volume, own = itk.load(where)
        return _three_axes(volume, where), own
    path, member = split_reference(where)
    if member and not is_archive(path):
        return _three_axes(read_hdf5(Path(path), member), where), None
    array, header = nifti.read_volume(where)
    if kind != "image":
        array = _unscaled(array, header, where)
    return _three_axes(array, where), header


def read_image(path: Path, slice_axis: int = 3) -> tuple[np.ndarray, tuple[float, float, float], bytes]:
    """An image outside of any data set: array (D,H,W), spacing (dz,dy,dx) mm and NIfTI-1 header block.

    Raises:
        DataError: truncated, not NIfTI, not three-dimensional, or not finite; names the file.
    """
    array, header = load_volume(str(path), "image")
    if header is None:
        raise DataError(f"{path}: expected a NIfTI image, got an array without geometry")
    spacing = slices_first(header_spacing(header), slice_axis)
    return _finite(move_slices(array, slice_axis), str(path)), spacing, header.binaryblock


def to_classes(array: np.ndarray, spec: DatasetSpec, kind: Kind, where: str) -> np.ndarray:
    """Map upstream label values to uint8 class values.

    Raises:
        DataError: a value that is not in the table, or not a whole number; names the file and the values.
    """
    table = spec.value_table(kind)
    found = np.unique(array)
    if not np.isfinite(found).all() or (found != np.round(found)).any():
        values = ", ".join(f"{value:.7g}" for value in found[:8])
        raise DataError(f"{where}: {kind} values must be whole numbers, got {values}")
    unknown = [int(value) for value in found if int(value) not in table]
    if unknown:
        shown = ", ".join(map(str, unknown[:6])) + ", ..." * (len(unknown) > 6)
        raise DataError(
            f"{where}: {kind} holds {shown}, expected only {sorted(table)} "
            f"({kind}_values of {spec.label}); correct the file or name the value there"
        )
    out = np.empty(array.shape, np.uint8)
    for value in found:
        out[array == value] = table[int(value)]
    return out


def reference_path(raw_dir: Path, entry: Mapping[str, Any], kind: Kind) -> str:
    """A receipt's reference relative to ``raw_dir``, as a path; absolute ones are unchanged."""
    path, member = split_reference(_reference(entry, kind))
    return f"{raw_dir / path}::{member}" if member else str(raw_dir / path)


def _reference(entry: Mapping[str, Any], kind: Kind) -> str:
    reference = entry.get(kind)
    if not reference:
        raise DataError(f"case {entry.get('case')}: the data set gives it no {kind}")
    return str(reference)


def _unscaled(array: np.ndarray, header: Header, where: str) -> np.ndarray:
    """Round label values that differ from whole numbers only by the rounding of the header's scale."""
    slope, _ = header.get_slope_inter()
    whole = np.round(array)
    if slope in (None, 1) or (array == whole).all() or not (np.abs(array - whole) <= SCALE_ERROR).all():
        return array
    logger.warning(
        "%s: label values within %g of whole numbers (scl_slope %.9g); rounded", where, SCALE_ERROR, slope
    )
    return whole


def _three_axes(array: np.ndarray, where: str) -> np.ndarray:
    """Convert to (D,H,W): add an axis to a single slice, drop leading axes of length 1 (time)."""
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.dtype.names or not array.size:
        raise DataError(
            f"{where}: expected one volume of numbers, got shape {array.shape}, dtype {array.dtype}"
        )
    return array


def _finite(array: np.ndarray, where: str) -> np.ndarray:
    image = array.astype(np.float32)
    wrong = int(image.size - np.count_nonzero(np.isfinite(image)))
    if wrong:
        raise DataError(f"{where}: {wrong} voxels are not finite (NaN or infinite); repair the image")
    return image
