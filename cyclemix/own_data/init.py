"""Draft a data set's YAML file and a study from a folder: ``cyclemix init``.

Guesses are marked by comments with CHECK.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import yaml

from cyclemix.config.strict import ConfigError, validate
from cyclemix.data.cases import images_of
from cyclemix.data.readers.native import DataError
from cyclemix.data.readers.volumes import SUFFIXES, files_in, is_volume
from cyclemix.data.spec import DatasetSpec
from cyclemix.files.atomic import write_text
from cyclemix.files.parallel import parallel
from cyclemix.own_data.facts import some
from cyclemix.own_data.folder_layout import Layout, find_layout
from cyclemix.own_data.label_contents import Contents, look
from cyclemix.own_data.label_values import name_values, role_by_content
from cyclemix.own_data.yaml_text import dataset_text, study_text

log = logging.getLogger(__name__)

MANY_SUBJECTS = 30
"""Number of densely labelled subjects from which one split with a test list is drafted instead of k-fold."""

HDF5_SUFFIXES = (".h5", ".hdf5")

LABELLED = ("label", "scribble")

PARTS = {"train": 0.6, "val": 0.15, "test": 0.25}


@dataclass(frozen=True)
class Draft:
    """Written files and notes.

    Attributes:
        files: content by path.
        notes: notes for the user, one line each.
    """

    files: Mapping[Path, str]
    notes: list[str]


def run(folder: Path, name: str, output: Path, study: Path, threads: int) -> Draft:
    """Write a data set's YAML file and a study for ``folder``, and a split table for many subjects.

    Args:
        folder: folder with images, labels and scribbles, distinguished by folder or file names.
        output: ``config/datasets/NAME.yaml``.
        study: ``config/NAME.yaml``.

    Raises:
        ConfigError: an invalid name, a file would be overwritten, or the folder has no image with a label or
            scribble.
    """
    if not name or "/" in name:
        raise ConfigError(f"--name: expected a name without /, found {name!r}")
    if name != output.stem:
        raise ConfigError(f"--output {output}: expected a file named {name}.yaml")
    table = output.with_name(f"{name}_split.csv")
    for path in (output, study, table):
        if path.exists():
            raise ConfigError(f"{path}: exists already; delete it, or choose another --name or --output")
    layout, contents = _lay_out(folder, threads)
    layout, tables, notes = name_values(folder, layout, contents)
    dense = {case.subject for case in layout.cases if "label" in case.files}
    split = table if len(dense) >= MANY_SUBJECTS else None
    text = dataset_text(name, folder, output, layout, tables, notes, split)
    layout = replace(layout, exclude=_others(text, name, output.parent, layout))
    files = {
        output: dataset_text(name, folder, output, layout, tables, notes, split),
        study: study_text(name, study, layout, len(dense), official=split is not None),
    }
    if split is not None:
        files[split] = _split_text(layout, dense)
    for path, content in files.items():
        write_text(path, content)
    return Draft(files, [*layout.checks, *layout.notes, *notes])


def _lay_out(folder: Path, threads: int) -> tuple[Layout, dict[str, list[Contents]]]:
    """The cases of a folder, by file names or else by content, and the contents of label files.

    Raises:
        ConfigError: no folder, no volume, or no image with a label or scribble.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name the one that holds images and labels")
    paths = [path for path in files_in(folder) if is_volume(path)]
    if not paths:
        raise ConfigError(_nothing(folder))
    layout = find_layout(folder, paths)
    _refuse_spellings(folder, paths, layout)
    marked = [case.files[kind] for case in layout.cases for kind in LABELLED if kind in case.files]
    looked, problems = _look([*marked, *layout.loose], threads)
    labels = [looked.get(case.files["label"]) for case in layout.cases if "label" in case.files]
    dense = {value for content in labels if content is not None for value in content.pixels}
    roles = {path: role_by_content(looked[path], dense) for path in layout.loose if path in looked}
    other = find_layout(folder, paths, roles) if roles else layout
    if other.used > layout.used:
        names = some([path.relative_to(folder).as_posix() for path in roles])
        other.checks.append(f"{len(roles)} files are taken for labels or scribbles by their content: {names}")
        layout = other
    if not layout.cases:
        raise ConfigError(
            f"{folder}: {len(paths)} volumes, but none is an image with a label or scribble of its name; "
            "name the folders images, labels and scribbles, or the files NAME, NAME_gt and NAME_scribble; "
            "or write the YAML file by hand, e.g. for BIDS (docs/reference/data.md, Your own images)"
        )
    contents: dict[str, list[Contents]] = {kind: [] for kind in LABELLED}
    for kind in LABELLED:
        files = [case.files[kind] for case in layout.cases if kind in case.files]
        contents[kind] = [looked[path] for path in files if path in looked]
        unread = [problems[path] for path in files if path in problems]
        for problem in unread:
            log.warning("%s", problem)
        if unread and not contents[kind]:
            raise ConfigError(
                f"{folder}: none of {len(files)} {kind} files can be read; the first: {unread[0]}"
            )
    return layout, contents


def _nothing(folder: Path) -> str:
    """Error message for a folder without volumes."""
    suffixes = ", ".join(SUFFIXES)
    arrays = [path for path in files_in(folder) if path.name.lower().endswith(HDF5_SUFFIXES)]
    if not arrays:
        return f"{folder}: no volume below it; expected files ending in {suffixes}"
    return (
        f"{folder}: {len(arrays)} HDF5 files ({arrays[0].name}, ...), which hold no voxel size. Convert them "
        f"to {SUFFIXES[0]} with the sizes of the scans; or, where the labels or scribbles are {SUFFIXES[0]} "
        "files too, write the YAML file by hand with files.geometry (docs/reference/data.md, HDF5)"
    )


def _refuse_spellings(folder: Path, paths: Sequence[Path], layout: Layout) -> None:
    """Refuse names of one case that differ only in Unicode normalisation."""
    alike = {folder / normalize("NFC", path.relative_to(folder).as_posix()): path for path in paths}
    if list(alike) == list(paths) or find_layout(folder, list(alike)).used <= layout.used:
        return
    other = next(path for new, path in alike.items() if new != path)
    raise ConfigError(
        f"{other}: its accents are stored as characters of their own (Unicode NFD, as macOS does), and those "
        "of files that belong to it are not; rename all files alike, e.g. "
        f"`convmv -r -f utf8 -t utf8 --nfc --notest {folder}`"
    )


def _others(text: str, name: str, place: Path, layout: Layout) -> list[str]:
    """Names of images that match the drafted patterns but are not cases, for `exclude`."""
    values = yaml.safe_load(text)
    values.pop("split_table", None)
    spec = validate(DatasetSpec, {**values, "label": name, "folder": str(place.resolve())}, name)
    cases = {case.files["image"].resolve() for case in layout.cases}
    return sorted(case for case, path in images_of(spec).items() if path.resolve() not in cases)


def _look(paths: Sequence[Path], threads: int) -> tuple[dict[Path, Contents], dict[Path, str]]:
    """Contents of label files by path, and error messages of all other files."""
    results = parallel(_try, paths, threads, "reading", "file")
    pairs = list(zip(paths, results, strict=True))
    return (
        {path: result for path, result in pairs if isinstance(result, Contents)},
        {path: result for path, result in pairs if isinstance(result, str)},
    )


def _try(path: Path) -> Contents | str:
    try:
        return look(path)
    except DataError as error:
        return str(error)


def _split_text(layout: Layout, dense: set[str]) -> str:
    """Table of subjects: validation and test are drawn from those with dense labels, all others train."""
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
