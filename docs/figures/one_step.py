"""Draw docs/img/one_step.png: one CycleMix step on two slices of the phantom, by its own operations.

    PYTHONPATH=. .venv/bin/python docs/figures/one_step.py

A small network is trained first, some minutes on one core, so that its predictions show something.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import in_pixels
from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.data import download, prepare
from cyclemix.data.store import read_index
from cyclemix.methods.base import Slices
from cyclemix.methods.cyclemix import CycleMix
from cyclemix.ops import occlusion, rotation
from cyclemix.ops.components import cycle_target
from cyclemix.ops.losses import partial_cross_entropy
from cyclemix.ops.puzzlemix import Mix, puzzle_mix
from cyclemix.ops.saliency import saliency
from cyclemix.report.plots import style
from cyclemix.training.engine import Engine, State
from cyclemix.training.slices import load_slices

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["RV", "MYO", "LV"]
GRID = Grid(spacing_mm=1.5, crop_px=96)
PAIR = (12, 70)
"""Training slices that are drawn."""

MIX_STEP = 2
"""A step whose shares are chosen on 8 x 8 cells."""

SEED = 7
TERMS = {"unmix": "#0072B2", "mix": "#D55E00", "global": "#009E73", "local": "#A0436A"}
BACKGROUND = "#9aa3af"


@dataclass(frozen=True)
class Step:
    """All that one step makes of the pair; (2,H,W) or (2,C,H,W) tensors, of which the mix shows the first."""

    image: Tensor
    target: Tensor
    scores: Tensor
    saliency: Tensor
    mix: Mix
    components: Tensor
    occluded: Tensor
    rotated: Tensor
    rotated_scores: Tensor
    back: Tensor
    visible: Tensor


def prepared_slices(folder: Path) -> tuple[Slices, RunConfig]:
    """The phantom's training slices, and the settings of a small network."""
    spec, receipt, index = (
        ROOT / "config/datasets/phantom.yaml",
        folder / "raw_train.json",
        folder / "index_train.csv",
    )
    download.run(spec, "train", receipt, threads=2)
    prepare.run(spec, "train", receipt, GRID, index, threads=1)
    settings = RunConfig(
        label="cyclemix",
        dataset="phantom",
        method="cyclemix",
        supervision="scribble",
        classes=CLASSES,
        grid=GRID,
        config=CycleMix.Config().model_dump(mode="json"),
        training=Recipe(base_filters=8, batch_size=8, learning_rate=2e-3, warmup_steps=20, precision="fp32"),
    )
    return load_slices(read_index([index]), settings, torch.device("cpu")), settings


def trained(slices: Slices, settings: RunConfig, steps: int) -> torch.nn.Module:
    """A network after so many steps."""
    engine, state = Engine(settings, 0, slices), State(digest="")
    for _ in range(steps):
        engine.step(state)
    return engine.net.train()


def one_step(net: torch.nn.Module, slices: Slices) -> Step:
    """Repeat `CycleMix.losses` on the pair, keeping what lies between its lines."""
    settings, generator = CycleMix.Config(), torch.Generator().manual_seed(SEED)
    pixels = in_pixels(settings, GRID.spacing_mm)
    image, target = slices.image[list(PAIR)].requires_grad_(), slices.target[list(PAIR)].long()
    logits = net(image)
    (gradient,) = torch.autograd.grad(partial_cross_entropy(logits, target), image)
    salient, scores = saliency(gradient), logits.detach().softmax(dim=1)
    image = image.detach()
    mix = puzzle_mix(
        image, salient, torch.tensor([1, 0]), MIX_STEP, settings.puzzle, generator, pixels["puzzle.block_px"]
    )
    hidden = occlusion.random_squares(2, *image.shape[-2:], pixels["occlusion_px"], generator, "cpu")
    angle = rotation.random_angles(2, generator, "cpu")
    occluded = mix.image * ~hidden[:, None]
    rotated = rotation.rotate(occluded, angle)
    with torch.no_grad():
        turned = net(rotated)
    return Step(
        image[:, 0], target, scores, salient, mix, cycle_target(scores.argmax(dim=1), len(CLASSES) + 1),
        occluded[:, 0], rotated[:, 0], turned.softmax(dim=1), rotation.rotate(turned, -angle).softmax(dim=1),
        ~hidden & rotation.valid_mask(-angle, *image.shape[-2:]),
    )  # fmt: skip


def colours() -> NDArray[np.float64]:
    """(classes + 1, 3): background, then the structures."""
    structures = style.structure_colours(CLASSES)
    return np.array([to_rgb(BACKGROUND), *(to_rgb(structures[name]) for name in CLASSES)])


def brightness(values: Tensor) -> NDArray[np.float64]:
    """(H,W) in [0, 1] -> (H,W,3)."""
    return np.repeat(values.numpy()[..., None], 3, axis=2)


