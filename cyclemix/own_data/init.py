"""Draft a data set's YAML file and a study by looking at a folder: ``cyclemix init``.

What is guessed stands beside the guess, as a comment to check.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclemix.config.strict import ConfigError
from cyclemix.data.readers.native import DataError
from cyclemix.files.atomic import write_text
from cyclemix.files.parallel import parallel
from cyclemix.own_data.folder_layout import Layout, find_layout
from cyclemix.own_data.label_values import Contents, look, name_values
from cyclemix.own_data.yaml_text import dataset_text, study_text

log = logging.getLogger(__name__)

MANY_SUBJECTS = 30
"""From here on one split with a test list; below, k-fold, which tests on every subject."""

PARTS = {"train": 0.6, "val": 0.15, "test": 0.25}


@dataclass(frozen=True)
class Draft:
    """What was found and what is written.

    Attributes:
        files: content by path.
        notes: what a person should know, one line each.
    """

    files: Mapping[Path, str]
    notes: list[str]


def run(folder: Path, name: str, output: Path, study: Path, threads: int) -> Draft:
    """Look at ``folder`` and write the data set's YAML file and a study, and where subjects are many a split.

    Args:
        folder: holds images, labels and scribbles in sub folders or distinguished by their names.
        name: the data set's name.
        output: ``config/datasets/NAME.yaml``.
        study: ``config/NAME.yaml``.
        threads: files read at once.

    Raises:
        ConfigError: a file would be overwritten, or the folder holds no image with a label or scribble.
    """
    made = draft(folder, name, output, study, threads)
    for path, text in made.files.items():
        write_text(path, text)
    return made


def draft(folder: Path, name: str, output: Path, study: Path, threads: int) -> Draft:
    """The drafted files, not written."""
    if not name or name != output.stem or "/" in name:
        raise ConfigError(f"--output {output}: expected a file named {name}.yaml")
    table = output.with_name(f"{name}_split.csv")
    for path in (output, study, table):
        if path.exists():
            raise ConfigError(f"{path}: exists already; delete it, or choose another --name or --output")
    layout = find_layout(folder)
    contents = _read(layout, threads)
    layout, tables, notes = name_values(folder, layout, contents)
    dense = {case.subject for case in layout.cases if "label" in case.files}
    split = table if len(dense) >= MANY_SUBJECTS else None
    files = {
        output: dataset_text(name, folder, output, layout, tables, notes, split),
        study: study_text(name, study, layout, len(dense), official=split is not None),
    }
    if split is not None:
        files[split] = _split_text(layout, dense)
    return Draft(files, [*layout.notes, *notes])


def _read(layout: Layout, threads: int) -> dict[str, list[Contents]]:
    """What every label and scribble file holds, by kind."""
    wanted = [
        (kind, case.files[kind])
        for kind in ("label", "scribble")
        for case in layout.cases
        if kind in case.files
    ]
    contents = parallel(lambda item: _look(item[1]), wanted, threads, "reading", "file")
    found: dict[str, list[Contents]] = {"label": [], "scribble": []}
    for (kind, _), content in zip(wanted, contents, strict=True):
        if content is not None:
            found[kind].append(content)
    return found


def _look(path: Path) -> Contents | None:
    try:
        return look(path)
    except DataError as error:
        log.warning("%s", error)
        return None


def _split_text(layout: Layout, dense: set[str]) -> str:
    """A table of subjects: validation and test drawn among those with dense labels, the others train."""
    names = sorted(dense)
    order = [names[place] for place in np.random.default_rng(0).permutation(len(names))]
    n_val, n_test = (max(1, round(PARTS[part] * len(order))) for part in ("val", "test"))
    part = dict.fromkeys(order[:n_test], "test") | dict.fromkeys(order[n_test : n_test + n_val], "val")
    subjects = sorted({case.subject for case in layout.cases})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["subject", "split"])
    writer.writerows([subject, part.get(subject, "train")] for subject in subjects)
    return stream.getvalue()
