"""Which files are volumes, what they are called, and which files one consists of."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cyclemix.data.reading import DataError, split_reference

log = logging.getLogger(__name__)

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
"""MetaImage and NRRD, which `cyclemix.data.readers.itk` reads."""

SUFFIXES = (".nii.gz", ".nii", *ITK_SUFFIXES)

VOXELS_IN = re.compile(
    rb"^(?:data ?file\s*:|ElementDataFile\s*=)[ \t]*(.+?)\s*$", re.IGNORECASE | re.MULTILINE
)
"""The line by which a header of NRRD or MetaImage names the file of its voxels."""

LONGEST_HEADER = 2**20


def is_volume(path: Path) -> bool:
    """True for a file with a volume's ending; hidden ones are other programs' notes."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()


def files_in(folder: Path, deep: bool = True) -> list[Path]:
    """Files of a folder, sorted by path: the one listing of users' folders.

    Hidden files and folders are other programs' notes and are left out. Links are followed, to a folder once;
    a link to nothing and a folder that cannot be read are left out with a warning.

    Args:
        deep: also those of the folders below.
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
                log.warning("%s: a link to nothing, left out; restore its target or delete it", path)
    return sorted(found)


def _visible(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    except PermissionError as error:
        log.warning("%s: cannot be read, left out (%s)", folder, error.strerror)


def suffix_of(path: Path) -> str:
    """The ending as it is written, ``.nii.gz`` whole."""
    known = (suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[-len(suffix) :] if (suffix := next(known, "")) else path.suffix


def stem(path: Path) -> str:
    """The name without its ending."""
    return path.name.removesuffix(suffix_of(path))


def files_of(folder: Path, reference: str) -> list[str]:
    """The file of a reference and, where that is a header alone, the file that it says holds the voxels.

    Args:
        folder: what a relative reference starts from.
        reference: ``file`` or ``file::member``.

    Returns:
        One or two names, relative where the reference is.

    Raises:
        DataError: the header names a list or a pattern of files, or one that is not there.
    """
    name, _ = split_reference(reference)
    path = folder / name
    voxels = _voxel_file(path)
    if voxels is None:
        return [name]
    if not (path.parent / voxels).is_file():
        raise DataError(
            f"{path}: its voxels should lie in {voxels} beside it, one file, which is not there; bring that "
            "file, or store the volume as .mha, .nrrd or .nii.gz"
        )
    return [name, str(Path(name).parent / voxels)]


def _voxel_file(path: Path) -> str | None:
    """What a detached header calls the file of its voxels; None for every other file."""
    if path.suffix.lower() not in (".mhd", ".nhdr") or not path.is_file():
        return None
    with path.open("rb") as stream:
        line = VOXELS_IN.search(stream.read(LONGEST_HEADER))
    return None if line is None or line[1] == b"LOCAL" else os.fsdecode(line[1])
