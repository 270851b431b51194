"""Volume files: recognition by extension, listing of folders, detached voxel files."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cyclemix.data.reading import DataError, split_reference

log = logging.getLogger(__name__)

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
"""MetaImage and NRRD, read by `cyclemix.data.readers.itk`."""

SUFFIXES = (".nii.gz", ".nii", *ITK_SUFFIXES)

VOXELS_IN = re.compile(
    rb"^(?:data ?file\s*:|ElementDataFile\s*=)[ \t]*(.+?)\s*$", re.IGNORECASE | re.MULTILINE
)
"""Header line of NRRD or MetaImage with the file of the voxels."""

LONGEST_HEADER = 2**20


def is_volume(path: Path) -> bool:
    """True for a file with the extension of a volume that is not hidden."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()


def files_in(folder: Path, deep: bool = True) -> list[Path]:
    """Files of a user's folder, sorted by path.

    Hidden files and folders are ignored. Links are followed, to each folder once; broken links and unreadable
    folders are skipped with a warning.

    Args:
        deep: include subfolders.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    folders, links = [folder], list[Path]()
    while folders or links:
        place = folders.pop() if folders else links.pop(0)
        if place.resolve() in seen:
            continue
        seen.add(place.resolve())
        for path in _visible(place):
            if path.is_file():
                found.append(path)
            elif path.is_dir() and deep:
                (links if path.is_symlink() else folders).append(path)
            elif path.is_symlink() and not path.exists():
                log.warning("%s: broken link, skipped; restore its target or delete it", path)
    return sorted(found)


def _visible(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    except PermissionError as error:
        log.warning("%s: cannot be read, skipped (%s)", folder, error.strerror)


def suffix_of(path: Path) -> str:
    """The extension as written; ``.nii.gz`` is one extension."""
    known = (suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[-len(suffix) :] if (suffix := next(known, "")) else path.suffix


def stem(path: Path) -> str:
    """The file name without its extension."""
    return path.name.removesuffix(suffix_of(path))


def files_of(folder: Path, reference: str) -> list[str]:
    """The file of a reference, and the file of its voxels if it is a detached header.

    Args:
        folder: base of relative references.
        reference: ``file`` or ``file::member``.

    Returns:
        One or two names, relative if the reference is.

    Raises:
        DataError: the header refers to several files, or to a missing one.
    """
    name, _ = split_reference(reference)
    path = folder / name
    voxels = _voxel_file(path)
    if voxels is None:
        return [name]
    if not (path.parent / voxels).is_file():
        raise DataError(
            f"{path}: expected its voxels in the file {voxels} beside it, which is missing; add that file, "
            "or store the volume as .mha, .nrrd or .nii.gz"
        )
    return [name, str(Path(name).parent / voxels)]


def _voxel_file(path: Path) -> str | None:
    """Voxel file according to a detached header; None for every other file."""
    if path.suffix.lower() not in (".mhd", ".nhdr") or not path.is_file():
        return None
    with path.open("rb") as stream:
        line = VOXELS_IN.search(stream.read(LONGEST_HEADER))
    return None if line is None or line[1] == b"LOCAL" else os.fsdecode(line[1])
