"""A fold's prepared slices and volumes as tensors on the training device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.models import RunConfig
from cyclemix.config.strict import ConfigError
from cyclemix.data.scribbles.keep import keep_fraction
from cyclemix.data.store import load_case, load_mask
from cyclemix.methods.base import Slices


@dataclass(frozen=True)
class Volume:
    """One validation volume: image (D,1,H,W) float32, truth (D,H,W) uint8."""

    case: str
    image: Tensor
    truth: Tensor


def load_slices(
    cases: pd.DataFrame,
    settings: RunConfig,
    device: torch.device,
    masks: pd.DataFrame | None = None,
    seed: int = 0,
) -> Slices:
    """Training slices with at least one labelled pixel; unlabelled slices are skipped.

    Scribble-supervised rows use the dense labels of cases without a scribble.

    Args:
        masks: cases of which only the dense masks are used, unpaired; None = none.
        seed: selects the part of each scribble kept where ``training.scribble_fraction`` is below 1.

    Raises:
        ConfigError: a case lacks the labels, or no slice has any.
    """
    images, targets, names = [], [], []
    counts = {"scribbled_cases": 0, "dense_cases": 0, "unmarked_slices": 0}
    fraction = settings.training.scribble_fraction
    for row in cases.itertuples():
        case = load_case(Path(str(row.path)), with_margin=True)
        scribbled = settings.supervision != "full" and case.scribble is not None
        target = case.scribble if scribbled else case.label
        if target is None:
            kind = "label" if settings.supervision == "full" else "scribble or label"
            raise ConfigError(
                f"{row.path}: expected a {kind} for {settings.label}, found none; prepare it again"
            )
        if scribbled and fraction < 1:
            target = keep_fraction(target, fraction, case.case, seed)
        keep = (target != UNLABELLED).any(axis=(1, 2))
        images.append(case.image[keep])
        targets.append(target[keep])
        names += [case.case] * int(keep.sum())
        counts["scribbled_cases" if scribbled else "dense_cases"] += 1
        counts["unmarked_slices"] += int((~keep).sum())
    if not names:
        raise ConfigError(f"{settings.dataset}: no slice of {len(cases)} training cases has a label")
    image = torch.from_numpy(np.concatenate(images)).float()[:, None].to(device)
    marks = np.concatenate(targets)
    labelled = int((marks != UNLABELLED).sum())
    subjects = int(cases["subject"].nunique())
    amounts = {"subjects": subjects, **counts, "slices": len(names), "labelled_pixels": labelled}
    lent = None if masks is None else _load_masks(masks, device)
    margin_px = settings.grid.margin_px
    return Slices(image, torch.from_numpy(marks).to(device), names, lent, amounts, margin_px)


def _load_masks(cases: pd.DataFrame, device: torch.device) -> Tensor:
    """Mask slices with at least one structure, (M,H,W) uint8."""
    masks = [load_mask(Path(str(path))) for path in cases["path"]]
    shown = [mask[((mask > BACKGROUND) & (mask != UNLABELLED)).any(axis=(1, 2))] for mask in masks]
    if not any(map(len, shown)):
        raise ConfigError(f"{cases['path'].iloc[0]}: no slice of {len(masks)} mask cases shows a structure")
    return torch.from_numpy(np.concatenate(shown)).to(device)


def load_volumes(cases: pd.DataFrame, device: torch.device) -> list[Volume]:
    """Validation volumes with their dense labels.

    Raises:
        ConfigError: a case has no dense label.
    """
    volumes = []
    for row in cases.itertuples():
        case = load_case(Path(str(row.path)))
        if case.label is None:
            raise ConfigError(
                f"{row.path}: expected a dense label for validation, found none; prepare it again"
            )
        image = torch.from_numpy(case.image).float()[:, None].to(device)
        volumes.append(Volume(case.case, image, torch.from_numpy(case.label).to(device)))
    return volumes
