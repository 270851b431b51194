"""Fixtures of the whole test suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from warm_python import warm_python

from cyclemix.config.models import Grid, Protocol
from cyclemix.data import download, prepare, split

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in every run.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")

TINY_PHANTOM = """\
title: Tiny phantom
terms: none
kind: phantom
seed: 5
files:
  image: "{subject}/{case}.nii.gz"
  label: "{subject}/{case}_gt.nii.gz"
  scribble: "{subject}/{case}_scribble.nii.gz"
case: "{subject}_{frame}"
classes: [RV, MYO, LV]
table_order: [LV, MYO, RV]
label_values: {0: background, 1: RV, 2: MYO, 3: LV}
scribble_values: {0: background, 1: RV, 2: MYO, 3: LV, 4: unlabelled}
grid: {spacing_mm: 3.2, crop_px: 64}
subject_name: "heart{:03d}"
official: {train: [1, 2], val: [3], masks: [4], test: [5]}
cardiac_frames: {ED: frame01}
"""


@pytest.fixture(scope="session")
def repository() -> Path:
    """The project's folder."""
    return REPOSITORY


def _real(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder that holds upstream files under ``<host>/<path>`` (environment variable CYCLEMIX_MIRROR)."""
    return _real("CYCLEMIX_MIRROR", "mirror")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of recorded reference values (environment variable CYCLEMIX_REFERENCE)."""
    return _real("CYCLEMIX_REFERENCE", "reference")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A ``python`` for `studies.Project` that has done the imports."""
    with warm_python(tmp_path_factory.mktemp("warm")) as python:
        yield python


@pytest.fixture(scope="session")
def phantom_prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny phantom, 2 + 1 + 1 + 1 subjects on a 64-px grid; read only.

    ``tiny.yaml``, ``data/tiny/raw_{part}.json``, ``data/tiny/prepared/3.2mm_64px/index_{part}.csv`` and
    ``data/tiny/folds.json`` below the returned folder.
    """
    folder = tmp_path_factory.mktemp("phantom")
    spec_file = folder / "tiny.yaml"
    spec_file.write_text(TINY_PHANTOM)
    data, grid = folder / "data" / "tiny", Grid(spacing_mm=3.2, crop_px=64)
    for part in ("train", "val", "masks", "test"):
        receipt = data / f"raw_{part}.json"
        download.run(spec_file, part, receipt, threads=2)
        prepare.run(
            spec_file, part, receipt, grid, data / "prepared" / grid.name / f"index_{part}.csv", threads=2
        )
    split.run(spec_file, Protocol(), None, data / "folds.json")
    return folder
