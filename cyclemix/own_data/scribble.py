"""Simulate scribble files from dense label files, or reduce given scribbles: ``cyclemix scribble``."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.outputs import refuse_foreign, written_image
from cyclemix.data.readers.native import DataError, header_spacing, load_volume, slices_first
from cyclemix.data.readers.volumes import SUFFIXES, files_in, is_volume, stem
from cyclemix.data.scribbles.keep import keep_fraction, keep_slices
from cyclemix.data.scribbles.simulate import AnnotatorStyle, simulate_volume
from cyclemix.data.scribbles.strokes import beside_experts, measure, summarise
from cyclemix.data.store import move_slices
from cyclemix.files.atomic import write_bytes, write_text
from cyclemix.files.parallel import parallel

log = logging.getLogger(__name__)

SIDECAR = "scribbles.yaml"
LARGEST = 65535


@dataclass(frozen=True)
class Request:
    """Options of the command.

    Attributes:
        seed: random seed, combined with the file name.
        keep: fraction of each scribble that is kept.
        slices: fraction of the slices whose scribbles are kept.
        unlabelled: the files are scribbles with this unlabelled value; None = dense labels.
        names: names of the class values in ascending order; empty = class1, class2, ...
        style: width and length of strokes.
        slice_axis: slice axis of the files.
    """

    seed: int = 0
    keep: float = 1.0
    slices: float = 1.0
    unlabelled: int | None = None
    names: Sequence[str] = ()
    style: AnnotatorStyle = field(default_factory=AnnotatorStyle)
    slice_axis: int = 3


def run(labels: Sequence[Path], output_dir: Path, request: Request, threads: int = 1) -> dict[str, Any]:
    """Write a scribble file of the same name for each label file, and ``scribbles.yaml``.

    Args:
        labels: files or folders of them.

    Returns:
        The content of ``scribbles.yaml``: ``scribble_values`` for a data set's YAML file, the options
        (``made``), ``files`` and ``measures``.

    Raises:
        ValueError: no file, two files with one name, an output that replaces its input, or invalid labels.
    """
    for option in ("keep", "slices"):
        if not 0 < (part := getattr(request, option)) <= 1:
            raise ValueError(f"--{option}: expected above 0 and at most 1, got {part:g}")
    files = find_files(labels, output_dir)
    refuse_foreign((output_dir / written_name(path) for path in files), files, "--output-dir")
    _refuse_other_sidecar(output_dir / SIDECAR, [written_name(path) for path in files])
    values = sorted(set().union(*parallel(values_of, files, threads, "reading", "file")))
    background, unlabelled, classes = scribble_values(values, request)
    names = dict(zip(classes, class_names(classes, request.names), strict=True))
    table = {value: place for place, value in enumerate(classes, 1)}
    if background is not None:
        table[background] = BACKGROUND

    style = _by_place(request.style, table)

    def job(path: Path) -> pd.DataFrame:
        return _write(path, output_dir / written_name(path), table, unlabelled, replace(request, style=style))

    rows = parallel(job, files, threads, "scribble", "file")
    named = {str(table[value]): name for value, name in names.items()} | {"background": "background"}
    every = pd.concat(rows, ignore_index=True)
    summary = summarise(every.assign(**{"class": every["class"].map(named)}))
    meaning = names if background is None else {background: "background", **names}
    content = {
        "scribble_values": dict(sorted({**meaning, unlabelled: "unlabelled"}.items())),
        "made": {key: value for key, value in asdict(request).items() if key != "names"},
        "files": [written_name(path) for path in files],
        "measures": summary.to_dict("records"),
    }
    write_text(output_dir / SIDECAR, yaml.safe_dump(content, sort_keys=False))
    log.info("means, compared with those of expert scribbles:\n%s", beside_experts(summary))
    return content


def find_files(labels: Sequence[Path], output_dir: Path) -> list[Path]:
    """The label files of paths and folders, sorted by name.

    Raises:
        ValueError: no file, two files with one name, or an output folder that contains an input.
    """
    found: list[Path] = []
    for path in labels:
        inside = list(filter(is_volume, files_in(path, deep=False))) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: no label file ({', '.join(SUFFIXES)}) in this folder")
        found += inside
    names = [written_name(path) for path in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice[0]}: two label files for this name; scribble their folders one at a time")
    for path in found:
        if not path.is_file():
            raise ValueError(f"{path}: no such label file or folder")
        if path.parent.resolve() == output_dir.resolve():
            raise ValueError(f"{output_dir}: holds {path.name} itself; name another --output-dir")
    return sorted(found, key=lambda path: path.name)


def _refuse_other_sidecar(path: Path, names: Sequence[str]) -> None:
    """Refuse to replace another file, or the description of scribbles that this call does not draw again."""
    if not path.is_file():
        return
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict) or "files" not in content:
        raise ValueError(f"{path}: already there and not written by this command; name another --output-dir")
    others = sorted(name for name in {*content["files"]} - {*names} if (path.parent / name).exists())
    if others:
        raise ValueError(
            f"{path}: describes other scribbles ({others[0]}, {len(others)} in all), too; "
            "draw all in one call, or name another --output-dir"
        )


def written_name(path: Path) -> str:
    """Name of the scribble file of a label file, always NIfTI."""
    return path.name if path.name.lower().endswith((".nii", ".nii.gz")) else f"{stem(path)}.nii.gz"


def values_of(path: Path) -> list[int]:
    """The values in a label file, sorted.

    Raises:
        DataError: values other than whole numbers from 0 to 65535.
    """
    found = np.unique(load_volume(str(path), "label")[0])
    if not np.isin(found, np.arange(LARGEST + 1)).all():
        raise DataError(
            f"{path}: label values must be whole numbers from 0 to {LARGEST}, got {found[:8].tolist()}"
        )
    return [int(value) for value in found]


def scribble_values(values: Sequence[int], request: Request) -> tuple[int | None, int, list[int]]:
    """Background value, unlabelled value and class values of the scribbles.

    Classes keep their values and the background is 0, as in the labels. Unlabelled is 255, or the next lower
    value that is not a class. Given scribbles keep their values; if 0 is unlabelled there, the background is
    one of the classes (to be named so), or None.

    Raises:
        ValueError: no class, too many classes, or the given unlabelled value is in no file.
    """
    given = request.unlabelled
    if given is not None and given not in values:
        raise ValueError(
            f"--unlabelled {given}: the scribbles hold only {list(values)}; name the value of pixels that no "
            "stroke touched"
        )
    classes = [value for value in values if value not in (0, given)]
    if not 0 < len(classes) < UNLABELLED:
        raise ValueError(
            f"expected 1 to {UNLABELLED - 1} class values above the background 0 in the label files, got "
            f"{len(classes)}"
        )
    if given is None:
        return 0, next(value for value in range(UNLABELLED, 0, -1) if value not in classes), classes
    return None if given == 0 else 0, given, classes


def class_names(classes: Sequence[int], names: Sequence[str]) -> list[str]:
    """One name per class value; ValueError if their numbers differ."""
    if names and len(names) != len(classes):
        raise ValueError(
            f"--names: expected {len(classes)} names for the values {list(classes)}, got {list(names)}"
        )
    return list(names) or [f"class{value}" for value in classes]


def _by_place(style: AnnotatorStyle, table: Mapping[int, int]) -> AnnotatorStyle:
    """Widths and lengths by class index instead of file value; ValueError for a value that is in no file."""
    unknown = sorted({*style.widths_px, *style.lengths} - set(table))
    if unknown:
        raise ValueError(
            f"--width-px, --length: no value {unknown[0]} in the files; they hold {sorted(table)}"
        )
    widths, lengths = (
        {table[value]: number for value, number in numbers.items()}
        for numbers in (style.widths_px, style.lengths)
    )
    return replace(style, widths_px=widths, lengths=lengths)


def _write(
    path: Path, output: Path, table: Mapping[int, int], unlabelled: int, request: Request
) -> pd.DataFrame:
    """Write one file; returns its measures, with classes named by their index."""
    array, header = load_volume(str(path), "label")
    if header is None:
        raise DataError(f"{path}: expected an image with a header, got an array without geometry")
    array = move_slices(array, request.slice_axis)
    given = np.full(array.shape, UNLABELLED, np.uint8)
    for value, place in table.items():
        given[array == value] = place
    spacing = slices_first(header_spacing(header), request.slice_axis)[1:]
    case = stem(path)
    dense = None if request.unlabelled is not None else given
    drawn = given if dense is None else simulate_volume(dense, spacing, case, request.seed, request.style)
    drawn = keep_fraction(drawn, request.keep, case, request.seed)
    drawn = keep_slices(drawn, request.slices, case, request.seed)
    values = np.full(array.shape, unlabelled, np.uint8 if max(unlabelled, *table) < 256 else np.uint16)
    for value, place in table.items():
        values[drawn == place] = value
    stored = move_slices(values, request.slice_axis, back=True)
    content = written_image(stored.T, header).to_bytes()  # equal values give equal bytes
    write_bytes(output, gzip.compress(content, mtime=0) if output.name.endswith(".gz") else content)
    return measure(drawn, dense, spacing, [str(place) for place in sorted(table.values()) if place])
