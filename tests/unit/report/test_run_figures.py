"""The figures of one run: what they show, and where they are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cyclemix.files import layout
from cyclemix.report import run_figures
from cyclemix.report.plots import style


def test_a_run_has_an_overlay_of_its_patients_and_its_curves(study: Path, drawn: dict[str, Figure]) -> None:
    folder = layout.run_dir(study, "tiny", "cyclemix", 0, 0)
    run_figures.run(study / "tiny.yaml", study / "data/tiny/raw_test.json", folder)
    assert list(drawn) == ["overlay", "curves"]
    overlay, curves = drawn.values()
    words = [text.get_text() for text in overlay.texts]
    assert words[:2] == [
        "cyclemix on Tiny phantom",
        "median and worst patient; numbers: Dice of the slice in percent",
    ]
    assert "fold0_seed0" in words
    # one test patient: the median; base, middle and apex of image, scribble, truth and prediction
    (canvas,) = overlay.axes
    assert len([image for image in canvas.images if image.get_array().ndim == 2]) == 3 * 4
    assert [axes.get_title(loc="left") for axes in curves.axes] == [
        "Validation Dice",
        "Validation Dice",
        "Training loss",
    ]
    assert [axes.get_xlabel() for axes in curves.axes] == ["step", "training time, s", "step"]
    assert [text.get_text() for text in curves.legends[0].get_texts()] == ["cyclemix"]
    line = curves.axes[0].lines[0]
    assert to_hex(line.get_color()) == style.EMPHASIS.lower()
    history = pd.read_csv(folder / "history.csv")
    assert list(line.get_ydata()) == pytest.approx(list(history["val_dice_avg"]))


def test_both_are_images_in_the_run_s_folder(study: Path) -> None:
    folder = layout.run_dir(study, "tiny", "unet_pce", 0, 1)
    run_figures.run(study / "tiny.yaml", study / "data/tiny/raw_test.json", folder)
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("overlay", "curves"))
