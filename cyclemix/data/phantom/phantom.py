"""Synthetic short-axis hearts from a seed: a data set that needs no download and no registration.

Each subject has its own random stream: LV cavity with papillary muscles and trabeculae, myocardium, RV
crescent, tapering from base to apex and contracting between two frames; a chest with lungs, fat, liver and
spine; distractors with the heart's intensities far from it; bias field, Rician noise, and its own voxel size.
No stroke labels the distractors as background, so partial cross-entropy alone mistakes them for the heart.

Files as in ACDC: ``heart001/heart001_frame01.nii.gz``, ``_gt``, ``_scribble``. Labels: 1 RV, 2 MYO, 3 LV;
scribbles: the same, 0 background, 4 unlabelled.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.phantom.hearts import Plane, Subject, draw_subject, render_image, render_label
from cyclemix.data.phantom.strokes import draw_scribble
from cyclemix.files.atomic import write_bytes

UPSTREAM_UNLABELLED = 4


def _degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a bias field and Rician noise to a volume (D,H,W); int16 intensities."""
    _, height, width = image.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    a, b, c, d, e = rng.uniform(-1, 1, 5)
    field_ = np.exp(0.28 * (a * y + b * x) + 0.16 * (c * y * x + d * y**2 + e * x**2))
    sigma = rng.uniform(0.03, 0.055)
    real = image * field_ + rng.normal(0, sigma, image.shape)
    noisy = np.hypot(real, rng.normal(0, sigma, image.shape))
    return np.round(noisy * rng.uniform(300, 900)).astype(np.int16)


def render_frame(
    subject: Subject, systole: bool, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One frame: image int16, dense label uint8, scribble uint8 (255 = unlabelled), all (D,H,W)."""
    rng, hand = (
        np.random.default_rng([*seeds, int(systole), 0]),
        np.random.default_rng([*seeds, int(systole), 1]),
    )
    depth, height, width = subject.shape
    y, x = np.meshgrid(
        (np.arange(height) - (height - 1) / 2) * subject.spacing[1],
        (np.arange(width) - (width - 1) / 2) * subject.spacing[2],
        indexing="ij",
    )
    plane = Plane(y, x)
    levels = (np.arange(depth) + 0.3) / depth
    label = np.stack([render_label(subject, plane, level, systole) for level in levels])
    clean = np.stack([render_image(subject, plane, label[k], levels[k], rng) for k in range(depth)])
    scribble = np.stack([draw_scribble(label[k], subject.spacing[1:], hand) for k in range(depth)])
    return _degrade(clean, rng), label, scribble


def write_subject(folder: Path, name: str, seeds: Sequence[int]) -> list[str]:
    """Write both frames of a subject; returns their names. Equal seeds give equal bytes."""
    subject = draw_subject(np.random.default_rng([*seeds]))
    for frame, systole in zip(subject.frames, (False, True), strict=True):
        image, label, scribble = render_frame(subject, systole, seeds)
        scribble[scribble == UNLABELLED] = UPSTREAM_UNLABELLED
        stem = folder / name / f"{name}_{frame}"
        for suffix, array in (("", image), ("_gt", label), ("_scribble", scribble)):
            _write_nifti(stem.with_name(f"{stem.name}{suffix}.nii.gz"), array, subject)
    return list(subject.frames)


def _write_nifti(path: Path, array: np.ndarray, subject: Subject) -> None:
    """Write (D,H,W) as x,y,z NIfTI with a patient-like affine; atomic and reproducible."""
    dz, dy, dx = subject.spacing
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = [dx * array.shape[2] / 2, dy * array.shape[1] / 2, -dz * array.shape[0] / 2]
    image = nib.Nifti1Image(array.T, affine)
    image.header.set_xyzt_units("mm", "sec")
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    if path.is_file() and path.read_bytes() == content:
        return
    write_bytes(path, content)
