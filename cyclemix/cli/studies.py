"""Commands for studies and methods: plan, verify, collect, methods, new-method, schema (stages: stages.py).

As in images.py, slow imports are inside the command that needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command("plan")
def plan_study(
    study: Annotated[Path, typer.Argument(help="study file")] = Path("config/config.yaml"),
    results: Annotated[Path | None, typer.Option(help="results folder; default: the study's")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="parallel trainings; default: all cores")] = None,
) -> None:
    """Estimate a study's cost and show its progress: trainings, hours, expected end.

    \b
    Examples:
      cyclemix plan config/paper_cpu.yaml
      cyclemix plan config/paper_cpu.yaml --cores 8
    """
    from cyclemix.config.strict import load_yaml
    from cyclemix.provenance.digests import hardware
    from cyclemix.study.cost import describe
    from cyclemix.study.plan import plan

    values = load_yaml(study) | ({} if results is None else {"results": str(results)})
    for line in describe(
        plan(values, study.resolve().parent.parent, str(study)), cores or hardware()["cores"]
    ):
        typer.echo(line)


@commands.command()
def verify(
    results: Annotated[Path, typer.Argument(help="a study's results folder")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """Check every hash, record and mean of a results folder; list altered, missing and unknown files.

    Reads every file of the study once. Exit status 1 if there is a problem. See docs/explanation/trust.md.

    \b
    Examples:
      cyclemix verify
      cyclemix verify results --json > report.json
    """
    from cyclemix.provenance import verify as check

    report = check.run(results)
    typer.echo(report.as_json() if as_json else report.as_text())
    if report.problems:
        raise typer.Exit(1)


@commands.command()
def collect(
    sources: Annotated[list[Path], typer.Argument(help="results folders with finished runs")],
    into: Annotated[Path, typer.Option(help="results folder to copy them to")],
    also: Annotated[list[str] | None, typer.Option(help="models, predictions: copy these too")] = None,
    dataset: Annotated[str | None, typer.Option(help="copy the runs of this data set only")] = None,
    study: Annotated[Path | None, typer.Option(help="study file: write its tables and figures")] = None,
) -> None:
    """Copy finished runs from other results folders: scores, configuration, records; no image.

    Each run is checked against its records; runs of another recipe, code or data are refused and listed. Exit
    status 1 if a run was refused.

    \b
    Examples:
      cyclemix collect cluster/results laptop/results --into results
      cyclemix collect results --into kept --study config/paper.yaml
    """
    from cyclemix.study import collect as stage

    outcome = stage.run(sources, into, also or [], dataset)
    for message in outcome.refused:
        typer.echo(f"refused: {message}")
    counts = f"{len(outcome.taken)} runs taken, {len(outcome.present)} were there"
    typer.echo(f"{into}: {counts}, {len(outcome.refused)} refused")
    if study is not None:
        from cyclemix.config.strict import load_yaml
        from cyclemix.files.layout import figure_dir, table_dir
        from cyclemix.report import figures, tables
        from cyclemix.study.plan import plan

        made = plan(load_yaml(study), study.resolve().parent.parent, str(study))
        for name in made.study.datasets:
            shown = stage.described(made, name, into)
            if all(row["reason"] for row in shown["methods"].values()):
                continue
            tables.run(into, made.dataset_file(name), shown, table_dir(into, name))
            figures.run(into, made.dataset_file(name), shown, figure_dir(into, name))
            typer.echo(f"tables: {table_dir(into, name)}; figures: {figure_dir(into, name)}")
    if outcome.refused:
        raise typer.Exit(1)


@commands.command()
def methods(
    label: Annotated[str | None, typer.Argument(help="show this row with all its settings")] = None,
    file: Annotated[Path, typer.Option(help="method blocks")] = Path("config/methods.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="the list as JSON")] = False,
) -> None:
    """List the rows that a study can use, or describe one of them.

    \b
    Examples:
      cyclemix methods
      cyclemix methods cyclemix
      cyclemix methods --json
    """
    from cyclemix.study import catalogue

    if label is not None:
        typer.echo(catalogue.details(file, label))
    else:
        typer.echo(catalogue.as_json(file) if as_json else catalogue.listing(file))


@commands.command("new-method")
def new_method(
    name: Annotated[str, typer.Argument(help="file name and label, e.g. my_method")],
    root: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
) -> None:
    """Write a working method file, its block and its test, as a starting point.

    \b
    Examples:
      cyclemix new-method my_method
    """
    from cyclemix.cli import new_method

    for path in new_method.write(name, root):
        typer.echo(path)
    typer.echo(f"Next: make schema, then edit; try it with --config 'methods=[unet_pce, {name}, cyclemix]'")


@commands.command()
def schema(
    output_dir: Annotated[Path, typer.Option(help="folder of the schemas")] = Path("workflow/schemas"),
    check: Annotated[bool, typer.Option("--check", help="only fail if a file is out of date")] = False,
) -> None:
    """Write the JSON schemas of study, data set and method files from the models.

    \b
    Examples:
      cyclemix schema
      cyclemix schema --check
    """
    from cyclemix.cli import schemas

    schemas.write(output_dir, check=check)
