"""Text of a drafted data set file and study, with guesses marked."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

import yaml

from cyclemix.files.templates import render
from cyclemix.own_data.folder_layout import Layout
from cyclemix.own_data.label_values import Tables

WIDTH = 106
"""Line length of comments."""

MOST_FOLDS = 5
MOST_LEVELS_UP = 3
"""Limit of ``..`` in a relative path; beyond it the path is absolute."""

TEMPLATES = Path(__file__).with_name("templates")


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
    return render(
        TEMPLATES / "dataset.yaml.jinja",
        name=name,
        folder=str(folder),
        root=_relative(folder, output.parent),
        layout=layout,
        subjects=len({case.subject for case in layout.cases}),
        counts={kind: sum(kind in case.files for case in layout.cases) for kind in ("scribble", "label")},
        tables=tables,
        notes=notes,
        split=None if split is None else split.name,
        comment=_comment,
        quoted=_quoted,
        one_line=one_line,
        shell=shlex.quote,
    )


def study_text(name: str, study: Path, layout: Layout, dense_subjects: int, official: bool) -> str:
    """``config/NAME.yaml``: a first study of the data set."""
    return render(
        TEMPLATES / "study.yaml.jinja",
        name=name,
        dataset=one_line(name),
        study=str(study),
        scribbled=any("scribble" in case.files for case in layout.cases),
        official=official,
        folds=max(2, min(MOST_FOLDS, dense_subjects)),
        shell=shlex.quote,
    )


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


def _relative(folder: Path, start: Path) -> str:
    """``folder`` relative to ``start`` if it is near, else absolute."""
    path = os.path.relpath(folder.resolve(), start.resolve())
    return str(folder.resolve()) if path.count("..") > MOST_LEVELS_UP else path
