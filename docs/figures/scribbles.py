"""The numbers and the figure of ``docs/reference/data.md``, from downloaded data sets.

    python docs/figures/scribbles.py measure acdc=RECEIPT mscmr=RECEIPT
    python docs/figures/scribbles.py compare acdc=RECEIPT
    python docs/figures/scribbles.py figure phantom=RECEIPT docs/img/scribbles.png

A RECEIPT is e.g. ``results/data/acdc/raw_train.json``. ``measure`` writes the annotators' numbers,
``cyclemix/data/scribbles/expert_scribbles.csv``; ``compare`` prints simulated beside drawn ones;
``figure`` shows dense labels, given and simulated scribbles of four cases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer

from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import read_native
from cyclemix.data.scribbles.simulate import simulate_volume
from cyclemix.data.scribbles.strokes import EXPERTS, measure, summarise
from cyclemix.data.spec import DatasetSpec
from cyclemix.files.atomic import write_text
from cyclemix.report.plots import style

FOLDER = Path(__file__).parents[2] / "config" / "datasets"
COLUMNS = ["dataset", "class", "measure", "mean", "q25", "median", "q75", "n"]
MARGIN_PX = 14

app = typer.Typer(help=__doc__, add_completion=False)


@dataclass(frozen=True)
class Case:
    """One volume (D,H,W) each; ``label`` None where there are no dense labels."""

    name: str
    image: np.ndarray
    drawn: np.ndarray
    label: np.ndarray | None
    spacing_yx: tuple[float, float]


def cases_of(source: str) -> tuple[DatasetSpec, Iterator[Case]]:
    """The data set and the scribbled cases of ``label=receipt``; a YAML file may stand for the label."""
    label, _, receipt = source.partition("=")
    file = Path(label) if label.endswith(".yaml") else FOLDER / f"{label}.yaml"
    spec, path = load_dataset(file), Path(receipt)

    def read() -> Iterator[Case]:
        for entry in json.loads(path.read_text())["cases"]:
            drawn, spacing, _ = read_native(spec, path.parent / "raw", entry, "scribble")
            dense = read_native(spec, path.parent / "raw", entry, "label")[0] if entry["label"] else None
            image = read_native(spec, path.parent / "raw", entry, "image")[0]
            yield Case(entry["case"], image, drawn, dense, spacing[1:])

    return spec, read()


@app.command("measure")
def measure_experts(sources: list[str]) -> None:
    """Measure drawn scribbles."""
    tables = []
    for source in sources:
        spec, cases = cases_of(source)
        rows = pd.concat([measure(c.drawn, c.label, c.spacing_yx, spec.classes) for c in cases])
        tables.append(summarise(rows).assign(dataset=spec.label))
    write_text(EXPERTS, pd.concat(tables)[COLUMNS].to_csv(index=False))


@app.command()
def compare(source: str) -> None:
    """Print the measures of drawn and of simulated scribbles of the same dense labels."""
    spec, cases = cases_of(source)
    drawn, made = [], []
    for case in cases:
        if case.label is None:
            raise typer.BadParameter(f"{case.name} has no dense label to simulate scribbles from")
        simulated = simulate_volume(case.label, case.spacing_yx, case.name)
        drawn.append(measure(case.drawn, case.label, case.spacing_yx, spec.classes))
        made.append(measure(simulated, case.label, case.spacing_yx, spec.classes))
    both = [summarise(pd.concat(rows)).set_index(["class", "measure"]) for rows in (drawn, made)]
    typer.echo(
        "| class | measure | drawn: mean (quartiles) | simulated: mean (quartiles) |\n|---|---|---|---|"
    )
    for key in both[0].index:
        cells = [
            f"{t.loc[key, 'mean']:.3g} ({t.loc[key, 'q25']:.3g} to {t.loc[key, 'q75']:.3g})" for t in both
        ]
        typer.echo(f"| {key[0]} | {key[1]} | {' | '.join(cells)} |")


@app.command()
def figure(source: str, output: Path, count: int = 4) -> None:
    """Draw dense labels, drawn and simulated scribbles of some cases, a middle slice each."""
    spec, cases = cases_of(source)
    every = list(cases)
    chosen = every[:: max(1, len(every) // count)][:count]
    colours = style.structure_colours(spec.structures)
    with style.styled():
        height = 6.3
        page = style.new_figure(height)
        style.heading(
            page, f"{spec.title}: scribbles", "a middle slice of four cases; white: background strokes"
        )
        grid = page.add_gridspec(
            3, count, left=0.09, right=0.99, top=1 - 0.6 / height, bottom=0.01, wspace=0.03, hspace=0.03
        )
        for column, case in enumerate(chosen):
            if case.label is None:
                raise typer.BadParameter(f"{case.name} has no dense label to simulate scribbles from")
            number = len(case.label) // 2
            window = crop(case.label[number] > 0)
            simulated = simulate_volume(case.label, case.spacing_yx, case.name)
            rows = {"dense labels": case.label, "the data set's": case.drawn, "simulated": simulated}
            for row, (name, values) in enumerate(rows.items()):
                axes = page.add_subplot(grid[row, column])
                axes.imshow(case.image[number][window], cmap="gray", interpolation="nearest")
                axes.imshow(
                    painted(values[number][window], spec, colours, dense=row == 0), interpolation="nearest"
                )
                axes.set_xticks([])
                axes.set_yticks([])
                if not column:
                    axes.set_ylabel(name)
        style.save(page, output.parent, output.stem, dpi=120)


def crop(shown: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a square around what is shown."""
    rows, columns = np.nonzero(shown)
    half = max(np.ptp(rows), np.ptp(columns)) // 2 + MARGIN_PX
    middle = [(values.min() + values.max()) // 2 for values in (rows, columns)]
    first, second = (slice(max(0, m - half), m + half) for m in middle)
    return first, second


def painted(values: np.ndarray, spec: DatasetSpec, colours: dict[str, str], dense: bool) -> np.ndarray:
    """Labels (H,W) as colours (H,W,4); the background is white in scribbles and clear in dense labels."""
    from matplotlib.colors import to_rgba

    image = np.zeros((*values.shape, 4))
    for position, name in enumerate(spec.classes, 1):
        image[values == position] = to_rgba(colours[name], 0.55 if dense else 1.0)
    if not dense:
        image[values == 0] = to_rgba("white")
    return image


if __name__ == "__main__":
    app()
