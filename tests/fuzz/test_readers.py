"""Damaged copies of real files: read rightly or refused by name, in bounded time and memory, nothing else.

Every round is seeded, so that a failure comes back; the damage and its place stand in the failure's message.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from data_files import Lab, write_case, write_own
from fuzzing import READERS, fuzz

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory by Linux' RLIMIT_AS")

SHA = 64 * "0"


def nifti(folder: Path) -> Path:
    """(2,40,36) float32, compressed."""
    write_case(folder, "v")
    return folder / "images" / "v.nii.gz"


def uncompressed(folder: Path) -> Path:
    image = nib.load(nifti(folder))
    nib.save(image, folder / "v.nii")
    return folder / "v.nii"


def nifti2(folder: Path) -> Path:
    image = nib.load(nifti(folder))
    nib.save(nib.Nifti2Image(np.asarray(image.dataobj), image.affine), folder / "v.nii")
    return folder / "v.nii"


def member(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "v.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(nifti(folder), "v.nii.gz")
    return folder / "v.zip"


def chunked(folder: Path) -> Path:
    with h5py.File(folder / "v.h5", "w") as stored:
        stored.create_dataset(
            "label", data=np.ones((6, 32, 32), np.uint8), chunks=(2, 16, 16), compression="gzip"
        )
    return folder / "v.h5"


def contiguous(folder: Path) -> Path:
    with h5py.File(folder / "v.h5", "w") as stored:
        stored["label"] = np.ones((4, 16, 16), np.uint8)
    return folder / "v.h5"


def prepared(folder: Path) -> Lab:
    lab = Lab(folder)
    lab.prepare()
    return lab


def dataset(folder: Path) -> Path:
    return write_own(folder, extra="official: {train: [a1], val: [a2]}\nsame_person: [[a1, a2]]\n")


def study(folder: Path) -> Path:
    path = folder / "study.yaml"
    shutil.copy(Path(__file__).resolve().parents[2] / "config" / "config.yaml", path)
    return path


def manifest(folder: Path) -> Path:
    write_own(folder, extra='upstream: [{url: "https://x.org/", manifest: m.tsv}]\n')
    rows = [f"images/a{i}.nii.gz\t10\t{SHA}" for i in range(5)]
    (folder / "m.tsv").write_text("\n".join(["path\tbytes\tsha256", *rows]) + "\n")
    return folder / "m.tsv"


def folds(folder: Path) -> Path:
    path = folder / "folds.json"
    path.write_text(
        '{"dataset": "x", "folds": [{"train": ["a", "b"], "val": ["c"], "test": ["d"], "masks": []}]}'
    )
    return path


ROUNDS: dict[str, tuple[str, Callable[[Path], Path], int]] = {
    ".nii.gz": ("nifti.gz", nifti, 300),
    ".nii.gz, damaged before compression": ("nifti.repacked", nifti, 400),
    ".nii": ("nifti", uncompressed, 400),
    "NIfTI-2": ("nifti", nifti2, 300),
    "zip": ("member", member, 300),
    ".h5 in chunks": ("h5", chunked, 500),
    ".h5 in one piece": ("h5", contiguous, 400),
    ".npz": ("case", lambda folder: prepared(folder).npz("a1"), 300),
    "index": ("index", lambda folder: prepared(folder).index, 150),
    "receipt": ("receipt", lambda folder: prepared(folder).folder / "data" / "raw_all.json", 200),
    "folds": ("folds", folds, 300),
    "manifest": ("manifest", manifest, 200),
    "study": ("study", study, 250),
    "data set": ("dataset", dataset, 250),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_damaged_files_are_read_rightly_or_refused_by_name(tmp_path: Path, name: str) -> None:
    reader, make, count = ROUNDS[name]
    found = fuzz(reader, make(tmp_path), seed=len(name), count=count)
    assert found["read"] + found["refused"] == count
    assert found["refused"] > count // 20


@pytest.mark.parametrize(
    ("pattern", "reader"),
    [("*_DE.nii.gz", "nifti.repacked"), ("*.h5", "h5"), ("*_manual.nii.gz", "nifti.gz")],
)
def test_real_files(tmp_path: Path, mirror: Path, pattern: str, reader: str) -> None:
    files = sorted(mirror.rglob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {mirror}")
    smallest = min(files, key=lambda path: path.stat().st_size)
    shutil.copy(smallest, tmp_path / smallest.name)
    found = fuzz(reader, tmp_path / smallest.name, seed=1, count=40)
    assert found["read"] + found["refused"] == 40


def killed(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def endless(_: Path) -> None:
    time.sleep(60)


def greedy(_: Path) -> None:
    np.zeros(2**30, np.uint8)


def unexpected(_: Path) -> None:
    raise KeyError("field")


def nameless(_: Path) -> None:
    raise ValueError("damaged")


@pytest.mark.parametrize(
    ("outcome", "message", "seconds"),
    [
        (killed, "the process ended with status -9", 60),
        (endless, "no end within 0.5 s", 0.5),
        (greedy, "MemoryError: Unable to allocate 1.00 GiB", 60),
        (unexpected, "KeyError: 'field'", 60),
        (nameless, "the message does not name the file: ValueError('damaged')", 60),
    ],
)
def test_every_other_outcome_fails_and_names_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Callable[[Path], None],
    message: str,
    seconds: float,
) -> None:
    file = tmp_path / "v"
    file.write_bytes(b"as written")
    monkeypatch.setitem(READERS, "v", lambda path: path.read_bytes() == b"as written" or outcome(path))
    with pytest.raises(AssertionError) as caught:
        fuzz("v", file, seed=0, count=10, limit_seconds=seconds)
    assert str(caught.value).startswith(f"{file}, v, seed 0: ")
    assert message in str(caught.value)