def grey(image: Tensor) -> NDArray[np.float64]:
    """(H,W) z-scored -> (H,W,3) in [0, 1]."""
    return brightness(((image + 1.5) / 4.5).clamp(0, 1))


def scribbled(image: Tensor, *targets: Tensor) -> NDArray[np.float64]:
    """An image with its strokes in colour."""
    shown = grey(image)
    for target in targets:
        marked = (target != UNLABELLED).numpy()
        shown[marked] = colours()[target.numpy()[marked]]
    return shown


def predicted(scores: Tensor, visible: Tensor | None = None) -> NDArray[np.float64]:
    """Scores (C,H,W) as colours, background dark, white where nothing is compared."""
    palette = colours()
    palette[0] = to_rgb("#1b1f24")
    shown: NDArray[np.float64] = np.tensordot(scores.numpy(), palette, axes=(0, 0))
    if visible is not None:
        shown[~visible.numpy()] = 1.0
    return shown


def panels(step: Step) -> dict[tuple[int, int], tuple[str, NDArray[np.float64]]]:
    """Title and picture by (row, column)."""
    first, second = step.mix.labels(step.target)
    ratio = brightness(step.mix.ratio[0])
    onehot = torch.nn.functional.one_hot(step.components[1], len(CLASSES) + 1).permute(2, 0, 1).float()
    salient = [
        np.repeat((s / s.quantile(0.995)).clamp(0, 1).sqrt().numpy()[..., None], 3, axis=2)
        for s in step.saliency
    ]
    shown = (
        (first[0] != UNLABELLED) & (step.mix.ratio[0] < 1),
        (second[0] != UNLABELLED) & (step.mix.ratio[0] > 0),
    )
    strokes = [t[0].masked_fill(~keep, UNLABELLED) for t, keep in zip((first, second), shown, strict=True)]
    return {
        (0, 0): ("image 1, scribbles", scribbled(step.image[0], step.target[0])),
        (1, 0): ("image 2, scribbles", scribbled(step.image[1], step.target[1])),
        (0, 1): ("prediction 1", predicted(step.scores[0])),
        (1, 1): ("prediction 2", predicted(step.scores[1])),
        (2, 1): ("its largest components", predicted(onehot)),
        (0, 2): ("saliency 1", salient[0]),
        (1, 2): ("saliency 2", salient[1]),
        (0, 3): ("share of image 2", ratio),
        (1, 3): ("increment: mixed", scribbled(step.mix.image[0, 0], *strokes)),
        (1, 4): ("decrement: occluded", grey(step.occluded[0])),
        (1, 5): ("rotated", grey(step.rotated[0])),
        (2, 5): ("its prediction", predicted(step.rotated_scores[0])),
        (2, 4): ("turned back", predicted(step.back[0], step.visible[0])),
        (2, 3): ("predictions 1, 2 mixed", predicted(step.mix.scores(step.scores)[0])),
    }


WIDTH, HEIGHT = 10.4, 5.5
PANEL, GAP_X, GAP_Y, LEFT, TOP = 1.28, 0.46, 0.5, 0.12, 0.30


def box(row: int, column: int) -> tuple[float, float]:
    """Lower left corner of a panel, inches."""
    return LEFT + column * (PANEL + GAP_X), HEIGHT - TOP - (row + 1) * PANEL - row * GAP_Y


def middle(row: int, column: int, side: str) -> tuple[float, float]:
    """Middle of a side (``l``, ``r``, ``t``, ``b``) of a panel, inches."""
    x, y = box(row, column)
    dx, dy = {"l": (0, 0.5), "r": (1, 0.5), "t": (0.5, 1), "b": (0.5, 0)}[side]
    return x + dx * PANEL, y + dy * PANEL


class Sheet:
    """A figure measured in inches, panels and arrows on it."""

    def __init__(self) -> None:
        self.figure: Figure = style.new_figure(HEIGHT, WIDTH)
        self.canvas: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.canvas.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self.canvas.axis("off")

    def panel(self, row: int, column: int, title: str, picture: NDArray[np.float64]) -> None:
        x, y = box(row, column)
        axes = self.figure.add_axes((x / WIDTH, y / HEIGHT, PANEL / WIDTH, PANEL / HEIGHT))
        axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color=style.RULE)
        self.canvas.text(x, y + PANEL + 0.05, title, fontsize=8.5, fontweight="bold", va="bottom")

    def arrow(self, start: Sequence[float], end: Sequence[float], term: str = "") -> None:
        """From place to place; both ends and the colour of its term for what a term compares."""
        look = {
            "arrowstyle": "<|-|>" if term else "-|>",
            "color": TERMS.get(term, style.QUIET),
            "lw": 2.0 if term else 1.2,
        }
        look |= {"shrinkA": 1.5, "shrinkB": 1.5, "mutation_scale": 9}
        self.canvas.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=look)

    def says(self, x: float, y: float, text: str, term: str = "", ha: str = "center") -> None:
        bold = "bold" if term else "normal"
        colour = TERMS.get(term, style.QUIET)
        self.canvas.text(
            x, y, text, ha=ha, va="center", fontsize=7.5, color=colour, fontweight=bold, linespacing=1.05
        )


