"""Stage ``prepare``: check upstream cases, resample them to the training grid, normalise, store, index.

Invalid files are refused by name, all of a part in one message. Intact prepared cases from the same files and
settings are kept, so a killed stage resumes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.models import Grid
from cyclemix.config.strict import ConfigError
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import DataError, read_native, reference_path, split_reference
from cyclemix.data.readers.volumes import files_of
from cyclemix.data.receipts import check_unchanged, read_receipt
from cyclemix.data.resample import image_to_grid, label_to_grid, make_geometry, outside, scribble_to_grid
from cyclemix.data.scribbles.checks import check, slice_fractions
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import KINDS, Kind
from cyclemix.data.store import (
    CLIP_PERCENT,
    VERSION,
    Geometry,
    PreparedCase,
    check_duplicates,
    read_index,
    save_case,
    stored_receipt,
)
from cyclemix.files.atomic import sweep, write_text
from cyclemix.files.parallel import parallel
from cyclemix.provenance import records

logger = logging.getLogger(__name__)

LABELS: tuple[Kind, ...] = ("scribble", "label")


_Files = Mapping[str, Mapping[str, Any]]


def run(dataset_file: Path, part: str, receipt: Path, grid: Grid, output: Path, threads: int = 1) -> None:
    """Prepare the cases of ``receipt`` beside ``output`` and write the index ``output``, sorted by case.

    Also writes ``scribbles_{part}.csv``, the labelled fraction of each slice by class, and
    ``provenance_{part}.json``, the hashes of inputs and outputs.

    Args:
        dataset_file: ``config/datasets/<label>.yaml``.
        receipt: ``raw_{part}.json``; its relative paths refer to ``raw/`` beside it.
        output: ``prepared/{grid}/index_{part}.csv``.
        threads: number of cases prepared in parallel.

    Raises:
        DataError: one line per refused case; valid cases are stored.
    """
    spec, content = load_dataset(dataset_file), read_receipt(receipt)
    if content.get("part") != part:
        raise ConfigError(f"{receipt}: receipt of part {content.get('part')}, expected {part}")
    output.parent.mkdir(parents=True, exist_ok=True)
    sweep(output.parent)
    files = {item["path"]: item for item in content["files"]}
    raw_dir = receipt.parent / "raw"

    def job(entry: Mapping[str, Any]) -> dict[str, Any] | str:
        """The case's table entries, or why it is refused."""
        try:
            return _prepare_once(spec, raw_dir, entry, files, grid, output.parent / f"{entry['case']}.npz")
        except DataError as error:
            return str(error)

    done = parallel(job, content["cases"], threads, f"{spec.label} {part}, {grid.name}", "case")
    refusals = [item for item in done if isinstance(item, str)]
    if refusals:
        raise DataError(
            f"{spec.label}: {len(refusals)} of {len(done)} cases refused:\n" + "\n".join(refusals)
        )
    notes = sorted((item for item in done if isinstance(item, dict)), key=lambda item: item["row"]["case"])
    index = pd.DataFrame([item["row"] for item in notes])
    check_duplicates(index, str(output))
    _check_other_parts(index, output)
    scribbles = output.with_name(f"scribbles_{part}.csv")
    write_text(scribbles, _slice_table(notes).to_csv(index=False, lineterminator="\n"))
    write_text(output, index.to_csv(index=False, lineterminator="\n"))
    stored = [output.parent / f"{case}.npz" for case in index["case"]]
    made = records.made_by("data.prepare", grid=grid.model_dump())
    records.write(records.prepared(output), made, [receipt], [output, scribbles, *stored])
    logger.info("%s: %d cases, %d slices", output, len(index), int(index["n_slices"].sum()))


def prepare_case(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], grid: Grid
) -> tuple[PreparedCase, dict[str, Any]]:
    """One case on the grid, its ``row`` of the index and its ``slices`` of the table of scribbles.

    Raises:
        DataError: invalid file; names it.
    """
    native, spacing, header = read_native(spec, raw_dir, entry, "image")
    depth, height, width = native.shape
    margin_px = grid.margin_px
    geometry = make_geometry((depth, height, width), spacing, header, grid, spec.slice_axis, margin_px)
    image = normalise(native, geometry, grid, reference_path(raw_dir, entry, "image"), margin_px)
    size = image.shape[-1]
    labels: dict[Kind, np.ndarray] = {
        kind: read_native(spec, raw_dir, entry, kind)[0] for kind in LABELS if entry.get(kind)
    }
    slices: dict[str, list[float]] = {}
    scribble = label = None
    if "label" in labels:
        if not ((labels["label"] != BACKGROUND) & (labels["label"] != UNLABELLED)).any():
            where = reference_path(raw_dir, entry, "label")
            raise DataError(f"{where}: dense label without any structure; correct it or remove the case")
        label = label_to_grid(labels["label"], geometry, size)
    if "scribble" in labels:
        where = reference_path(raw_dir, entry, "scribble")
        check(labels["scribble"], spec.classes, where, labels.get("label"))
        scribble = scribble_to_grid(labels["scribble"], geometry, size)
        slices = slice_fractions(labels["scribble"], spec.classes)
    group = spec.groups.get(entry["subject"], "")
    case = PreparedCase(
        entry["case"], entry["subject"], entry["frame"], group, image, scribble, label, geometry, margin_px
    )
    return case, {"row": _row(case, spec, native, labels), "slices": slices}


