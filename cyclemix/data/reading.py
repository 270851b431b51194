"""Read untrusted files with bounded memory: streamed, with checksums verified.

Archive members are never unpacked to disk. Memory grows with the bytes actually read, up to
``LARGEST_BYTES``, not with sizes declared in headers.
"""

from __future__ import annotations

import gzip
import lzma
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

import h5py
import numpy as np

GZIP_MAGIC = b"\x1f\x8b"

LARGEST_BYTES = 2**31
"""Limit of the uncompressed bytes of one volume: a thousand slices of 512 x 512 pixels in double
precision."""

SPARE_BYTES = 65536
"""Limit of trailing padding after a volume, which is ignored."""

CHUNK_BYTES = 2**22

AGAIN = "copy or export it again (a downloaded one: delete it and rerun `download`), or leave its subject out"

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,  # an encrypted member, or a compression unknown to zipfile
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""Exceptions of the standard library's readers for damaged files."""


class DataError(ValueError):
    """Invalid file; the message names the file, the problem and the remedy."""


def split_reference(reference: str) -> tuple[str, str]:
    """``file::member`` -> (file, member); member is empty for a plain file."""
    path, _, member = reference.partition("::")
    return path, member


def is_archive(path: str) -> bool:
    """True for a zip file; decided by name if it is too damaged to recognise."""
    return path.lower().endswith(".zip") or zipfile.is_zipfile(path)


def read_start(where: str, size: int = 1024) -> bytes:
    """The first ``size`` uncompressed bytes of a file or zip member, or all if it is shorter.

    Raises:
        DataError: missing, or damaged there; names the file.
    """
    with _opened(where) as stream:
        return bytes(read_up_to(stream, size))


def read_exactly(where: str, size: int) -> bytearray:
    """The first ``size`` uncompressed bytes; the rest is read too, so that all checksums are verified.

    Raises:
        DataError: damaged, shorter than ``size``, or longer by more than ``SPARE_BYTES``; names the file.
    """
    with _opened(where) as stream:
        content = read_up_to(stream, size)
        if len(content) < size:
            raise DataError(
                f"{where}: damaged or cut off (it holds {len(content)} bytes, its header promises {size}); "
                f"{AGAIN}"
            )
        if len(read_up_to(stream, SPARE_BYTES + 1)) > SPARE_BYTES:
            raise DataError(
                f"{where}: more bytes follow than the {size} that its header promises; write it again with "
                "the right header"
            )
        return content


def check_stream(where: str) -> None:
    """Verify the checksums of a file or zip member, up to ``LARGEST_BYTES`` of its uncompressed bytes.

    Raises:
        DataError: damaged or truncated; names the file.
    """
    with _opened(where) as stream:
        for _ in range(LARGEST_BYTES // CHUNK_BYTES):
            if not stream.read(CHUNK_BYTES):
                return


def read_hdf5(path: Path, name: str) -> np.ndarray:
    """A numeric array of an HDF5 file, not linked and completely stored.

    HDF5 reads missing chunks as zeros, which in a label is background, so every chunk must exist.

    Raises:
        DataError: the file is missing or damaged, has no such array, or the array is too large, incomplete,
            stored in another file or not numeric; names file and array.
    """
    where = f"{path}::{name}"
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `download`")
    try:
        with h5py.File(path, "r") as stored:
            if name not in stored:
                raise DataError(f"{path}: no array {name!r}; it holds {', '.join(stored)}")
            array = stored[name]
            if not isinstance(array, h5py.Dataset):
                raise DataError(f"{where}: a group, expected an array; name one inside it in `files`")
            if array.is_virtual or array.external or array.file.filename != stored.filename:
                raise DataError(f"{where}: its values lie in another file; store them in this one")
            check_numbers(array.dtype, where)
            _check_stored(array, where)
            return np.asarray(array[()])
    except DataError:
        raise
    except (*DAMAGED, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged or cut off ({error}); {AGAIN}") from error


def check_size(size: int, where: str) -> None:
    """Raise DataError for more than ``LARGEST_BYTES``."""
    if size > LARGEST_BYTES:
        raise DataError(
            f"{where}: its header promises {size / 1e9:.1f} GB, expected one volume of at most "
            f"{LARGEST_BYTES / 1e9:.1f} GB; correct the header or crop the volume"
        )


def check_numbers(dtype: np.dtype, where: str) -> None:
    """Raise DataError, naming ``where`` and the type, for colours, complex values or text."""
    if dtype.names or dtype.subdtype or dtype.kind not in "biuf":
        what = {"c": "complex values", "V": "colours or records (RGB)"}.get(dtype.kind, "no numbers")
        raise DataError(
            f"{where}: holds {what}, dtype {dtype}; expected one grey or label value a voxel, convert it"
        )


def _check_stored(array: h5py.Dataset, where: str) -> None:
    check_size(array.nbytes, where)
    if array.chunks is None:
        stored, promised = array.id.get_storage_size(), array.nbytes
    else:
        check_size(math.prod(array.chunks) * array.dtype.itemsize, where)
        stored = array.id.get_num_chunks()
        promised = math.prod(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    if stored < promised:
        unit = "bytes" if array.chunks is None else "chunks"
        raise DataError(
            f"{where}: incomplete, {stored} of {promised} {unit} are stored and the rest would read as "
            f"zeros; {AGAIN}"
        )


@contextmanager
def _opened(where: str) -> Iterator[IO[bytes]]:
    """The uncompressed stream of a file or zip member; DataError, naming the file, if it is damaged."""
    path, member = split_reference(where)
    try:
        with ExitStack() as stack:
            if member:
                archive = stack.enter_context(zipfile.ZipFile(path))
                raw: IO[bytes] = stack.enter_context(archive.open(_member(archive, member, where)))
            else:
                raw = stack.enter_context(Path(path).open("rb"))
            if raw.peek(2)[:2] == GZIP_MAGIC:  # type: ignore[attr-defined]
                raw = stack.enter_context(cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="rb")))
            yield raw
    except FileNotFoundError:
        raise DataError(f"{where}: no such file; run `download` or correct the patterns") from None
    except DataError:
        raise
    except DAMAGED as error:
        if isinstance(error, gzip.BadGzipFile) and str(error).startswith("Not a gzipped file"):
            raise DataError(
                f"{where}: bytes that are no gzip stream follow the compressed volume; compress it again "
                "(gunzip -c FILE | gzip > NEW)"
            ) from error
        raise DataError(f"{where}: damaged or cut off ({error}); {AGAIN}") from error


def _member(archive: zipfile.ZipFile, name: str, where: str) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename == name]
    if not found:
        raise DataError(f"{where}: the archive has no such member; {AGAIN}")
    if len(found) > 1:
        raise DataError(f"{where}: the archive holds {len(found)} members of this name; keep one")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise DataError(f"{where}: the member's name leaves the archive; pack it again with relative names")
    if stat.S_ISLNK(found[0].external_attr >> 16):
        raise DataError(f"{where}: a symbolic link in the archive, expected a file; pack it again with files")
    return found[0]


def read_up_to(stream: IO[bytes], size: int) -> bytearray:
    """The next ``size`` bytes, fewer at the end of the stream; read in chunks to bound memory."""
    content = bytearray()
    while len(content) < size:
        piece = stream.read(min(CHUNK_BYTES, size - len(content)))
        if not piece:
            break
        content += piece
    return content
