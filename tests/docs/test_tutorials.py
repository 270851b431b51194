"""The blocks after ``<!-- run -->`` are run, in order, in a fresh copy of the project, in small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from doc_commands import ROOT, Block, blocks, pages
from studies import SMALL, Project, copy_of_project, with_few_hearts

SMALLER = {
    "docs/tutorials/get-started.md": SMALL,
    "docs/tutorials/own-images.md": SMALL[:2],
    "docs/how-to/paint.md": [],
}
"""What each page's studies are cut down by; as pasted they take minutes."""

MADE = {
    "docs/tutorials/get-started.md": [
        "results/tables/phantom/comparison.html",
        "results/report.html",
        "results/runs/phantom/cyclemix/fold0_seed0/model.pt",
        "results/runs/phantom/cutmix/fold0_seed0/model.pt",
        "segmented/heart019_frame01.nii.gz",
    ],
    "docs/tutorials/own-images.md": [
        "config/datasets/my_scans.yaml",
        "results/check/my_scans/overlays.html",
        "results/runs/my_scans/cyclemix/fold0_seed0/model.pt",
        "results/tables/my_scans/comparison.html",
        "segmented/volumes.csv",
    ],
    "docs/how-to/paint.md": [
        "config/datasets/painted_scans.yaml",
        "results/check/painted_scans/overlays.html",
    ],
}
"""What the page says is there afterwards."""

RUN = {page: found for page in pages() if (found := [block for block in blocks(page) if block.run])}


def with_environment(project: Project) -> Project:
    """A ``.venv`` whose programs are this environment's, and which `make` takes for installed."""
    environment = project.folder / ".venv"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    (environment / ".installed").touch()
    return project


def in_small(block: Block) -> str:
    """A block whose studies are cut down: overrides behind ``snakemake``, or in ARGS for ``make``."""
    overrides = " ".join(f"'{override}'" for override in SMALLER[block.page])
    lines = block.script().replace("\\\n", " ").splitlines()
    return "\n".join(
        (f"{line} {overrides}" if " --config " in line else f"{line} --config {overrides}")
        if line.startswith("snakemake ")
        else line
        for line in lines
    )


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_page_runs_from_its_first_block_to_its_last(page: Path, tmp_path: Path) -> None:
    project = with_environment(with_few_hearts(copy_of_project(tmp_path)))
    name = str(page.relative_to(ROOT))
    environment = {
        **os.environ,
        "PATH": f"{project.folder / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(project.folder),
        "ARGS": "--config " + " ".join(f"'{override}'" for override in SMALLER[name]),
        "CORES": "2",
    }
    for block in RUN[page]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", in_small(block)], cwd=project.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}:{block.line}\n{done.stdout[-4000:]}{project.logs()}"
    missing = [path for path in MADE[name] if not (project.folder / path).exists()]
    assert missing == []


def test_every_page_with_such_blocks_is_known() -> None:
    assert {str(page.relative_to(ROOT)) for page in RUN} == set(MADE) == set(SMALLER)
