"""Options shared by subcommands, and their parsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cyclemix.config.strict import Model

MANY = ("--index", "--datasets")
"""Options with all words up to the next option as values, as in the workflow's ``{input.index}``."""

DatasetFile = Annotated[Path, typer.Option(help="the data set's YAML file")]
Part = Annotated[str, typer.Option(help="official list (train, val, masks, test) or all")]
Threads = Annotated[int, typer.Option(min=1, help="files or cases processed in parallel")]
Folds = Annotated[Path, typer.Option(help="folds.json")]
Index = Annotated[list[Path], typer.Option(help="index_{part}.csv, one or more")]
Receipt = Annotated[Path, typer.Option(help="raw_{part}.json")]
Fold = Annotated[int, typer.Option(min=0, help="index of the fold in folds.json")]
EvaluateOn = Annotated[str, typer.Option(help="val or test")]
Results = Annotated[Path, typer.Option(help="results folder")]
Execution = Annotated[str, typer.Option(help="JSON: device, checkpoint_seconds, jobs_per_gpu")]
TrackingJson = Annotated[str | None, typer.Option("--tracking", help="JSON: uri, experiment_prefix")]
StudyJson = Annotated[str, typer.Option("--study", help="JSON: methods, seeds, folds, protocol, ...")]
OutputDir = Annotated[Path, typer.Option(help="folder to write to")]
Output = Annotated[Path, typer.Option(help="file to write")]


def spread(arguments: list[str]) -> list[str]:
    """``--index a b`` -> ``--index a --index b``."""
    words: list[str] = []
    option = ""
    for word in arguments:
        if word.startswith("--"):
            option = word if word in MANY else ""
            words += [] if option else [word]
        else:
            words += [option, word] if option else [word]
    return words


def read_json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        from cyclemix.config.strict import ConfigError

        raise ConfigError(f"{option}: expected JSON, got {text!r} ({error})") from None


def read_model(model: type[Model], text: str, option: str) -> Model:
    """Parse a JSON option as a model."""
    from cyclemix.config.strict import validate

    return validate(model, read_json(text, option), option)


def read_per_value(text: str, option: str, at_least: float) -> tuple[float, dict[int, float]]:
    """``2,3=1.5`` -> 2.0 for all, 1.5 for label value 3; 1.0 for all if only single values are given."""
    every, single = max(1.0, at_least), {}
    try:
        for word in filter(None, text.replace(" ", "").split(",")):
            value, equals, number = word.rpartition("=")
            if equals:
                single[int(value)] = float(number)
            else:
                every = float(number)
    except ValueError:
        raise ValueError(f"{option}: expected numbers as in 2 or 1,3=2, got {text!r}") from None
    wrong = [number for number in (every, *single.values()) if not at_least <= number < float("inf")]
    if wrong:
        raise ValueError(f"{option}: expected {at_least:g} or more, got {wrong[0]:g}")
    return every, single
