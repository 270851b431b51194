"""Figures of the pages are drawn by the code that they show, and their scripts run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doc_commands import ROOT
from matplotlib.image import imread
from scripts import load_script
from typer.testing import CliRunner


def test_the_figure_of_one_step_is_drawn_anew(tmp_path: Path) -> None:
    script = ROOT / "docs" / "figures" / "one_step.py"
    command = [sys.executable, str(script), "--steps", "1", "--output-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, check=True)
    drawn, committed = imread(tmp_path / "one_step.png"), imread(ROOT / "docs" / "img" / "one_step.png")
    assert drawn.shape == committed.shape


def test_the_comparison_of_simulated_scribbles_runs(phantom_prepared: Path, tmp_path: Path) -> None:
    page = load_script("docs/figures/scribbles.py")
    source = f"{phantom_prepared / 'tiny.yaml'}={phantom_prepared / 'data/tiny/raw_train.json'}"
    done = CliRunner().invoke(page.app, ["compare", source])
    assert done.exit_code == 0, done.output
    assert "| MYO | of_class | " in done.output
    assert CliRunner().invoke(page.app, ["figure", source, str(tmp_path / "f.png")]).exit_code == 0
    assert (tmp_path / "f.png").stat().st_size > 10_000
