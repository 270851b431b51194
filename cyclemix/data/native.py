"""Read upstream volumes: NIfTI files, members of a zip, arrays of an HDF5 file; geometry by the header.

Every byte of a compressed file is read and checked before a value is used: some readers fill a truncated
volume with zeros, which as a label is dense background supervision.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import h5py
import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from cyclemix.data.spec import DatasetSpec, Kind

Header = nib.Nifti1Header
_Size = TypeVar("_Size", int, float)
GZIP_MAGIC = b"\x1f\x8b"
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
"""MetaImage and NRRD, which `cyclemix.data.itk` reads."""
AGAIN = "fetch it again (delete it and rerun `download`) or leave its subject out"


class DataError(ValueError):
    """A file that cannot be used; the message names the file, what is wrong and what to do."""


def read_native(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], kind: Kind
) -> tuple[np.ndarray, tuple[float, float, float], bytes]:
    """One upstream volume on its own grid.

    Args:
        spec: the data set.
        raw_dir: folder that the receipt's relative paths start from.
        entry: a case of ``raw_{part}.json``.
        kind: which of the case's files.

    Returns:
        The array (D,H,W) - the NIfTI array transposed, D its ``slice_axis``, nothing else reoriented; float32
        grey values for an image,
        uint8 values after the data set's table (0 background, 1.. classes, 255 unlabelled) for labels -, the
        voxel size (dz,dy,dx) in mm and the 348-byte NIfTI-1 header, both of the case's IMAGE geometry.

    Raises:
        DataError: the file is absent, truncated, not finite, of another shape than the geometry says or holds
            a value outside the table; names the file.
    """
    array, own = load_volume(raw_dir, entry, kind)
    header = own if kind == "image" and own is not None else read_geometry(spec, raw_dir, entry)
    where = reference_path(raw_dir, entry, kind)
    axis = entry.get("slice_axis", 3)
    shape, spacing = slices_first(header_shape(header), axis), slices_first(header_spacing(header), axis)
    if array.shape != shape:
        raise DataError(f"{where}: {kind} has shape {array.shape} (D,H,W), expected the image's {shape}")
    if kind == "image":
        return _finite(array, where), spacing, header.binaryblock
    return to_classes(array, spec, kind, where), spacing, header.binaryblock


def read_geometry(spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any]) -> Header:
    """Header that gives the case's geometry: the image's, or where that has none, ``files.geometry``'s."""
    _, member = split_reference(_reference(entry, "image"))
    kind: Kind = spec.files.geometry if member and not member.endswith((".nii", ".nii.gz")) else "image"
    where = reference_path(raw_dir, entry, kind)
    path, inside = split_reference(where)
    if inside and Path(path).is_file() and not zipfile.is_zipfile(path):
        raise DataError(f"{where}: holds no geometry; files.geometry must name a kind whose files are NIfTI")
    if where.lower().endswith(ITK_SUFFIXES):
        from cyclemix.data import itk  # SimpleITK takes long to import, and few data sets need it

        return itk.header(where)
    return parse_header(_bytes(where, "header"), where)


def load_volume(raw_dir: Path, entry: Mapping[str, Any], kind: Kind) -> tuple[np.ndarray, Header | None]:
    """The array (D,H,W), slices first, and its own header, of the file as it is (None for HDF5)."""
    array, header = _load(reference_path(raw_dir, entry, kind))
    return move_slices(array, entry.get("slice_axis", 3)), header


def slices_first(sizes: tuple[_Size, _Size, _Size], slice_axis: int) -> tuple[_Size, _Size, _Size]:
    """Sizes of the axes (third, second, first) of a stored array -> of (D,H,W)."""
    order = [3 - slice_axis, *(i for i in range(3) if i != 3 - slice_axis)]
    return sizes[order[0]], sizes[order[1]], sizes[order[2]]


def move_slices(array: np.ndarray, slice_axis: int, back: bool = False) -> np.ndarray:
    """Stored axes (third, second, first) -> (D,H,W), or back; a view."""
    ends = (3 - slice_axis, 0)
    return np.moveaxis(array, *(ends[::-1] if back else ends))


def _load(where: str) -> tuple[np.ndarray, Header | None]:
    """A file's array, axes (third, second, first), and header."""
    path, member = split_reference(where)
    if where.lower().endswith(ITK_SUFFIXES):
        from cyclemix.data import itk

        array, header = itk.load(path)
        return _three_axes(array, where), header
    if member and not zipfile.is_zipfile(path):
        return _read_hdf5(Path(path), member), None
    content = _bytes(where, "all")
    header = parse_header(content, where)
    try:
        reader = nib.Nifti2Image if _is_nifti2(content) else nib.Nifti1Image
        array = np.asarray(reader.from_bytes(content).dataobj).T
    except (OSError, ValueError, ImageFileError, HeaderDataError) as error:
        raise DataError(f"{where}: cannot be read as NIfTI ({error}); {AGAIN}") from error
    return _three_axes(array, where), header


