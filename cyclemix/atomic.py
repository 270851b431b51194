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
    """A path to write to, on the disk and renamed to ``path`` when the block ends well, else removed.

    File and folder are synced: after a power cut, too, the file is the old one, the whole new one or absent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name}.{owner}.part")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with ``\\n`` line ends, whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


def sweep(folder: Path) -> int:
    """Remove what killed processes of this machine left half written below ``folder``; returns how many."""
    count = 0
    for partial in folder.rglob(f".*.{socket.gethostname()}-*.part"):
        pid = int(partial.name.rsplit("-", 2)[1])
        if not _alive(pid):
            partial.unlink(missing_ok=True)
            count += 1
    return count


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's process
        return True
    return True
