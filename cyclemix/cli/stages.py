"""One subcommand per stage of the workflow, each a thin call of its stage function.

Slow imports are inside the subcommand that needs them, because each job of a study starts here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cyclemix.cli.options import (
    DatasetFile,
    EvaluateOn,
    Execution,
    Fold,
    Folds,
    Index,
    Output,
    OutputDir,
    Part,
    Receipt,
    Results,
    StudyJson,
    Threads,
    TrackingJson,
    read_json,
    read_model,
)

if TYPE_CHECKING:
    from cyclemix.config.models import Tracking

STAGES = "Stages of the workflow"
stages = typer.Typer()


class Silent:
    """The reporter of a training that is not mirrored."""

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Ignored."""

    def close(self, status: str) -> None:
        """Ignored."""


def _tracking(text: str | None) -> Tracking:
    from cyclemix.config.models import Tracking

    return read_model(Tracking, text or "{}", "--tracking")


def _mirror(
    action: Literal["evaluation", "summary", "figures"], results: Path, tracking: str | None, what: Any
) -> None:
    """Mirror what a stage wrote, if the study is mirrored: a run's folder, or the results of a data set."""
    if tracking is not None:
        from cyclemix.tracking import api

        getattr(api, f"mirror_{action}")(results, _tracking(tracking), what)


@stages.command(rich_help_panel=STAGES)
def download(
    dataset_file: DatasetFile,
    part: Part,
    output: Output,
    mirror: Annotated[str | None, typer.Option(help="folder or URL, files under <host>/<path>")] = None,
    threads: Threads = 4,
) -> None:
    """Fetch and verify the upstream files of a part; write its receipt."""
    from cyclemix.data import download as stage

    stage.run(dataset_file, part, output, mirror or None, threads)


@stages.command(rich_help_panel=STAGES)
def prepare(
    dataset_file: DatasetFile,
    part: Part,
    receipt: Receipt,
    spacing_mm: Annotated[float, typer.Option(help="in-plane pixel size, mm")],
    crop_px: Annotated[int, typer.Option(help="side of the square crop, pixels")],
    output: Output,
    preparation: Annotated[str, typer.Option(help="intensity normalisation: default or paper")] = "default",
    threads: Threads = 1,
) -> None:
    """Check, resample and store the cases of a part; write its index."""
    from cyclemix.config.models import Grid
    from cyclemix.config.strict import validate
    from cyclemix.data import prepare as stage

    values = {"spacing_mm": spacing_mm, "crop_px": crop_px, "preparation": preparation}
    grid = validate(Grid, values, "prepare")
    stage.run(dataset_file, part, receipt, grid, output, threads)


@stages.command(rich_help_panel=STAGES)
def split(
    dataset_file: DatasetFile,
    protocol: Annotated[str, typer.Option(help="JSON: kind, folds, seed")],
    output: Output,
    index: Annotated[Path | None, typer.Option(help="index_all.csv (k-fold)")] = None,
) -> None:
    """Write the subjects for training, validation and test of each fold."""
    from cyclemix.config.models import Protocol
    from cyclemix.data import split as stage

    stage.run(dataset_file, read_model(Protocol, protocol, "--protocol"), index, output)


@stages.command("track-init", rich_help_panel=STAGES)
def track_init(
    results: Results,
    datasets: Annotated[list[str], typer.Option(help="labels, one or more")],
    output: Output,
    tracking: TrackingJson = None,
) -> None:
    """Create or upgrade the MLflow store and its experiments, once, before any training."""
    from cyclemix.tracking import api as stage

    stage.init(results, _tracking(tracking), datasets, output)


@stages.command("track-sync", rich_help_panel=STAGES)
def track_sync(results: Results = Path("results"), tracking: TrackingJson = None) -> None:
    """Mirror to MLflow what is missing there or differs from the files; creates a missing store."""
    from cyclemix.tracking import api as stage

    stage.sync(results, _tracking(tracking))


@stages.command(rich_help_panel=STAGES)
def resolve(
    dataset_file: DatasetFile,
    label: Annotated[str, typer.Option(help="row of the comparison")],
    block: Annotated[str, typer.Option(help="JSON: the label's block in methods.yaml")],
    training: Annotated[str, typer.Option(help="JSON: the recipe")],
    grid: Annotated[str, typer.Option(help="JSON: spacing_mm, crop_px, preparation")],
    output: Output,
    at_most_steps: Annotated[int | None, typer.Option(min=1, help="shorten longer trainings to this")] = None,
) -> None:
    """Write all settings that determine a model, with defaults filled in."""
    from cyclemix.config.models import Grid, Recipe
    from cyclemix.config.study import MethodBlock
    from cyclemix.training import resolve as stage

    stage.run(
        dataset_file,
        label,
        read_model(MethodBlock, block, "--block"),
        read_model(Recipe, training, "--training"),
        read_model(Grid, grid, "--grid"),
        output,
        at_most_steps,
    )


