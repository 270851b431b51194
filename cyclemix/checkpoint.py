"""Checkpoints: the last two, written whole or not at all, refused when they belong to another training."""

from __future__ import annotations

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cyclemix import torch_file
from cyclemix.atomic import replacing

log = logging.getLogger(__name__)

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What some cluster file systems answer to a lock."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a run's folder for a ``with`` block; wait for a training that a killed workflow left behind.

    The system frees the lock when the process dies.
    """
    with (folder / "train.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another training writes to %s; waiting for its end", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("%s: no file locks on this file system; run one training at a time in it", folder)
        yield


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt``; the one before becomes ``checkpoint.previous.pt``."""
    current, content = folder / NAME, torch_file.to_bytes(state)
    with replacing(current) as partial:
        partial.write_bytes(content)
        if current.is_file():
            current.replace(folder / PREVIOUS)


def load(folder: Path, digest: str, device: torch.device) -> dict[str, Any] | None:
    """The newest intact checkpoint of this training, or None where there is none.

    Args:
        digest: of configuration, data and code; a checkpoint with another one is passed over with a warning.
    """
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            state: dict[str, Any] = torch_file.load(path, device)
        except (torch_file.Damaged, OSError) as error:
            log.warning("%s cannot be read (%s); looking for the one before", path, error)
            continue
        if state.get("digest") == digest:
            return state
        log.warning("%s belongs to another configuration, data or code; this training starts afresh", path)
        return None
    return None
