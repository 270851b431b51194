"""A tiny results folder, and a way to look at figures instead of files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from matplotlib.figure import Figure

from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import read_native
from cyclemix.evaluation import evaluate
from cyclemix.files import layout
from cyclemix.report.plots import style


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that a stage saves, by file name; no file is written."""
    found: dict[str, Figure] = {}

    def keep(figure: Figure, folder: Path, name: str, *, vector: bool = False, dpi: int = 0) -> list[Path]:
        found[name] = figure
        return [folder / f"{name}.png"]

    monkeypatch.setattr(style, "save", keep)
    monkeypatch.setattr(style, "save_embedded", lambda image, alt: image)
    return found


@pytest.fixture(scope="module")
def study(phantom_prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two methods and two seeds on the tiny phantom; predictions are shifted truths."""
    results = tmp_path_factory.mktemp("results")
    (results / "data").symlink_to(phantom_prepared / "data")
    shutil.copy(phantom_prepared / "tiny.yaml", results)
    spec, data = load_dataset(results / "tiny.yaml"), results / "data" / "tiny"
    entries = json.loads((data / "raw_test.json").read_text())["cases"]
    for label, shift in (("cyclemix", 1), ("unet_pce", 4)):
        for seed in (0, 1):
            run = layout.run_dir(results, "tiny", label, 0, seed)
            folders = run / "predictions", run / "predictions" / layout.AS_PREDICTED
            folders[1].mkdir(parents=True)
            for entry in entries:
                truth, _, header = read_native(spec, data / "raw", entry, "label")
                affine = nibabel.Nifti1Header(header).get_best_affine()
                moved = np.roll(truth, shift + seed, axis=2)
                for folder in folders:
                    nibabel.save(nibabel.Nifti1Image(moved.T, affine), folder / f"{entry['case']}.nii.gz")
            rows = [f"{s},{s * 2.0},{1 / s},{0.5 + s / 1000 + seed / 10}" for s in (10, 20, 30)]
            (run / "history.csv").write_text("\n".join(["step,seconds,loss,val_dice_avg", *rows]) + "\n")
            evaluate.run(
                results / "tiny.yaml", data / "raw_test.json", data / "folds.json", 0, "test",
                run / "predictions", run / "metrics.csv", threads=1,
            )  # fmt: skip
    return results
