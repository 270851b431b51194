"""Text of a drafted data set file and study, with guesses marked."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from cyclemix.own_data.folder_layout import Layout
from cyclemix.own_data.label_values import Tables

WIDTH = 106
"""Line length of comments."""

MOST_FOLDS = 5
MOST_LEVELS_UP = 3
"""Limit of ``..`` in a relative path; beyond it the path is absolute."""

DATASET = """\
# Drafted by `cyclemix init {folder}`. Check what is marked CHECK, then: cyclemix check {name}
# Every key and its meaning: workflow/schemas/dataset.schema.json
title: {title}
terms: internal

# Folder that holds the files (absolute, ~ or relative to this file); read in place, never copied or changed.
root: {root}

# {counts}
{checks}files:
{patterns}

# CHECK the parts of {{case}}. All cases of a {{subject}} are in the same list of a fold: several images of
# one person must share the {{subject}} part, e.g. "{{subject}}_{{frame}}".
case: {case}
{exclude}
# CHECK the structures and the values in the files. `unlabelled` are pixels without a stroke; it is not
# `background`, which has strokes too. Rename structure1, ... in all places.
{remarks}classes: {classes}
{tables}
# Pixel size and side of the centred crop for training: derived from the images once and saved; or numbers,
# e.g. grid: {{spacing_mm: 1.4, crop_px: 192}}. Fewer pixels train faster.
grid: auto
{split}"""

KFOLD = """\
# One fold of {folds} to start with; without run_folds all are run, and every subject is tested.
protocol: {{kind: kfold, folds: {folds}, run_folds: [0]}}"""

STUDY = """\
# Drafted by `cyclemix init`: a first study of {name} for CPUs.
# Run it: snakemake --cores all --configfile {study}
# With a GPU delete `training`: its defaults (32 filters, 3000 steps) are better. Too slow on CPUs? Coarser
# pixels help, e.g. grid: {{spacing_mm: 2.0, crop_px: 96}}. Every key: workflow/schemas/study.schema.json.
datasets: [{dataset}]
methods: [{methods}]
{protocol}
seeds: [0]
training:
  device: auto
  base_filters: 16
  levels: 4
  batch_size: 8
  max_steps: 300
  validate_every_steps: 60
  warmup_steps: 20
  learning_rate: 2.0e-3
  ema_decay: 0.95
results: results
"""


def dataset_text(
    name: str,
    folder: Path,
    output: Path,
    layout: Layout,
    tables: Tables,
    notes: Sequence[str],
    split: Path | None,
) -> str:
    """``config/datasets/NAME.yaml``; ``notes`` are remarks about the tables."""
    counts = {kind: sum(kind in case.files for case in layout.cases) for kind in ("scribble", "label")}
    subjects = len({case.subject for case in layout.cases})
    exclude = "\n# Volumes that match the patterns and are not images with a label or scribble.\n"
    exclude += f"exclude: {one_line(layout.exclude)}\n"
    lists = "\n# CHECK the training, validation and test subjects, drawn at random.\nsplit_table: {}\n"
    return DATASET.format(
        folder=folder,
        name=name,
        title=one_line(name),
        root=one_line(_relative(folder, output.parent)),
        counts=f"{len(layout.cases)} images of {subjects} subjects: {counts['scribble']} with scribbles, "
        f"{counts['label']} with dense labels. {{folder}} stands for any folders in between.",
        checks="".join(_comment(f"CHECK {check}.") for check in layout.checks),
        patterns="\n".join(f"  {kind}: {_quoted(pattern)}" for kind, pattern in layout.patterns.items()),
        case=_quoted(layout.case),
        exclude=exclude if layout.exclude else "",
        remarks="".join(_comment(f"CHECK {note}.") for note in notes),
        classes=one_line(tables.classes),
        tables=_table("label_values", tables.label_values)
        + _table("scribble_values", tables.scribble_values),
        split="" if split is None else lists.format(one_line(split.name)),
    )


def study_text(name: str, study: Path, layout: Layout, dense_subjects: int, official: bool) -> str:
    """``config/NAME.yaml``: a first study of the data set."""
    scribbled = any("scribble" in case.files for case in layout.cases)
    folds = max(2, min(MOST_FOLDS, dense_subjects))
    text = STUDY.format(
        name=name,
        study=study,
        dataset=one_line(name),
        methods="unet_pce, cyclemix" if scribbled else "unet_full",
        protocol="protocol: {kind: official, evaluate_on: test}" if official else KFOLD.format(folds=folds),
    )
    return text if scribbled else text + "compare_to: unet_full\n"


def one_line(value: object) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str) -> str:
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _quoted(pattern: str) -> str:
    """A pattern in quotes, because of its braces."""
    return yaml.safe_dump(pattern, default_style='"', allow_unicode=True, width=10**6).rstrip("\n")


def _table(key: str, table: Mapping[int, str]) -> str:
    values = ", ".join(f"{value}: {one_line(name)}" for value, name in table.items())
    return f"{key}: {{{values}}}\n" if table or key == "label_values" else ""


def _relative(folder: Path, start: Path) -> str:
    """``folder`` relative to ``start`` if it is near, else absolute."""
    path = os.path.relpath(folder.resolve(), start.resolve())
    return str(folder.resolve()) if path.count("..") > MOST_LEVELS_UP else path
