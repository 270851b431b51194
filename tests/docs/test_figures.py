"""The figure of one step is drawn by the code that it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doc_commands import ROOT
from matplotlib.image import imread


def test_the_figure_of_one_step_is_drawn_anew(tmp_path: Path) -> None:
    script = ROOT / "docs" / "figures" / "one_step.py"
    command = [sys.executable, str(script), "--steps", "1", "--output-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, check=True)
    drawn, committed = imread(tmp_path / "one_step.png"), imread(ROOT / "docs" / "img" / "one_step.png")
    assert drawn.shape == committed.shape
