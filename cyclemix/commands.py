"""The commands that people type: to look at methods and data, to segment, to check; the stages are in cli.py.

As there, everything that takes time to import is imported inside the command that needs it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cyclemix.options import read_model

commands = typer.Typer()


@commands.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="images (NIfTI, NRRD, MHA) or folders of them")],
    model: Annotated[
        list[Path], typer.Option(help="model.pt, a run's folder, or a folder of runs; several = ensemble")
    ],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="write them, 4D NIfTI")] = False,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="write the entropy, 0 to 1")] = False,
    overlays: Annotated[bool, typer.Option(help="draw a PNG an image")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    inference: Annotated[str, typer.Option(help="JSON: flip_average, largest_component")] = "{}",
) -> None:
    """Segment new images with a trained model: labels, volumes in ml, overlays.

    \b
    Examples:
      cyclemix segment scan.nii.gz --model results/runs/mscmr/cyclemix/fold0_seed0 --out segmented
      cyclemix segment scans/ --model results/runs/mscmr/cyclemix --out segmented --uncertainty
    """
    from cyclemix import segment as stage
    from cyclemix.config import Inference
    from cyclemix.model_file import find_models

    models = [path for place in model for path in find_models(place)]
    how = read_model(Inference, inference, "--inference")
    extras = stage.Extras(probabilities, uncertainty)
    show = None
    if overlays:
        from cyclemix.plots.sheet import save_sheet

        show = partial(save_sheet, out)
    stage.run(models, stage.find_images(images), out, how, device, extras, show)


@commands.command()
def methods(
    label: Annotated[str | None, typer.Argument(help="show this row with all its settings")] = None,
    file: Annotated[Path, typer.Option(help="method blocks")] = Path("config/methods.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="the list as JSON")] = False,
) -> None:
    """List the labels that a study may name, or explain one of them."""
    from cyclemix import catalogue

    if label is not None:
        typer.echo(catalogue.details(file, label))
    else:
        typer.echo(catalogue.as_json(file) if as_json else catalogue.listing(file))


@commands.command("new-method")
def new_method(
    name: Annotated[str, typer.Argument(help="file name and label, e.g. my_method")],
    root: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
) -> None:
    """Write a method file, its block and its test, which pass as they are; then edit them."""
    from cyclemix import scaffold

    for path in scaffold.write(name, root):
        typer.echo(path)
    typer.echo(f"Next: make schema, then edit; try it with --config 'methods=[unet_pce, {name}, cyclemix]'")


@commands.command()
def schema(
    output_dir: Annotated[Path, typer.Option(help="folder of the schemas")] = Path("workflow/schemas"),
    check: Annotated[bool, typer.Option("--check", help="only fail where a file is out of date")] = False,
) -> None:
    """Write the JSON schemas of study, data set and method files from the models."""
    from cyclemix import schemas

    schemas.write(output_dir, check=check)
