"""Scores of predictions on the native grid against the untouched upstream labels, in millimetres.

``metrics.csv`` holds one row per case and structure, ``metrics_as_predicted.csv`` the same for the network's
labels without test-time augmentation and post-processing, ``metrics_by_level.csv`` the Dice of the basal,
middle and apical third of each heart. Everything is computed only from the upstream label files and the NIfTI
predictions, so the numbers can be recomputed without this package.
"""

from __future__ import annotations

import io
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.datasets import DatasetSpec, load_dataset
from cyclemix.data.readers import nifti
from cyclemix.data.readers.native import header_spacing, read_native, slices_first
from cyclemix.data.readers.volumes import files_of
from cyclemix.data.receipts import check_unchanged, pick_fold, read_receipt
from cyclemix.data.store import move_slices
from cyclemix.evaluation.scores import COLUMNS, LEVEL_COLUMNS, write_csv
from cyclemix.files.layout import AS_PREDICTED
from cyclemix.metrics import dice, surface_metrics
from cyclemix.provenance import records

log = logging.getLogger(__name__)

LEVELS = ("base", "middle", "apex")
HEART = frozenset({"LV", "MYO", "RV"})

# Headers store spacing and affine as 32-bit floats: a relative error of 1e-7, some 1e-5 mm over a volume.
_TOLERANCE_MM = 1e-3


class Volume(NamedTuple):
    """Class values (D, H, W) with their voxel size (dz, dy, dx) in mm and voxel-to-world affine (4, 4)."""

    labels: NDArray[np.integer]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]


def run(
    dataset_file: Path,
    receipt: Path,
    folds: Path,
    fold: int,
    evaluate_on: str,
    predictions: Path,
    output: Path,
    threads: int | None = None,
) -> None:
    """Score every predicted case of a fold; write ``output``, the two tables beside it and their record.

    Args:
        dataset_file: the data set's YAML file.
        receipt: ``raw_{part}.json`` of the part that holds the evaluated cases.
        folds: ``folds.json``.
        fold: position in ``folds``.
        evaluate_on: ``val`` or ``test``.
        predictions: folder of ``{case}.nii.gz`` and ``as_predicted/{case}.nii.gz`` with class values on the
            native grid.
        output: the ``metrics.csv`` to write.
        threads: number of cases processed in parallel; None = the processors of this process.

    Raises:
        ValueError: the fold has no such list or a subject no files, a case has no dense label, a prediction
            is missing, damaged, altered, not in the upstream geometry or has invalid values.
    """
    spec = load_dataset(dataset_file)
    cases = evaluated_cases(receipt, folds, fold, evaluate_on)
    raw = receipt.parent / "raw"
    _check_raw(receipt, raw, cases)
    folders = predictions, predictions / AS_PREDICTED
    files = [folder / f"{entry['case']}.nii.gz" for folder in folders for entry in cases]
    records.check([predictions / records.NAME], files)
    workers = threads or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(max_workers=min(workers, len(cases))) as pool:
        scored = list(pool.map(lambda entry: score_case(spec, raw, entry, folders), cases))
    tables: dict[Path, tuple[str, ...]] = {output: COLUMNS}
    tables[output.with_name("metrics_as_predicted.csv")] = COLUMNS
    tables[output.with_name("metrics_by_level.csv")] = LEVEL_COLUMNS
    for (path, columns), parts in zip(tables.items(), zip(*scored, strict=True), strict=True):
        write_csv(pd.DataFrame([row for rows in parts for row in rows], columns=columns), path)
    truth = spec.model_dump(mode="json", include={"classes", "label_values"})
    made = records.made_by("evaluate", fold=fold, evaluate_on=evaluate_on, **truth)
    records.write(output.with_name(records.METRICS), made, [receipt, folds, *files], tables)
    log.info("%s: scored %d cases of fold %d (%s)", output, len(cases), fold, evaluate_on)


def evaluated_cases(receipt: Path, folds: Path, fold: int, evaluate_on: str) -> list[dict[str, Any]]:
    """The receipt's entries of the fold's ``evaluate_on`` subjects, by case.

    Raises:
        ValueError: missing fold, list or subjects; names them.
    """
    fold_lists = pick_fold(folds, fold)
    if evaluate_on not in fold_lists:
        raise ValueError(f"{folds}: no list {evaluate_on!r} in fold {fold}; it holds {', '.join(fold_lists)}")
    subjects = set(fold_lists[evaluate_on])
    cases = [entry for entry in read_receipt(receipt)["cases"] if entry["subject"] in subjects]
    lacking = sorted(subjects - {entry["subject"] for entry in cases})
    if lacking or not cases:
        raise ValueError(
            f"{receipt}: no files of {', '.join(lacking) or 'any subject'}, which {folds} lists "
            f"under {evaluate_on} of fold {fold}; download that part first"
        )
    unlabelled = sorted(entry["case"] for entry in cases if not entry["label"])
    if unlabelled:
        raise ValueError(
            f"{receipt}: no dense label for {', '.join(unlabelled)}; evaluation needs one per case"
        )
    return sorted(cases, key=lambda entry: entry["case"])


def _check_raw(receipt: Path, raw: Path, cases: Sequence[Mapping[str, Any]]) -> None:
    """Compare images and labels with their receipt: uncompressed files have no other checksum."""
    files = {file["path"]: file for file in read_receipt(receipt)["files"]}
    names = {n for entry in cases for kind in ("image", "label") for n in files_of(raw, str(entry[kind]))}
    for name in sorted(names & files.keys()):
        check_unchanged(raw, files[name])


