"""HDF5 files, archives and files that promise too much: refused by name, in bounded memory, nothing
unpacked."""

from __future__ import annotations

import gzip
import re
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from data_files import edit_header, write_nifti

from cyclemix.data.readers.native import DataError, load_volume

MEGABYTE = 2**20


def h5(folder: Path, **options: object) -> Path:
    """``v.h5`` with an array ``image`` (4,32,32) in chunks of a slice."""
    path = folder / "v.h5"
    with h5py.File(path, "w") as stored:
        array = np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32)
        stored.create_dataset("image", data=array, chunks=(1, 32, 32), compression="gzip", **options)
        stored.create_group("deep")
    return path


def truncated_h5(folder: Path) -> str:
    path = h5(folder)
    path.write_bytes(path.read_bytes()[:-400])
    return "v.h5::image"


def flipped_h5(folder: Path) -> str:
    path = h5(folder, fletcher32=True)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as stored:
        content[stored["image"].id.get_chunk_info(2).byte_offset + 50] ^= 4
    path.write_bytes(content)
    return "v.h5::image"


def stored(make: Callable[[h5py.File], object]) -> Callable[[Path], str]:
    """``v.h5`` in which ``make`` stores ``image``."""

    def act(folder: Path) -> str:
        with h5py.File(folder / "v.h5", "w") as file:
            make(file)
        return "v.h5::image"

    return act


def three_of_four_chunks(file: h5py.File) -> None:
    file.create_dataset("image", (4, 32, 32), np.float32, chunks=(1, 32, 32))[:3] = 1


def linked_h5(folder: Path) -> str:
    h5(folder).rename(folder / "other.h5")
    with h5py.File(folder / "v.h5", "w") as stored:
        stored["image"] = h5py.ExternalLink("other.h5", "image")
    return "v.h5::image"


def inside_h5(name: str) -> Callable[[Path], str]:
    return lambda folder: f"{h5(folder).name}::{name}"


def zip_with(folder: Path, *names: str, mode: int = 0o644) -> zipfile.ZipInfo:
    """``s.zip`` with a volume under each name."""
    content = write_nifti(folder / "s.nii.gz", np.ones((2, 3, 4), np.uint8)).read_bytes()
    (folder / "s.nii.gz").unlink()
    with zipfile.ZipFile(folder / "s.zip", "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | (stat.S_IFLNK if mode == 0o777 else stat.S_IFREG)) << 16
            archive.writestr(info, b"/etc/hostname" if mode == 0o777 else content)
    return info


def zip_absolute(folder: Path) -> str:
    name = str(folder / "s.nii.gz")
    with zipfile.ZipFile(folder / "s.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"1")
    return f"s.zip::{name}"


def member(*names: str, asked: str = "s.nii.gz", mode: int = 0o644) -> Callable[[Path], str]:
    """A member of an archive with a volume, or a symbolic link, under each name."""

    def act(folder: Path) -> str:
        zip_with(folder, *names, mode=mode)
        return f"s.zip::{asked}"

    return act


def damaged_zip(change: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        zip_with(folder, "s.nii.gz")
        path = folder / "s.zip"
        path.write_bytes(change(path.read_bytes()))
        return "s.zip::s.nii.gz"

    return act


def gzip_bomb(folder: Path) -> str:
    path = write_nifti(folder / "v.nii.gz", np.ones((2, 3, 4), np.int16))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(64 * MEGABYTE)))
    assert path.stat().st_size < MEGABYTE
    return path.name


def empty_promise(folder: Path) -> str:
    path = write_nifti(folder / "v.nii.gz", np.ones((2, 3, 4), np.int16))
    edit_header(path, dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])
    return path.name


def empty_promise_uncompressed(folder: Path) -> str:
    path = folder / empty_promise(folder)
    path.with_name("v.nii").write_bytes(gzip.decompress(path.read_bytes()))
    return "v.nii"


def nifti2_overflow(folder: Path) -> str:
    nib.save(nib.Nifti2Image(np.ones((4, 3, 2), np.int16), np.eye(4)), folder / "v.nii")
    content = bytearray((folder / "v.nii").read_bytes())
    content[24:48] = struct.pack("<3q", 2**62, 2**62, 2)
    (folder / "v.nii").write_bytes(content)
    return "v.nii"


