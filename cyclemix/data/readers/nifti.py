"""NIfTI files: the header is validated before voxels are read, and never corrected silently.

(nibabel's reader replaces a voxel size of 0 by 1 mm, and accepts colours and vectors.)
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from cyclemix.data.readers.sizes import check_sizes
from cyclemix.data.reading import DataError, check_numbers, check_size, check_stream, read_exactly, read_start

Header = nib.Nifti1Header

SAME_SPACING = 0.01
"""Largest relative difference between voxel size and affine of a header."""

SAME_PLACE_MM = 0.5
"""Largest distance between the corners of a volume for which two transforms are considered equal."""

SPEC_ERRORS = (HeaderDataError, ValueError, KeyError, OverflowError, np.linalg.LinAlgError)
"""Exceptions of nibabel for invalid fields."""


def parse_header(content: bytes, where: str) -> Header:
    """The NIfTI-1 header at the start of ``content`` (NIfTI-2 is converted).

    Raises:
        DataError: not the header of one numeric volume, or an invalid geometry; names the file.
    """
    return _headers(content, where)[1]


def read_volume(where: str) -> tuple[np.ndarray, Header]:
    """The array (D,H,W), scaled according to the header, and the header of a file or zip member.

    Raises:
        DataError: damaged, truncated, or not one numeric volume; names the file.
    """
    start = read_start(where)
    try:
        found, header = _headers(start, where)
    except DataError:
        check_stream(where)  # for a damaged file, report the damage instead of a header error
        raise
    shape, dtype, offset = _shape(found), found.get_data_dtype(), _offset(found)
    content = read_exactly(where, offset + math.prod(shape) * dtype.itemsize)
    raw = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order="F")
    slope, inter = found.get_slope_inter()
    return apply_read_scaling(raw, slope, inter).T, header


def read_prediction(path: Path) -> nib.Nifti1Image:
    """A ``.nii.gz`` written by this project, reshaped to three axes.

    Verifies the gzip checksum, which nibabel does not read.

    Raises:
        OSError, EOFError, zlib.error, ValueError, HeaderDataError, ImageFileError: missing or damaged.
    """
    image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
    shape = header_shape(image.header)[::-1]
    if image.shape == shape:
        return image
    return nib.Nifti1Image(np.asarray(image.dataobj).reshape(shape), image.affine, image.header)


def header_spacing(header: Header) -> tuple[float, float, float]:
    """(dz,dy,dx) in mm, converted from the header's unit."""
    x, y, z = (float(size) * millimetres(header) for size in header["pixdim"][1:4])
    return z, y, x


def header_shape(header: Header) -> tuple[int, int, int]:
    """(D,H,W) of the volume that the header describes."""
    x, y, z = (*_shape(header), 1, 1)[:3]
    return z, y, x


def millimetres(header: Header) -> float:
    """Length of the header's unit in mm; 1 if it is unspecified."""
    return {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)


def _headers(content: bytes, where: str) -> tuple[Header | nib.Nifti2Header, Header]:
    """The header as stored in the file, checked, and as NIfTI-1."""
    sizes = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kind, length = (nib.Nifti2Header, 540) if 540 in sizes else (nib.Nifti1Header, 348)
    if length not in sizes or len(content) < length:
        raise DataError(f"{where}: no NIfTI header; expected .nii or .nii.gz")
    try:
        found = kind(content[:length], check=False)
        _check_voxels(found, where)
        _check_geometry(found, where)
        return found, Header.from_header(found, check=True)
    except DataError:
        raise
    except SPEC_ERRORS as error:
        raise DataError(f"{where}: the header cannot be used ({error}); write the file again") from error


