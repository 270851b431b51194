"""Write files so that under its final name a file is whole or absent, whatever kills the process."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; renamed to ``path`` when the block ends without an error, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name}.{owner}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove what killed processes of this machine left half written below ``folder``; returns how many."""
    count = 0
    for partial in folder.rglob(f".*.{socket.gethostname()}-*.part"):
        pid = int(partial.name.rsplit("-", 2)[1])
        if not _alive(pid):
            partial.unlink(missing_ok=True)
            count += 1
    return count


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's process
        return True
    return True
