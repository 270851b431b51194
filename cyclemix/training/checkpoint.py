"""The last two checkpoints: written atomically, rejected when they belong to another training."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from cyclemix.files.atomic import replacing
from cyclemix.inference import torch_file

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt``; the previous one becomes ``checkpoint.previous.pt``."""
    current, content = folder / NAME, torch_file.to_bytes(state)
    with replacing(current) as partial:
        partial.write_bytes(content)
        if current.is_file():
            current.replace(folder / PREVIOUS)


def load(folder: Path, digest: str, device: torch.device) -> dict[str, Any] | None:
    """The newest intact checkpoint of this training, None if there is none.

    Args:
        digest: digest of configuration, data and code; a checkpoint with another digest is ignored with a
            warning.
    """
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            state: dict[str, Any] = torch_file.load(path, device)
        except (torch_file.Damaged, OSError) as error:
            log.warning("%s cannot be read (%s); trying the previous checkpoint", path, error)
            continue
        if state.get("digest") == digest:
            return state
        log.warning("%s belongs to another configuration, data or code; training starts from step 0", path)
        return None
    return None
