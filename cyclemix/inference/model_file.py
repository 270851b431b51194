"""``model.pt``: weights, network, labels, preprocessing, training domain and provenance of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cyclemix.config.models import RunConfig
from cyclemix.config.strict import ConfigError, validate
from cyclemix.data.store import CLIP_PERCENT, VERSION
from cyclemix.files.atomic import write_bytes
from cyclemix.inference import torch_file
from cyclemix.inference.domain import Domain
from cyclemix.networks.registry import build_network

ORIGIN = (
    *("commit", "code_digest", "config_digest", "data_digest", "lock_digest"),
    *("fold", "seed", "versions", "precision"),
)
"""Keys of ``provenance.json`` saved with the weights: those that are equal for equal trainings."""


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        net: network in evaluation mode.
        config: labels, grid, method and recipe.
        domain: ranges of the training images, see `cyclemix.inference.domain`.
        origin: provenance, see ``ORIGIN``.
    """

    net: nn.Module
    config: RunConfig
    domain: Domain
    origin: dict[str, Any]


def save_model(path: Path, model: Model, step: int, val_dice: float) -> None:
    """Write ``model.pt`` atomically; equal models give equal bytes."""
    clipped = list(CLIP_PERCENT) if model.config.grid.preparation == "default" else None
    content = {
        "config": model.config.model_dump(),
        "preparation": {"version": VERSION, "clip_percent": clipped},
        "domain": model.domain,
        "origin": {key: model.origin[key] for key in ORIGIN if key in model.origin},
        "step": step,
        "val_dice": val_dice,
        "state_dict": {k: v.detach().cpu().contiguous() for k, v in model.net.state_dict().items()},
    }
    write_bytes(path, torch_file.to_bytes(content))


def load_model(path: Path, device: torch.device) -> Model:
    """Read a ``model.pt`` without running code in it.

    Raises:
        ConfigError: damaged, not written by `save_model`, or of another preprocessing version.
        FileNotFoundError: no such file.
    """
    try:
        saved: Any = torch_file.load(path, device)
    except torch_file.Damaged as error:
        raise ConfigError(
            f"{path}: damaged, or not a model of this project ({error}); expected a model.pt, train it again"
        ) from error
    wanted = ("config", "preparation", "domain", "origin", "state_dict")
    missing = wanted if not isinstance(saved, dict) else [key for key in wanted if key not in saved]
    if missing:
        raise ConfigError(
            f"{path}: expected a model.pt with {', '.join(wanted)}, found no {', '.join(missing)}; "
            "train it again"
        )
    version = saved["preparation"]["version"]
    if version != VERSION:
        raise ConfigError(
            f"{path}: trained with preprocessing version {version}, this cyclemix has version {VERSION}; "
            f"use the version that trained it (commit {saved['origin'].get('commit')}) or train it again"
        )
    config = validate(RunConfig, saved["config"], str(path))
    net = build_network(config.training, len(config.classes) + 1).to(device)
    net.load_state_dict(saved["state_dict"])
    return Model(net.eval(), config, saved["domain"], saved["origin"])


def find_models(place: Path) -> list[Path]:
    """Path of one ``model.pt``, given itself or its run's folder, or of all runs in a folder (an ensemble).

    Raises:
        ConfigError: no model was found.
    """
    if place.is_file():
        return [place]
    found = [place / "model.pt"] if (place / "model.pt").is_file() else sorted(place.glob("*/model.pt"))
    if not found:
        raise ConfigError(f"{place}: expected a model.pt, a run's folder or a folder of runs; found no model")
    return found