AGAIN = (
    r"copy or export it again \(a downloaded one: delete it and rerun `download`\), or leave its subject out"
)

# fmt: off
CASES: dict[str, tuple[Callable[[Path], str], str]] = {
    "truncated .h5": (truncated_h5, rf"v\.h5: damaged or cut off \(.*\); {AGAIN}"),
    "bit-flipped .h5 with checksums": (flipped_h5, rf"v\.h5: damaged or cut off \(.*\); {AGAIN}"),
    ".h5 with missing chunks": (stored(three_of_four_chunks),
     rf"v\.h5::image: incomplete, 3 of 4 chunks are stored and the rest would read as zeros; {AGAIN}"),
    ".h5 array that was never written": (
     stored(lambda file: file.create_dataset("image", (4, 32, 32), np.float32)),
     r"v\.h5::image: incomplete, 0 of 16384 bytes are stored"),
    ".h5 array larger than memory": (
     stored(lambda file: file.create_dataset("image", 3 * (30_000,), np.float32, chunks=(1, 64, 64))),
     r"v\.h5::image: its header promises 108000\.0 GB, expected one volume of at most 2\.1 GB"),
    ".h5 array in another file": (linked_h5,
     r"v\.h5::image: its values lie in another file; store them in this one"),
    ".h5 group instead of an array": (inside_h5("deep"),
     r"v\.h5::deep: a group, expected an array; name one inside it"),
    ".h5 without the array": (inside_h5("label"), r"v\.h5: no array 'label'; it holds deep, image"),
    ".h5 with complex values": (
     stored(lambda file: file.create_dataset("image", data=np.ones(3, np.complex64))),
     r"v\.h5::image: holds complex values, dtype complex64"),
    "zip member that leaves the archive (../)": (member("../s.nii.gz", asked="../s.nii.gz"),
     r"s\.zip::\.\./s\.nii\.gz: the member's name leaves the archive; pack it again with relative names"),
    "zip member with an absolute name": (zip_absolute, r"s\.zip::/.*: the member's name leaves the archive"),
    "symbolic link in a zip": (member("s.nii.gz", mode=0o777),
     r"s\.zip::s\.nii\.gz: a symbolic link in the archive, expected a file; pack it again with files"),
    "zip member twice": (member("s.nii.gz", "s.nii.gz"),
     r"s\.zip::s\.nii\.gz: the archive holds 2 members of this name; keep one"),
    "truncated zip": (damaged_zip(lambda content: content[:-40]),
     rf"s\.zip::s\.nii\.gz: damaged or cut off \(File is not a zip file\); {AGAIN}"),
    "bit-flipped zip": (damaged_zip(lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:]),
     rf"s\.zip::s\.nii\.gz: damaged or cut off \(.*\); {AGAIN}"),
    "zip without the member": (member("s.nii.gz", asked="t.nii.gz"),
     rf"s\.zip::t\.nii\.gz: the archive has no such member; {AGAIN}"),
    "gz bomb": (gzip_bomb, r"v\.nii\.gz: more bytes follow than the 400 that its header promises"),
    "header promises 2 GB, the file holds none": (empty_promise,
     rf"v\.nii\.gz: damaged or cut off \(it holds 400 bytes, its header promises 2000000352\); {AGAIN}"),
    "the same, uncompressed": (empty_promise_uncompressed,
     r"v\.nii: .*it holds 400 bytes, its header promises"),
    "overflowing dimensions": (nifti2_overflow,
     r"v\.nii: its header promises \d+\.\d GB, expected one volume"),
}
# fmt: on


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CASES)
def test_refused_by_name_in_bounded_memory(tmp_path: Path, name: str) -> None:
    make, message = CASES[name]
    reference = make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        load_volume(f"{tmp_path}/{reference}", "image")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert re.search(message, str(caught.value)), caught.value
    assert str(caught.value).startswith(str(tmp_path))
    assert peak < 16 * MEGABYTE
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before  # nothing unpacked


def test_members_beside_a_bad_one_are_read_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    zip_with(folder, "../evil.nii.gz", "good.nii.gz", "/tmp/evil.nii.gz")
    array, header = load_volume(f"{folder}/s.zip::good.nii.gz", "image")
    assert header is not None
    assert (array == 1).all()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inner", "s.zip"]