def _check_voxels(header: Header, where: str) -> None:
    """Check that one numeric volume follows the header in the same file."""
    magic = bytes(header["magic"].item())
    if not magic.startswith(b"n+"):
        raise DataError(
            f"{where}: no NIfTI header (magic {magic!r}); expected one file .nii or .nii.gz, convert it"
        )
    rank, dims = int(header["dim"][0]), [int(n) for n in header["dim"][1:]]
    if not 2 <= rank <= 7 or min(dims[:rank]) < 1:
        raise DataError(
            f"{where}: {rank} axes of lengths {dims} in the header; expected three of 1 or more, write it "
            "again"
        )
    if max(dims[3:rank], default=1) > 1:
        raise DataError(
            f"{where}: expected one volume, got shape {tuple(dims[:rank])} (x,y,z,...); save each frame or "
            "channel as a file of its own"
        )
    check_numbers(header.get_data_dtype(), where)
    if not np.isfinite(float(header["vox_offset"])) or _offset(header) < 0:
        raise DataError(f"{where}: voxels start at byte {header['vox_offset']}; write the file again")
    check_size(_offset(header) + math.prod(_shape(header)) * header.get_data_dtype().itemsize, where)
    header.get_slope_inter()  # raises for an invalid scale


def _check_geometry(header: Header, where: str) -> None:
    """Check the voxel sizes, and that the affine agrees with them."""
    if int(header["dim"][0]) == 2:
        _take_thickness(header, where)
    spacing = header_spacing(header)
    check_sizes(spacing, where, "pixdim or its unit (xyzt_units)")
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # the standard's meaning of 0
    affine = header.get_best_affine()[:3]
    if not np.isfinite(affine).all():
        raise DataError(f"{where}: the affine holds values that are not finite; correct qform and sform")
    steps = np.linalg.norm(affine[:, :3], axis=0) * millimetres(header)
    if int(header["dim"][0]) == 2 and not steps[2]:
        steps = steps[:2]  # a plane's affine may lack the third axis
    sizes = np.array(spacing[::-1])[: len(steps)]
    if (np.abs(steps - sizes) > SAME_SPACING * sizes).any():
        raise DataError(
            f"{where}: pixdim gives voxels of {listed(sizes)} mm (x,y,z), the affine {listed(steps)}; "
            "correct the one that is wrong"
        )
    _check_forms(header, where)


def _take_thickness(header: Header, where: str) -> None:
    """Set the thickness of a file with two axes: pixdim[3], or if 0 the length of the affine's third axis."""
    if not header["pixdim"][3] and header["sform_code"] > 0:
        header["pixdim"][3] = np.linalg.norm(header.get_sform()[:3, 2])
    if not header["pixdim"][3]:
        raise DataError(
            f"{where}: one slice whose header gives no thickness; expected it in pixdim[3], write the file "
            "again with three axes"
        )


def _check_forms(header: Header, where: str) -> None:
    """Check that qform and sform agree if both are set, as programs differ in which they use."""
    if header["qform_code"] == 0 or header["sform_code"] == 0:
        return
    qform, sform = header.get_qform(), header.get_sform()
    apart = apart_mm(qform, sform, header_shape(header)) * millimetres(header)
    if apart > SAME_PLACE_MM:
        raise DataError(
            f"{where}: qform and sform place the voxels up to {apart:.3g} mm apart: qform (code "
            f"{header['qform_code']}) {_axes(qform)}, sform (code {header['sform_code']}) {_axes(sform)}; "
            "programs differ in which one they use: set both to the right one and write the file again"
        )


def apart_mm(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Largest distance between the corners of a (D,H,W) volume according to two affines (4,4)."""
    x, y, z = (n - 1 for n in reversed(shape))
    corners = np.array([[i, j, k, 1] for i in (0, x) for j in (0, y) for k in (0, z)], float)
    return float(np.linalg.norm(corners @ (second - first).T, axis=1).max())


def _axes(affine: np.ndarray) -> str:
    """Directions of an affine's axes and its first voxel: ``x to L, y to P, z to S from (36, 36, 0)``."""
    codes = zip("xyz", nib.aff2axcodes(affine), strict=True)
    return ", ".join(f"{axis} to {code}" for axis, code in codes) + f" from ({listed(affine[:3, 3])})"


def _shape(header: Header) -> tuple[int, ...]:
    """(x,y,z) or (x,y) from the header's fields (nibabel interprets some of them differently)."""
    return tuple(int(n) for n in header["dim"][1 : 1 + min(3, int(header["dim"][0]))])


def _offset(header: Header) -> int:
    """Byte offset of the voxels; 0 in the header means directly after it."""
    return int(header["vox_offset"]) or int(header.single_vox_offset)


def listed(values: Iterable[float]) -> str:
    """The numbers as messages show them."""
    return ", ".join(f"{value:.4g}" for value in values)
