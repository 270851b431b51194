"""Locks on folders. The system frees them when their process dies, so none is ever left behind."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Error numbers of file systems without locks, as on some clusters."""

_held: list[IO[str]] = []
"""Locks that are held for as long as the process lives."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a run's folder for a ``with`` block; wait for a training that a killed workflow left behind."""
    with (folder / "train.lock").open("w") as handle:
        if not _try(handle, "run one training at a time in it"):
            log.warning("another training writes to %s; waiting for its end", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive_file(path: Path) -> Iterator[None]:
    """Hold a file that is read and written anew for a ``with`` block; others wait."""
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        if not _try(handle, f"change {path.name} from one process at a time"):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def held(path: Path) -> bool:
    """Whether a process holds a lock file now; False where there is none, or no locks."""
    if not path.is_file():
        return False
    with path.open("r+") as handle:
        return not _try(handle, "whether a training runs is not known")


def hold(results: Path) -> None:
    """Hold a results folder until this process ends, against workflows of other copies of the project.

    Snakemake's own lock belongs to the folder that it is started in and knows nothing of them.

    Raises:
        ValueError: another workflow holds it; names the folder, and that one's machine, process and folder.
    """
    results.mkdir(parents=True, exist_ok=True)
    path = results / "study.lock"
    handle = path.open("a+")
    if not _try(handle, "run one workflow at a time in it"):
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise ValueError(
            f"{results}: another Snakemake writes to this results folder ({owner}); wait for its end, "
            "or set another `results:`"
        )
    handle.truncate(0)
    handle.write(f"machine {socket.gethostname()}, process {os.getpid()}, started in {Path.cwd()}\n")
    handle.flush()
    _held.append(handle)


def _try(handle: IO[str], advice: str) -> bool:
    """Take a file's lock if it is free; on a file system without locks, warn and continue."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning("%s: no file locks on this file system; %s", Path(handle.name).parent, advice)
    return True
