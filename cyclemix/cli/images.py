"""Commands for your own images: segment, check, scribble, init.

Slow imports are inside the command that needs them.
"""

from __future__ import annotations

import json
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cyclemix.cli.options import OutputDir, Results, Threads, read_model

commands = typer.Typer()


@commands.command()
def segment(
    images: Annotated[list[Path], typer.Argument(help="images (NIfTI, NRRD, MHA) or folders of them")],
    model: Annotated[
        list[Path], typer.Option(help="model.pt, a run's folder, or a folder of runs; several = ensemble")
    ],
    out: Annotated[Path, typer.Option(help="output folder")],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="write probabilities, 4D NIfTI")
    ] = False,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="write the entropy, 0 to 1")] = False,
    overlays: Annotated[bool, typer.Option(help="draw one PNG per image")] = True,
    viewers: Annotated[
        bool,
        typer.Option("--viewers", help="write names and colours for 3D Slicer and ITK-SNAP"),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    inference: Annotated[str, typer.Option(help="JSON: test_time_augmentation, largest_component")] = "{}",
) -> None:
    """Segment new images with a trained model: labels, volumes in ml, overlays.

    \b
    Examples:
      cyclemix segment scan.nii.gz --model results/runs/mscmr/cyclemix/fold0_seed0 --out segmented
      cyclemix segment scans/ --model results/runs/mscmr/cyclemix --out segmented --uncertainty
    """
    from cyclemix.config.models import Inference
    from cyclemix.data.readers.volumes import stem
    from cyclemix.inference import segment as stage
    from cyclemix.inference.model_file import find_models

    models = [path for place in model for path in find_models(place)]
    how = read_model(Inference, inference, "--inference")
    wanted = {"probabilities": probabilities, "uncertainty": uncertainty}
    maps = [name for name, on in wanted.items() if on]
    found, show = stage.find_images(images), []
    if overlays:
        from cyclemix.report.plots.sheet import save_sheet

        show.append(partial(save_sheet, out))
    if viewers:
        from cyclemix.report import viewers as files

        files.refuse_foreign(out, map(stem, found))
        show.append(partial(files.save, out))
    stage.run(models, found, out, how, device, maps, show)


