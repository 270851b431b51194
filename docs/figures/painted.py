"""Draw docs/img/painted.png: a slice, the values painted on it, and what `check` makes of them.

PYTHONPATH=. .venv/bin/python docs/figures/painted.py
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.patches import Patch

from cyclemix.data.readers.native import load_volume
from cyclemix.own_data import check, init
from cyclemix.report.plots import style

ROOT = Path(__file__).resolve().parents[2]
SLICE = 2
EDITOR = ("#FF0000", "#00FF00", "#0000FF", "#FFFF00")
"""An editor's first colours, in the order of values."""


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [
            sys.executable,
            str(ROOT / "docs/examples/make_images.py"),
            str(folder / "scans"),
            "--cases",
            "4",
        ]
        subprocess.run(made, check=True)
        init.run(folder / "scans", "scans", folder / "scans.yaml", folder / "study.yaml", threads=2)
        report = check.run(folder / "scans.yaml", folder / "results", threads=2)
        case = report.cases[0]
        image, painted = (
            load_volume(str(folder / "scans" / f"{kind}s" / f"{case.name}.nii.gz"), kind)[0]
            for kind in ("image", "scribble")
        )
    seen = next(p for p in case.pictures if p.title == f"slice {SLICE + 1}: scribble")
    editor = np.repeat((image[SLICE] / np.percentile(image[SLICE], 99.5)).clip(0, 1)[..., None], 3, axis=2)
    for value, colour in enumerate(EDITOR, start=1):
        editor[painted[SLICE] == value] = matplotlib.colors.to_rgb(colour)
    with style.styled():
        figure = style.new_figure(2.75)
        panels = (
            ("painted in an editor", editor, list(zip(("1", "2", "3", "4"), EDITOR, strict=True))),
            (
                "in overlays.html of check",
                matplotlib.image.imread(io.BytesIO(base64.b64decode(seen.png))),
                named(report.spec.classes),
            ),
        )
        for place, (title, pixels, keys) in enumerate(panels):
            axes = figure.add_axes((0.04 + 0.48 * place, 0.14, 0.44, 0.74))
            axes.imshow(pixels, aspect=seen.size_mm[0] / pixels.shape[0] * pixels.shape[1] / seen.size_mm[1])
            axes.set_title(title, size=8)
            axes.set_axis_off()
            handles = [Patch(color=colour, label=label) for label, colour in keys]
            axes.legend(
                handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, fontsize=6.5
            )
        figure.savefig(ROOT / "docs" / "img" / "painted.png", dpi=150)


def named(classes: list[str]) -> list[tuple[str, str]]:
    """Names and colours of `check`'s strokes."""
    return [*reversed(style.structure_colours(list(reversed(classes))).items()), ("background", "#E8E8E8")]


if __name__ == "__main__":
    main()