def normalise(
    native: np.ndarray, geometry: Geometry, grid: Grid, where: str, margin_px: int = 0
) -> np.ndarray:
    """Resample the image and normalise intensities according to ``grid.preparation``; 0 outside the image.

    ``default``: clipped to percentiles of the crop, then a z-score of the crop. ``paper``: a z-score of the
    whole native volume, as in CycleMix's released code (data/mscmr.py). That code normalises a second time,
    in training by the first slice it loads, in inference per crop; this is omitted here.

    Args:
        native: (D,H,W).
        geometry: geometry of the crop including its margin.
        margin_px: pixels beyond each side of the crop.

    Returns:
        (D,S,S) float32, S = crop + 2 margins.

    Raises:
        DataError: a constant image, or one smaller than two pixels of the grid; names ``where``.
    """
    size = grid.crop_px + 2 * margin_px
    beyond = outside(geometry, size)
    if beyond.all():
        raise DataError(
            f"{where}: the image is smaller than two pixels of the grid; expected a scan, correct its voxel "
            f"size {geometry.spacing_mm} mm (dz,dy,dx)"
        )
    image = image_to_grid(native, geometry, size)
    if grid.preparation == "paper":
        values, place = native.astype(np.float64), "volume"
    else:
        low, high = np.percentile(image[:, ~beyond], CLIP_PERCENT)
        image = np.clip(image, low, high)
        values, place = image[:, ~beyond].astype(np.float64), "crop"
    if not values.max() > values.min():
        raise DataError(
            f"{where}: constant image (grey value {values.min():g} in the {place}); expected a scan"
        )
    image = ((image - values.mean()) / values.std()).astype(np.float32)
    image[:, beyond] = 0.0
    return image


def _prepare_once(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], files: _Files, grid: Grid, path: Path
) -> dict[str, Any]:
    """Prepare a case unless an intact one from the same inputs exists; returns its table entries."""
    inputs = _inputs_digest(spec, raw_dir, entry, files, grid)
    stored = stored_receipt(path)
    if stored is not None and stored.get("inputs") == inputs:
        return stored
    for kind in KINDS:
        if entry.get(kind):
            for name in files_of(raw_dir, entry[kind]):
                check_unchanged(raw_dir, files[name])
    case, notes = prepare_case(spec, raw_dir, entry, grid)
    save_case(path, case, {"inputs": inputs, **notes})
    return notes


def _inputs_digest(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], files: _Files, grid: Grid
) -> str:
    """Digest of everything that the prepared case depends on."""
    hashes = {}
    for kind in KINDS:
        if not entry.get(kind):
            continue
        names = files_of(raw_dir, entry[kind])
        for name in names:
            path = raw_dir / name
            if name not in files:
                raise DataError(f"{path}: not among the receipt's files; run `download` for this part again")
            if not path.is_file() or path.stat().st_size != files[name]["bytes"]:
                raise DataError(
                    f"{path}: absent or changed since `download`; run `download` for this part again"
                )
        hashes[kind] = [*(files[name]["sha256"] for name in names), split_reference(entry[kind])[1]]
    settings = spec.model_dump(include={"classes", "label_values", "scribble_values"}, mode="json")
    identity = [dict(entry), spec.groups.get(entry["subject"], ""), spec.person(entry["subject"])]
    values = [VERSION, identity, hashes, settings, spec.files.geometry, grid.model_dump()]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _row(
    case: PreparedCase, spec: DatasetSpec, native: np.ndarray, labels: Mapping[Kind, np.ndarray]
) -> dict[str, Any]:
    """The case's row of the index; fractions refer to the native volume's pixels."""
    scribble, marked = labels.get("scribble"), labels.get("scribble", labels.get("label"))
    kinds = {(True, True): "both", (True, False): "scribble", (False, True): "full", (False, False): "none"}
    dz, dy, dx = case.geometry.spacing_mm
    row: dict[str, Any] = {
        "case": case.case,
        "subject": case.subject,
        "person": spec.person(case.subject),
        "frame": case.frame,
        "group": case.group,
        "n_slices": len(native),
        "spacing_z_mm": round(dz, 6),
        "spacing_y_mm": round(dy, 6),
        "spacing_x_mm": round(dx, 6),
        "supervision": kinds["scribble" in labels, "label" in labels],
    }
    for value, name in enumerate(["background", *spec.classes]):
        row[f"scribble_{name}"] = 0.0 if scribble is None else round(float((scribble == value).mean()), 6)
    for value, name in enumerate(spec.classes, 1):
        row[f"slices_with_{name}"] = 0 if marked is None else int((marked == value).any(axis=(1, 2)).sum())
    content = str(native.shape).encode() + np.ascontiguousarray(native).tobytes()
    return {**row, "image_digest": hashlib.sha256(content).hexdigest()[:32]}


def _check_other_parts(index: pd.DataFrame, output: Path) -> None:
    """Refuse an image that is also in another part of the data set."""
    others = [path for path in sorted(output.parent.glob("index_*.csv")) if path != output]
    for path in others:
        other = read_index([path])
        rest = other[~other["case"].isin(index["case"])]
        check_duplicates(pd.concat([index, rest]), f"{output.name}, {path.name}")


def _slice_table(notes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns case, slice, background, classes...: labelled fraction of the slice's pixels."""
    tables = [pd.DataFrame({"case": n["row"]["case"], **n["slices"]}) for n in notes if n["slices"]]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["case", "slice"])
