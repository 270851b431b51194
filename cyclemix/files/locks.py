"""File locks on folders, released by the operating system when their process ends."""

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
    """Lock a run's folder for a ``with`` block; waits for another training in it."""
    with (folder / "train.lock").open("w") as handle:
        if not _try(handle, "run one training at a time in it"):
            log.warning("another training writes to %s; waiting for its end", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive_file(path: Path) -> Iterator[None]:
    """Lock a file for reading and rewriting in a ``with`` block; other processes wait."""
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        if not _try(handle, f"change {path.name} from one process at a time"):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def held(path: Path) -> bool:
    """Whether a process holds a lock file; False if it does not exist, or without locks."""
    if not path.is_file():
        return False
    with path.open("r+") as handle:
        return not _try(handle, "whether a training runs is not known")


def hold(results: Path) -> None:
    """Lock a results folder until this process ends, against workflows of other copies of the project.

    Snakemake's own lock only covers the folder in which it was started.

    Raises:
        ValueError: another workflow has the lock; names its machine, process and folder.
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
