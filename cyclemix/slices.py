"""A fold's prepared slices and volumes as tensors on the training device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cyclemix.config import BACKGROUND, UNLABELLED, RunConfig
from cyclemix.data.store import load_case, load_mask
from cyclemix.strict import ConfigError


@dataclass(frozen=True)
class Slices:
    """All training slices.

    Attributes:
        image: (N,1,H,W) float32.
        target: (N,H,W) uint8, class values, 255 = unlabelled.
        case: case of each slice, for messages.
        masks: (M,H,W) uint8 dense masks of other patients; None but for ``supervision: scribble+masks``.
    """

    image: Tensor
    target: Tensor
    case: list[str]
    masks: Tensor | None = None


@dataclass(frozen=True)
class Volume:
    """One validation volume: image (D,1,H,W) float32, truth (D,H,W) uint8."""

    case: str
    image: Tensor
    truth: Tensor


def load_slices(
    cases: pd.DataFrame, settings: RunConfig, device: torch.device, masks: pd.DataFrame | None = None
) -> Slices:
    """Slices that carry at least one label; the others can teach a supervised term nothing.

    Args:
        masks: cases that lend their dense masks alone, never their images.

    Raises:
        ConfigError: a case lacks the labels, or no slice of any case has one.
    """
    images, targets, names = [], [], []
    kind = "label" if settings.supervision == "full" else "scribble"
    for row in cases.itertuples():
        case = load_case(Path(str(row.path)))
        target = case.label if kind == "label" else case.scribble
        if target is None:
            raise ConfigError(
                f"{row.path}: expected a {kind} for {settings.label}, found none; prepare it again"
            )
        keep = (target != UNLABELLED).any(axis=(1, 2))
        images.append(case.image[keep])
        targets.append(target[keep])
        names += [case.case] * int(keep.sum())
    if not names:
        raise ConfigError(f"{settings.dataset}: no slice of {len(cases)} training cases has a {kind}")
    image = torch.from_numpy(np.concatenate(images)).float()[:, None].to(device)
    labels = torch.from_numpy(np.concatenate(targets)).to(device)
    return Slices(image, labels, names, None if masks is None else _load_masks(masks, device))


def _load_masks(cases: pd.DataFrame, device: torch.device) -> Tensor:
    """Slices of the masks that show a structure."""
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
