"""NIfTI files: the header is judged before a voxel is read, and nothing in it is mended in silence.

(nibabel's own reader turns a voxel size of 0 into 1 mm, and reads colours and vectors as they come.)
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from cyclemix.data.reading import DataError, check_numbers, check_size, check_stream, read_exactly, read_start

Header = nib.Nifti1Header

SPACING_MM = (0.05, 100.0)
"""Voxel sizes outside of this are taken for a wrong unit or a broken header."""

SAME_SPACING = 0.01
"""Voxel size and affine of one header may differ by this fraction."""

SAME_PLACE_MM = 0.5
"""Two transforms that place the corners of a volume closer together than this say the same."""

SPEC_ERRORS = (HeaderDataError, ValueError, KeyError, OverflowError, np.linalg.LinAlgError)
"""What nibabel raises on fields that mean nothing."""


def parse_header(content: bytes, where: str) -> Header:
    """The NIfTI-1 header at the start of ``content`` (NIfTI-2 is converted).

    Raises:
        DataError: no header of one volume of numbers, or a geometry that cannot be; names the file.
    """
    found = _header(content, where)
    try:
        if isinstance(found, nib.Nifti2Header):
            return Header.from_header(found, check=True)
        return Header(found.binaryblock, check=True)
    except SPEC_ERRORS as error:
        raise DataError(f"{where}: the header cannot be used ({error}); write the file again") from error


def read_volume(where: str) -> tuple[np.ndarray, Header]:
    """The array (D,H,W), scaled as the header says, and the header of a file or zip member.

    Raises:
        DataError: damaged, cut off, or not one volume of numbers; names the file.
    """
    start = read_start(where)
    try:
        found, header = _header(start, where), parse_header(start, where)
    except DataError:
        check_stream(where)  # of a damaged file say so, not what its header seems to hold
        raise
    shape, dtype, offset = _shape(found), found.get_data_dtype(), _offset(found)
    content = read_exactly(where, offset + math.prod(shape) * dtype.itemsize)
    raw = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order="F")
    slope, inter = found.get_slope_inter()
    return apply_read_scaling(raw, slope, inter).T, header


def read_prediction(path: Path) -> nib.Nifti1Image:
    """A ``.nii.gz`` that this project wrote; nibabel alone stops before the checksum at a file's end.

    Raises:
        OSError, EOFError, zlib.error, ValueError, HeaderDataError, ImageFileError: absent or damaged.
    """
    return nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))


def header_spacing(header: Header) -> tuple[float, float, float]:
    """(dz,dy,dx) in mm; the header's length unit is honoured."""
    zooms = [float(z) * millimetres(header) for z in header.get_zooms()[:3]] + [1.0] * 3
    return zooms[2], zooms[1], zooms[0]


def header_shape(header: Header) -> tuple[int, int, int]:
    """(D,H,W) of the volume that the header describes."""
    x, y, z = (*_shape(header), 1, 1)[:3]
    return z, y, x


def millimetres(header: Header) -> float:
    """Length of the header's unit in mm; a header that names none means mm."""
    return {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)


def _header(content: bytes, where: str) -> Header | nib.Nifti2Header:
    """The header as it stands in the file, checked."""
    sizes = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kind, length = (nib.Nifti2Header, 540) if 540 in sizes else (nib.Nifti1Header, 348)
    if length not in sizes or len(content) < length:
        raise DataError(f"{where}: no NIfTI header; expected .nii or .nii.gz")
    try:
        header = kind(content[:length], check=False)
        _check_voxels(header, where)
        _check_geometry(header, where)
    except DataError:
        raise
    except SPEC_ERRORS as error:
        raise DataError(f"{where}: the header cannot be used ({error}); write the file again") from error
    return header


def _check_voxels(header: Header, where: str) -> None:
    """One volume of numbers that follows the header in the same file."""
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
    header.get_slope_inter()  # raises on a scale that is no number


def _check_geometry(header: Header, where: str) -> None:
    """Voxel sizes that can be, and an affine that agrees with them."""
    spacing = tuple(float(f"{size:.4g}") for size in header_spacing(header))
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise DataError(
            f"{where}: voxel size {spacing} mm in the header; expected positive numbers, correct the header"
        )
    if min(spacing) < SPACING_MM[0] or max(spacing) > SPACING_MM[1]:
        low, high = SPACING_MM
        raise DataError(
            f"{where}: voxel size {spacing} mm in the header; expected {low:g} to {high:g} mm, correct "
            "pixdim or its unit (xyzt_units)"
        )
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # the standard's meaning of 0
    affine = header.get_best_affine()[:3]
    if not np.isfinite(affine).all():
        raise DataError(f"{where}: the affine holds values that are not finite; correct qform and sform")
    axes = min(3, int(header["dim"][0]))
    steps = np.linalg.norm(affine[:, :axes], axis=0) * millimetres(header)
    sizes = np.array(spacing[::-1])[:axes]
    if (np.abs(steps - sizes) > SAME_SPACING * sizes).any():
        raise DataError(
            f"{where}: pixdim gives voxels of {_listed(sizes)} mm (x,y,z), the affine {_listed(steps)}; "
            "correct the one that is wrong"
        )
    _check_forms(header, where)


def _check_forms(header: Header, where: str) -> None:
    """qform and sform, where both are set, must place the voxels alike: programs differ in which they use."""
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
    """Largest distance between the places that two affines (4,4) give to a corner of a (D,H,W) volume."""
    x, y, z = (n - 1 for n in reversed(shape))
    corners = np.array([[i, j, k, 1] for i in (0, x) for j in (0, y) for k in (0, z)], float)
    return float(np.linalg.norm(corners @ (second - first).T, axis=1).max())


def _axes(affine: np.ndarray) -> str:
    """Directions of an affine's axes and its first voxel: ``x to L, y to P, z to S from (36, 36, 0)``."""
    codes = zip("xyz", nib.aff2axcodes(affine), strict=True)
    return ", ".join(f"{axis} to {code}" for axis, code in codes) + f" from ({_listed(affine[:3, 3])})"


def _shape(header: Header) -> tuple[int, ...]:
    """(x,y,z) or (x,y), as the header's fields say (nibabel reads some of them otherwise)."""
    return tuple(int(n) for n in header["dim"][1 : 1 + min(3, int(header["dim"][0]))])


def _offset(header: Header) -> int:
    """Byte where the voxels start; 0 stands for right behind the header."""
    return int(header["vox_offset"]) or int(header.single_vox_offset)


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