@commands.command()
def check(
    dataset: Annotated[str, typer.Argument(help="NAME of config/datasets/NAME.yaml, or a YAML file")],
    output_dir: Annotated[
        Path | None, typer.Option(help="folder of overlays.html and report.json; results/check/NAME")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="cases read in parallel")] = 4,
    results: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Read every case of a data set; report its content, errors and how to fix them.

    Writes an HTML page of overlays. Exit status 1 if something would stop the workflow.

    \b
    Examples:
      cyclemix check my_scans
      cyclemix check config/datasets/my_scans.yaml --threads 8
      cyclemix check my_scans --json > report.json
    """
    from cyclemix.files.atomic import write_text
    from cyclemix.own_data import check as stage
    from cyclemix.own_data import check_report

    file = stage.find_file(dataset)
    folder = output_dir or results / "check" / file.stem
    if output_dir is not None:
        check_report.refuse_foreign(folder)
    report = stage.run(file, results, threads)
    write_text(folder / check_report.DATA, check_report.as_json(report) + "\n")
    write_text(folder / check_report.PAGE, check_report.page(report))
    typer.echo(check_report.as_json(report) if as_json else check_report.text(report))
    typer.echo(f"\nOverlays to look at: {folder / check_report.PAGE}", err=as_json)
    if report.errors:
        raise typer.Exit(1)


@commands.command()
def scribble(
    labels: Annotated[list[Path], typer.Argument(help="dense label files or folders of them")],
    output_dir: OutputDir,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    keep: Annotated[float, typer.Option(help="connected fraction of each stroke to keep, at most 1")] = 1.0,
    slices: Annotated[float, typer.Option(help="fraction of the slices whose scribbles are kept")] = 1.0,
    unlabelled: Annotated[
        int | None, typer.Option(help="LABELS are scribbles with this unlabelled value; for --keep")
    ] = None,
    names: Annotated[str, typer.Option(help="names of the class values, ascending: RV,MYO,LV")] = "",
    width_px: Annotated[str, typer.Option(help="width of strokes, pixels: 1, or 1,3=2 (value 3: 2)")] = "1",
    length: Annotated[str, typer.Option(help="factor on the strokes' length: 1, or 1,3=0.5")] = "1",
    background: Annotated[bool, typer.Option(help="draw a background curve around the structures")] = True,
    slice_axis: Annotated[int, typer.Option(min=1, max=3, help="slice axis of the files")] = 3,
    threads: Threads = 4,
    as_json: Annotated[bool, typer.Option("--json", help="print scribbles.yaml as JSON")] = False,
) -> None:
    """Simulate scribbles from dense labels, or reduce given scribbles.

    Class values are kept, 0 is background, 255 (or the next lower unused value) unlabelled. scribbles.yaml
    beside the files has scribble_values to paste. The log compares measures with those of ACDC and MSCMRseg.

    Examples:

    \b
        cyclemix scribble labels/ --output-dir scribbles --names RV,MYO,LV
        cyclemix scribble labels/ --output-dir quarter --keep 0.25 --slices 0.5
        cyclemix scribble scribbles/ --unlabelled 255 --keep 0.25 --output-dir quarter
    """
    from cyclemix.cli.options import read_per_value
    from cyclemix.data.scribbles.simulate import AnnotatorStyle
    from cyclemix.own_data import scribble as stage

    width, widths = read_per_value(width_px, "--width-px", at_least=1.0)
    factor, factors = read_per_value(length, "--length", at_least=0.0)
    style = AnnotatorStyle(width, factor, widths, factors, background)
    words = [word.strip() for word in names.split(",") if word.strip()]
    request = stage.Request(seed, keep, slices, unlabelled, words, style, slice_axis)
    made = stage.run(labels, output_dir, request, threads)
    if as_json:
        typer.echo(json.dumps(made))
    else:
        values = ", ".join(f"{value}: {name}" for value, name in made["scribble_values"].items())
        typer.echo(f"{len(made['files'])} scribbles in {output_dir}; scribble_values: {{{values}}}")


@commands.command()
def init(
    folder: Annotated[Path, typer.Argument(help="folder of images, labels and scribbles")],
    name: Annotated[str, typer.Option(help="name of the data set in studies and tables")],
    output: Annotated[Path | None, typer.Option(help="config/datasets/NAME.yaml")] = None,
    study: Annotated[Path | None, typer.Option(help="config/NAME.yaml")] = None,
    threads: Annotated[int, typer.Option(min=1, help="files read in parallel")] = 4,
) -> None:
    """Draft the YAML file of a data set, and a first study, from a folder.

    Images, labels and scribbles are recognised by the names of folders (images, labels, scribbles) or
    files (NAME_gt, NAME_scribble). Nothing is overwritten; guesses are marked CHECK in the drafts.

    \b
    Examples:
      cyclemix init /data/our_scans --name our_scans
      cyclemix init scans --name livers --output config/datasets/livers.yaml
    """
    from cyclemix.own_data import init

    target = output or Path("config/datasets") / f"{name}.yaml"
    target_study = study or Path("config") / f"{name}.yaml"
    made = init.run(folder, name, target, target_study, threads)
    for note in made.notes:
        typer.echo(f"note: {note}")
    for path in made.files:
        typer.echo(f"wrote {path}")
    shown = name if target.parent == Path("config/datasets") else target
    typer.echo(f"Next: edit {target} where it says CHECK, then")
    typer.echo(f"  cyclemix check {shlex.quote(str(shown))}")
    typer.echo(f"  snakemake --cores all --configfile {shlex.quote(str(target_study))}")