def read_image(path: Path, slice_axis: int = 3) -> tuple[np.ndarray, tuple[float, float, float], bytes]:
    """An image of no data set: array (D,H,W), spacing (dz,dy,dx) mm and NIfTI-1 header block.

    Raises:
        DataError: truncated, not NIfTI, not three-dimensional, or not finite; names the file.
    """
    entry = {"case": path.name, "image": str(path), "slice_axis": slice_axis}
    array, header = load_volume(Path(), entry, "image")
    if header is None:
        raise DataError(f"{path}: expected a NIfTI image, got an array without geometry")
    return _finite(array, str(path)), slices_first(header_spacing(header), slice_axis), header.binaryblock


def to_classes(array: np.ndarray, spec: DatasetSpec, kind: Kind, where: str) -> np.ndarray:
    """Upstream label values -> uint8 class values.

    Raises:
        DataError: a value that the table does not name, or no whole number; names the file and the values.
    """
    table = spec.value_table(kind)
    found = np.unique(array)
    if not np.isfinite(found).all() or (found != np.round(found)).any():
        raise DataError(f"{where}: {kind} values must be whole numbers, got {found[:8].tolist()}")
    unknown = [int(value) for value in found if int(value) not in table]
    if unknown:
        raise DataError(
            f"{where}: {kind} holds {_short(unknown)}, expected only {sorted(table)} "
            f"({kind}_values of {spec.label}); correct the file or name the value there"
        )
    out = np.empty(array.shape, np.uint8)
    for value in found:
        out[array == value] = table[int(value)]
    return out


def split_reference(reference: str) -> tuple[str, str]:
    """``file::member`` -> (file, member); member is empty for a plain file."""
    path, _, member = reference.partition("::")
    return path, member


def reference_path(raw_dir: Path, entry: Mapping[str, Any], kind: Kind) -> str:
    """A receipt's reference with the folder in front; absolute ones stay."""
    path, member = split_reference(_reference(entry, kind))
    return f"{raw_dir / path}::{member}" if member else str(raw_dir / path)


def header_spacing(header: Header) -> tuple[float, float, float]:
    """Voxel size along the stored axes (third, second, first), mm; the header's length unit is honoured."""
    scale = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
    zooms = [float(z) * scale for z in header.get_zooms()[:3]] + [1.0] * 3
    return zooms[2], zooms[1], zooms[0]


def header_shape(header: Header) -> tuple[int, int, int]:
    """Shape along the stored axes (third, second, first), which is (D,H,W), of the volume described."""
    x, y, z = ([int(n) for n in header.get_data_shape()] + [1, 1, 1])[:3]
    return z, y, x


def parse_header(content: bytes, where: str) -> Header:
    """The NIfTI-1 header at the start of ``content`` (NIfTI-2 is converted).

    Raises:
        DataError: no NIfTI header, or voxel sizes that are not positive numbers.
    """
    try:
        if _is_nifti2(content):
            header = nib.Nifti1Header.from_header(nib.Nifti2Header(content[:540], check=False), check=False)
        else:
            header = nib.Nifti1Header(content[:348], check=True)
    except (ValueError, HeaderDataError, ImageFileError) as error:
        raise DataError(f"{where}: no NIfTI header ({error}); expected .nii or .nii.gz") from error
    spacing = header_spacing(header)
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise DataError(f"{where}: voxel size {spacing} mm in the header; expected positive numbers")
    return header


def _reference(entry: Mapping[str, Any], kind: Kind) -> str:
    reference = entry.get(kind)
    if not reference:
        raise DataError(f"case {entry.get('case')}: the data set gives it no {kind}")
    return str(reference)


def _is_nifti2(content: bytes) -> bool:
    return int.from_bytes(content[:4], "little") == 540 or int.from_bytes(content[:4], "big") == 540


def _bytes(where: str, amount: Literal["all", "header"]) -> bytes:
    """The uncompressed content of a file or zip member; the whole stream is checked for ``all``."""
    path, member = split_reference(where)
    try:
        if member:
            with zipfile.ZipFile(path) as archive:
                raw = archive.read(member)  # checks the member's CRC
        elif amount == "header":
            with Path(path).open("rb") as stream:
                raw = stream.read(65536)
        else:
            raw = Path(path).read_bytes()
        if not raw.startswith(GZIP_MAGIC):
            return raw
        if amount == "header":
            return zlib.decompressobj(wbits=31).decompress(raw, 1024)
        return gzip.decompress(raw)
    except FileNotFoundError:
        raise DataError(f"{where}: no such file; run `download` or correct the patterns") from None
    except KeyError:
        raise DataError(f"{where}: the archive has no such member; {AGAIN}") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: damaged or cut off ({error}); {AGAIN}") from error


def _read_hdf5(path: Path, name: str) -> np.ndarray:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `download`")
    try:
        with h5py.File(path, "r") as stored:
            if name not in stored:
                raise DataError(f"{path}: no array {name!r}; it holds {', '.join(stored)}")
            return _three_axes(np.asarray(stored[name][()]), f"{path}::{name}")
    except OSError as error:
        raise DataError(f"{path}: damaged or cut off ({error}); {AGAIN}") from error


def _three_axes(array: np.ndarray, where: str) -> np.ndarray:
    """(D,H,W): a single slice gains an axis, trailing time axes of one frame (first after transposing) go."""
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


def _short(values: list[int]) -> str:
    return ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
