"""Small NIfTI files and users' data sets."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from cyclemix.config.models import Grid
from cyclemix.data import download, prepare
from cyclemix.data.store import read_index

OWN = """\
title: Own
terms: none
root: {root}
files:
  image: "images/{{case}}.nii.gz"
  label: "labels/{{case}}.nii.gz"
  scribble: "scribbles/{{case}}.nii.gz"
classes: [RV, LV]
label_values: {{0: background, 1: RV, 2: LV}}
scribble_values: {{0: unlabelled, 1: RV, 2: LV, 3: background}}
grid: {{spacing_mm: 1.0, crop_px: 32}}
"""
"""A user's data set: unlabelled is 0 and background 3 in its scribbles."""

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "datasets"


def write_nifti(path: Path, array: np.ndarray, spacing: Sequence[float] = (5.0, 1.0, 1.0)) -> Path:
    """Write (D,H,W) with voxels (dz,dy,dx) mm as x,y,z NIfTI."""
    dz, dy, dx = spacing
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array.T, np.diag([dx, dy, dz, 1.0])), path)
    return path


def write_case(root: Path, case: str, seed: int = 0, label: bool = True, scribble: bool = True) -> None:
    """A case (2,40,36) of the data set ``OWN``: noise, an RV and an LV square, strokes in them and around."""
    rng = np.random.default_rng(seed)
    write_nifti(root / "images" / f"{case}.nii.gz", rng.normal(100, 20, (2, 40, 36)).astype(np.float32))
    dense = np.zeros((2, 40, 36), np.uint8)
    dense[:, 10:20, 8:16], dense[:, 10:20, 18:30] = 1, 2
    strokes = np.zeros_like(dense)
    strokes[:, 14, 9:15], strokes[:, 14, 19:29], strokes[:, 5, 4:32] = 1, 2, 3
    if label:
        write_nifti(root / "labels" / f"{case}.nii.gz", dense)
    if scribble:
        write_nifti(root / "scribbles" / f"{case}.nii.gz", strokes)


def spread(
    folder: Path,
    pattern: str,
    *cases: tuple[str, ...],
    suffixes: tuple[str, str, str] = ("", "_gt", "_scribble"),
    scribbles: bool = True,
) -> Path:
    """Cases of ``OWN`` laid out in the returned ``folder``/scans by a pattern such as ``{0}/{0}_{1}{kind}``.

    ``{kind}`` is the suffix of image, label or scribble.
    """
    for number, case in enumerate(cases):
        write_case(folder / "flat", "x", seed=number, scribble=scribbles)
        for kind, suffix in zip(("images", "labels", "scribbles"), suffixes, strict=True):
            source = folder / "flat" / kind / "x.nii.gz"
            if source.is_file():
                target = folder / "scans" / (pattern.format(*case, kind=suffix) + ".nii.gz")
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
    return folder / "scans"


def write_own(folder: Path, cases: Sequence[str] = ("a1", "a2"), extra: str = "") -> Path:
    """The data set ``OWN`` below ``folder``; returns its YAML file."""
    root = folder / "scans"
    for seed, case in enumerate(cases):
        write_case(root, case, seed)
    spec_file = folder / "own.yaml"
    spec_file.write_text(OWN.format(root=root) + extra)
    return spec_file


def edited(folder: Path, label: str, old: str, new: str) -> Path:
    """A copy of a shipped data set's file with one text replaced."""
    text = (SHIPPED / f"{label}.yaml").read_text()
    assert old in text
    path = folder / f"{label}.yaml"
    path.write_text(text.replace("../manifests", str(SHIPPED.parent / "manifests")).replace(old, new))
    return path


GRID = Grid(spacing_mm=1.0, crop_px=32)


class Lab:
    """The data set ``OWN`` in a folder, and the two stages on it."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        self.root = folder / "scans"
        self.spec_file = write_own(folder, **options)  # type: ignore[arg-type]
        self.index = folder / "data" / "prepared" / "index_all.csv"

    def prepare(self, threads: int = 2) -> pd.DataFrame:
        """Both stages; the index."""
        self.download()
        return self.prepare_only(threads)

    def download(self) -> Path:
        """The first stage; its receipt."""
        receipt = self.folder / "data" / "raw_all.json"
        download.run(self.spec_file, "all", receipt)
        return receipt

    def prepare_only(self, threads: int = 2, grid: Grid = GRID) -> pd.DataFrame:
        """The second stage; the index."""
        prepare.run(self.spec_file, "all", self.folder / "data" / "raw_all.json", grid, self.index, threads)
        return read_index([self.index])

    def npz(self, case: str) -> Path:
        return self.index.with_name(f"{case}.npz")


def edit_header(path: Path, **fields: object) -> None:
    """Overwrite fields of a ``.nii.gz``'s NIfTI-1 header, its voxels untouched."""
    content = gzip.decompress(path.read_bytes())
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(gzip.compress(header.binaryblock + content[348:]))


def edit_voxels(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the array (D,H,W) of a NIfTI file by ``change`` of it, its affine kept."""
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj).T).T, image.affine), path)
