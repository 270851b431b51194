"""The commands that people type: to look at methods and data, to segment, to check; the stages are in cli.py.

As there, everything that takes time to import is imported inside the command that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cyclemix.options import Execution, OutputDir, read_model

commands = typer.Typer()


@commands.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="short-axis stacks, .nii or .nii.gz")],
    model: Annotated[Path, typer.Option(help="model.pt")],
    output_dir: OutputDir,
    inference: Annotated[str, typer.Option(help="JSON: flip_average, largest_component")] = "{}",
    execution: Execution = "{}",
) -> None:
    """Segment new images with a trained model."""
    from cyclemix import segment as stage
    from cyclemix.config import Inference, Training

    how = read_model(Inference, inference, "--inference")
    stage.run(model, images, output_dir, how, read_model(Training, execution, "--execution"))


@commands.command()
def verify(
    results: Annotated[Path, typer.Argument(help="a study's results folder")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """Check every hash, record and mean of a results folder; name what was altered, is missing or foreign.

    Reads every file of the study once. Exit status 1 where something is wrong. docs/trust.md says more.

    \b
    Examples:
      cyclemix verify
      cyclemix verify results --json > report.json
    """
    from cyclemix import verify as check

    report = check.run(results)
    typer.echo(report.as_json() if as_json else report.as_text())
    if report.problems:
        raise typer.Exit(1)


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