def score_case(
    spec: DatasetSpec, raw: Path, entry: dict[str, Any], folders: tuple[Path, Path]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of ``metrics.csv``, ``metrics_as_predicted.csv`` and ``metrics_by_level.csv`` for one case.

    Voxels that are unlabelled in the truth are not scored: both masks are empty there.

    Args:
        folders: of the final labels, and of the labels as predicted.
    """
    truth = read_truth(spec, raw, entry)
    unknown = truth.labels == UNLABELLED
    true = np.where(unknown, BACKGROUND, truth.labels)
    identity = {"case": entry["case"], "subject": entry["subject"]}
    millilitres = float(np.prod(truth.spacing_mm)) / 1000.0
    values = {structure: spec.classes.index(structure) + 1 for structure in spec.structures}
    predictions, tables = [], []
    for folder in folders:
        path = folder / f"{entry['case']}.nii.gz"
        prediction = read_prediction(path, len(spec.classes), spec.slice_axis)
        check_geometry(prediction, truth, path, str(entry["image"]))
        predictions.append(pred := np.where(unknown, BACKGROUND, prediction.labels))
        tables.append(
            [
                identity
                | {"structure": structure}
                | score(pred == value, true == value, truth.spacing_mm, millilitres)
                for structure, value in values.items()
            ]
        )
    levels = score_levels(predictions[0], true, values) if values.keys() >= HEART else []
    return tables[0], tables[1], [identity | row for row in levels]


def score(
    pred: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Sequence[float], millilitres: float
) -> dict[str, float]:
    """Dice, distances, volumes and whether exactly one mask is empty, of (D, H, W) masks."""
    sizes = int(np.count_nonzero(pred)), int(np.count_nonzero(truth))
    return {
        "dice": dice(pred, truth),
        **surface_metrics(pred, truth, spacing_mm),
        "volume_pred_ml": sizes[0] * millilitres,
        "volume_true_ml": sizes[1] * millilitres,
        "missed": int((sizes[0] == 0) != (sizes[1] == 0)),
    }


def score_levels(
    pred: NDArray[np.integer], truth: NDArray[np.integer], values: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Dice of every structure in the basal, middle and apical slices; a level without slices has no row.

    Args:
        pred, truth: class values (D, H, W).
        values: class value of each structure.
    """
    rows = []
    for level, slices in heart_levels(truth).items():
        for structure, value in values.items():
            overlap = dice(pred[slices] == value, truth[slices] == value)
            rows.append({"structure": structure, "level": level, "n_slices": len(slices), "dice": overlap})
    return rows


def heart_levels(truth: NDArray[np.integer]) -> dict[str, NDArray[np.intp]]:
    """Slices of each third of the heart's extent in ``truth`` (D, H, W).

    The extent runs from the first to the last labelled slice; the base is the end with the larger labelled
    area, because the slice order of upstream volumes varies. Remaining slices go to the base first.
    """
    areas = np.count_nonzero(truth, axis=(1, 2))
    filled = np.flatnonzero(areas)
    if filled.size == 0:
        return {}
    extent = np.arange(filled[0], filled[-1] + 1)
    third = max(1, extent.size // 3)
    if areas[extent[:third]].sum() < areas[extent[-third:]].sum():
        extent = extent[::-1]
    parts = zip(LEVELS, np.array_split(extent, 3), strict=True)
    return {level: slices for level, slices in parts if slices.size}


def read_truth(spec: DatasetSpec, raw: Path, entry: dict[str, Any]) -> Volume:
    """The upstream label in class values, with the geometry of the upstream image."""
    labels, spacing, block = read_native(spec, raw, entry, "label")
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(block), check=False)
    return Volume(labels, spacing, np.asarray(header.get_best_affine(), dtype=np.float64))


def read_prediction(path: Path, num_classes: int, slice_axis: int = 3) -> Volume:
    """A predicted volume, slices first.

    Raises:
        ValueError: the file is missing, unreadable or has values that are not classes; names it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no prediction for this case; run predict for this fold again")
    try:
        image = nifti.read_prediction(path)
        labels = move_slices(np.asarray(image.dataobj).T, slice_axis)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        raise ValueError(f"{path}: not a readable NIfTI volume ({error}); run predict again") from error
    values = np.unique(labels)
    if not np.isin(values, np.arange(num_classes + 1)).all():
        raise ValueError(f"{path}: expected class values 0..{num_classes}, got {values[:8].tolist()}")
    spacing = slices_first(header_spacing(image.header), slice_axis)
    return Volume(labels, spacing, np.asarray(image.affine, dtype=np.float64))


def check_geometry(pred: Volume, truth: Volume, path: Path, upstream: str) -> None:
    """Refuse a prediction that is not on the upstream image's voxel grid.

    Raises:
        ValueError: names both files and what differs.
    """
    pairs = (
        ("shape (D, H, W)", pred.labels.shape, truth.labels.shape),
        ("spacing in mm", pred.spacing_mm, truth.spacing_mm),
        ("affine", pred.affine, truth.affine),
    )
    for name, found, expected in pairs:
        first, second = np.asarray(found), np.asarray(expected)
        if first.shape != second.shape or not np.allclose(first, second, rtol=0, atol=_TOLERANCE_MM):
            raise ValueError(
                f"{path}: {name} differs from the upstream image {upstream}: "
                f"got {first.tolist()}, expected {second.tolist()}; run predict again for this fold"
            )