@stages.command(rich_help_panel=STAGES)
def train(
    config: Annotated[Path, typer.Option(help="config.json")],
    folds: Folds,
    index: Index,
    fold: Fold,
    seed: Annotated[int, typer.Option(min=0, help="random seed")],
    output_dir: OutputDir,
    execution: Execution = "{}",
    tracking: TrackingJson = None,
    results: Results = Path("results"),
) -> None:
    """Train one method on one fold with one seed, resuming from a checkpoint if there is one."""
    from cyclemix.config.models import Training
    from cyclemix.training import train as stage

    machine = read_model(Training, execution, "--execution")
    mirror: stage.Reporter = Silent()
    if tracking is not None:
        from cyclemix.tracking.api import open_run

        mirror = open_run(results, _tracking(tracking), config, fold, seed)
    stage.run(config, folds, index, fold, seed, output_dir, machine, mirror)


@stages.command(rich_help_panel=STAGES)
def predict(
    model: Annotated[Path, typer.Option(help="model.pt")],
    folds: Folds,
    index: Index,
    fold: Fold,
    evaluate_on: EvaluateOn,
    output: Annotated[Path, typer.Option(help="folder for {case}.nii.gz")],
    inference: Annotated[str, typer.Option(help="JSON: test_time_augmentation, largest_component")] = "{}",
    execution: Execution = "{}",
) -> None:
    """Segment a fold's evaluated cases in the geometry of the upstream images."""
    from cyclemix.config.models import Inference, Training
    from cyclemix.inference import predict as stage

    how = read_model(Inference, inference, "--inference")
    stage.run(
        model, folds, index, fold, evaluate_on, how, read_model(Training, execution, "--execution"), output
    )


@stages.command(rich_help_panel=STAGES)
def evaluate(
    dataset_file: DatasetFile,
    receipt: Receipt,
    folds: Folds,
    fold: Fold,
    evaluate_on: EvaluateOn,
    predictions: Annotated[Path, typer.Option(help="folder of {case}.nii.gz")],
    output: Output,
    threads: Threads = 1,
    tracking: TrackingJson = None,
    results: Results = Path("results"),
) -> None:
    """Score predictions on the native grid, in mm, against the upstream labels."""
    from cyclemix.evaluation import evaluate as stage

    stage.run(dataset_file, receipt, folds, fold, evaluate_on, predictions, output, threads)
    _mirror("evaluation", results, tracking, output.parent)


@stages.command("run-figures", rich_help_panel=STAGES)
def run_figures(
    dataset_file: DatasetFile,
    receipt: Receipt,
    run_dir: Annotated[Path, typer.Option(help="folder of an evaluated run")],
    tracking: TrackingJson = None,
    results: Results = Path("results"),
) -> None:
    """Draw the figures of one run: overlays of its median and worst patient, training curves."""
    from cyclemix.report import run_figures as stage

    stage.run(dataset_file, receipt, run_dir)
    _mirror("evaluation", results, tracking, run_dir)


@stages.command(rich_help_panel=STAGES)
def tabulate(
    results: Results,
    dataset_file: DatasetFile,
    study: StudyJson,
    output_dir: OutputDir,
    tracking: TrackingJson = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="average runs of different code, config, data or lock")
    ] = False,
) -> None:
    """Write the tables of a data set: scores, intervals, significance, comparison with published numbers."""
    from cyclemix.report import tables as stage

    stage.run(results, dataset_file, read_json(study, "--study"), output_dir, allow_mixed=allow_mixed)
    _mirror("summary", results, tracking, dataset_file.stem)


@stages.command(rich_help_panel=STAGES)
def figures(
    results: Results,
    dataset_file: DatasetFile,
    study: StudyJson,
    output_dir: OutputDir,
    tracking: TrackingJson = None,
) -> None:
    """Draw the figures of a data set."""
    from cyclemix.report import figures as stage

    stage.run(results, dataset_file, read_json(study, "--study"), output_dir)
    _mirror("figures", results, tracking, dataset_file.stem)


@stages.command(rich_help_panel=STAGES)
def efficiency(
    results: Results,
    dataset_file: DatasetFile,
    study: StudyJson,
    output_dir: OutputDir,
    tracking: TrackingJson = None,
) -> None:
    """Draw Dice against the annotation budget, for studies with an `efficiency` block."""
    from cyclemix.report import efficiency_figure as stage

    stage.run(results, dataset_file, read_json(study, "--study"), output_dir)
    _mirror("figures", results, tracking, dataset_file.stem)


@stages.command(rich_help_panel=STAGES)
def ranking(
    results: Results,
    dataset_file: Annotated[list[Path], typer.Option(help="a data set's YAML file; once per data set")],
    output_dir: OutputDir,
) -> None:
    """Draw the mean Dice of every row on every data set in one figure."""
    from cyclemix.report import ranking as stage

    stage.run(results, dataset_file, output_dir)
