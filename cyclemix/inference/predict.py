"""Predictions of a fold's evaluated cases as NIfTI files in the geometry of the upstream images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from cyclemix.config.models import Inference, Training
from cyclemix.config.strict import ConfigError
from cyclemix.data.outputs import is_marked
from cyclemix.data.receipts import check_known, pick_fold
from cyclemix.data.store import load_case, read_index
from cyclemix.files.layout import AS_PREDICTED
from cyclemix.inference.device import acquire
from cyclemix.inference.export import save_labels
from cyclemix.inference.model_file import load_model
from cyclemix.inference.precision import resolve
from cyclemix.inference.predictor import segment_volume
from cyclemix.provenance import records

log = logging.getLogger(__name__)


def run(
    model: Path,
    folds: Path,
    index: Sequence[Path],
    fold: int,
    evaluate_on: str,
    inference: Inference,
    execution: Training,
    output: Path,
) -> None:
    """Write the predicted labels of every evaluated case into ``output``, and their record.

    ``{case}.nii.gz`` (uint8) has the ``inference`` settings applied; ``as_predicted/{case}.nii.gz`` is the
    network's output for one view without post-processing.

    Args:
        model: ``model.pt``.
        index: ``index_{part}.csv`` of the evaluated cases.
        evaluate_on: ``val`` or ``test``.

    Raises:
        ConfigError: the index has no case of the fold's evaluated subjects.
        ValueError: the model, the index or a case was changed after the stage that wrote it; ``output`` has
            volumes that are not predictions.
    """
    subjects = pick_fold(folds, fold)[evaluate_on]
    cases = read_index(index)
    known = set(cases["subject"])
    cases = cases[cases["subject"].isin(subjects)]
    if cases.empty:
        raise ConfigError(
            f"{folds}: none of fold {fold}'s {len(subjects)} {evaluate_on} subjects is prepared"
        )
    check_known(subjects, known, folds, "the prepared index")
    records.check(map(records.prepared, index), [*index, *cases["path"]])
    records.check([model.with_name(records.NAME)], [model])
    folders = output / AS_PREDICTED, output
    folders[0].mkdir(parents=True, exist_ok=True)
    predictions = [folder / f"{case}.nii.gz" for folder in folders for case in cases["case"]]
    for stale in set(_earlier(output)) - set(predictions):
        stale.unlink()
    with acquire(execution.device, execution.jobs_per_gpu) as device:
        trained = load_model(model, device)
        precision = resolve(device, trained.config.training.precision)
        for row in tqdm(list(cases.itertuples()), unit="case", disable=None):
            case = load_case(Path(str(row.path)))
            image = torch.from_numpy(case.image).float()[:, None].to(device)
            geometry = case.geometry
            both = segment_volume(trained.net, image, geometry, inference, precision)
            for folder, labels in zip(folders, both, strict=True):
                save_labels(folder / f"{case.case}.nii.gz", labels, geometry.header, geometry.slice_axis)
    made = records.made_by(
        "predict", fold=fold, evaluate_on=evaluate_on, inference=inference.model_dump(), precision=precision
    )
    records.write(output / records.NAME, made, [model, folds, *index, *cases["path"]], predictions)


def _earlier(output: Path) -> list[Path]:
    """Predictions of an earlier run.

    Raises:
        ValueError: the folder holds other volumes.
    """
    found = sorted(output.rglob("*.nii.gz"))
    if not (output / records.NAME).is_file() and (others := [path for path in found if not is_marked(path)]):
        raise ValueError(f"{others[0]}: already there and no prediction; name another --output")
    return found