def shifted(place: tuple[float, float], dx: float = 0.0, dy: float = 0.0) -> tuple[float, float]:
    return place[0] + dx, place[1] + dy


def draw(step: Step) -> Figure:
    """The figure: panels, grey arrows for what is computed, coloured ones for what a term compares."""
    sheet = Sheet()
    for (row, column), (title, picture) in panels(step).items():
        sheet.panel(row, column, title, picture)
    for row in (0, 1):
        x, y = middle(row, 0, "r")
        sheet.arrow((x, y + 0.3), shifted(middle(row, 1, "l"), dy=0.3))
        sheet.says(x + GAP_X / 2, y + 0.42, "network")
        sheet.arrow((x, y - 0.25), shifted(middle(row, 1, "l"), dy=-0.25), "unmix")
        sheet.says(x + GAP_X / 2, y - 0.38, "unmix", "unmix")
        sheet.arrow(middle(row, 1, "r"), middle(row, 2, "l"))
        sheet.says(middle(row, 1, "r")[0] + GAP_X / 2, y + 0.16, "gradient\nof unmix")
    sheet.arrow(middle(0, 2, "r"), middle(0, 3, "l"))
    sheet.arrow(shifted(middle(1, 2, "r"), dy=0.45), shifted(middle(0, 3, "l"), dy=-0.45))
    sheet.says(middle(0, 2, "r")[0] + GAP_X / 2, middle(0, 2, "r")[1] + 0.16, "graph\ncut")
    sheet.arrow(middle(0, 3, "b"), shifted(middle(1, 3, "t"), dy=0.18))
    for column in (3, 4):
        sheet.arrow(middle(1, column, "r"), middle(1, column + 1, "l"))
    sheet.arrow(middle(1, 5, "b"), shifted(middle(2, 5, "t"), dy=0.18))
    sheet.says(middle(1, 5, "b")[0] + 0.08, middle(1, 5, "b")[1] - 0.15, "network", ha="left")
    sheet.arrow(middle(2, 5, "l"), middle(2, 4, "r"))
    sheet.arrow(shifted(middle(1, 1, "r"), dy=-0.5), shifted(middle(2, 3, "l"), dy=0.3))
    x, y = box(2, 2)
    sheet.says(x + PANEL / 2 - 0.1, y + 0.42, "both predictions: the same\ntransport, the same shares")
    sheet.arrow(middle(1, 1, "b"), shifted(middle(2, 1, "t"), dy=0.18), "local")
    sheet.says(middle(1, 1, "b")[0] + 0.1, middle(1, 1, "b")[1] - 0.16, "local", "local", ha="left")
    sheet.arrow(middle(2, 3, "r"), middle(2, 4, "l"), "global")
    sheet.says(middle(2, 3, "r")[0] + GAP_X / 2, middle(2, 3, "r")[1] - 0.13, "global", "global")
    sheet.arrow(shifted(box(1, 3), PANEL, 0.2), shifted(box(2, 4), 0, PANEL - 0.15), "mix")
    sheet.says(box(1, 4)[0] - 0.1, box(1, 4)[1] - 0.1, "mix", "mix", ha="left")
    legend(sheet)
    return sheet.figure


def legend(sheet: Sheet) -> None:
    """Colours of the structures, and what each term compares."""
    x, y = box(0, 4)
    names = ["background", *CLASSES]
    handles = [Patch(color=colour, label=name) for name, colour in zip(names, colours(), strict=True)]
    place = (x / WIDTH, (y + PANEL + 0.24) / HEIGHT)
    sheet.figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=4, fontsize=7.5,
                        handlelength=0.9, columnspacing=0.9, handletextpad=0.4)  # fmt: skip
    lines = {
        "unmix": "cross-entropy with the scribbles",
        "mix": "cross-entropy with both images' scribbles,\nmoved alike, each by its share",
        "global": "1 - cos, where something is visible",
        "local": "1 - cos to its own largest components",
    }
    y += PANEL - 0.22
    for term, text in lines.items():
        sheet.says(x + 0.06, y, term, term, ha="left")
        sheet.canvas.text(
            x + 0.52, y + 0.055, text, fontsize=7.5, color=style.INK, va="top", linespacing=1.05
        )
        y -= 0.36 if "\n" in text else 0.24


def main() -> None:
    """Train, take the step, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400, help="training steps before the step that is drawn")
    parser.add_argument(
        "--output-dir", type=Path, default=ROOT / "docs" / "img", help="folder of one_step.png"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slices, settings = prepared_slices(Path(folder))
        net = trained(slices, settings, options.steps)
    with style.styled():
        style.save(draw(one_step(net, slices)), options.output_dir, "one_step", dpi=180)


if __name__ == "__main__":
    main()
