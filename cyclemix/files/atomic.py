"""Atomic writes: under its final name a file is complete or absent, even if the process is killed."""

from __future__ import annotations

import errno
import glob
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

NO_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Error numbers of full or failing disks, most of which are reported without file name."""

OWNER = re.compile(r"-(\d+)-\d+\.part")
"""Process and thread in the name of a partial file; sqlite adds a ``.part-journal``."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, renamed to ``path`` when the block ends without exception, else removed.

    File and folder are synced, so that even after a power failure the file is the old one, the complete new
    one or absent. Partial files of killed processes for the same path are removed first.

    Raises:
        OSError: the disk is full or not writable; names ``path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.{gethostname()}-*.part*"))
        partial = path.with_name(f".{path.name}.{gethostname()}-{os.getpid()}-{threading.get_ident()}.part")
        try:
            yield partial
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in NO_WRITE:
            raise
        advice = "solve this and run the same command again; finished files are kept"
        raise OSError(error.errno, f"{path}: {os.strerror(error.errno)}; {advice}") from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` atomically.

    Libraries report a full disk in different ways when they write files themselves (torch: "unexpected
    pos"), so their output is collected in memory and written here.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically as UTF-8 with ``\\n`` line ends."""
    write_bytes(path, text.encode())


def sweep(folder: Path) -> int:
    """Remove partial files of killed processes of this machine below ``folder``; returns their number."""
    return _remove_dead(folder.rglob(f".*.{gethostname()}-*.part*"))


def _remove_dead(partials: Iterable[Path]) -> int:
    """Remove partial files whose process no longer exists."""
    dead = [path for path in partials if (found := OWNER.search(path.name)) and not _alive(int(found[1]))]
    for path in dead:
        path.unlink(missing_ok=True)
    return len(dead)


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
    except PermissionError:  # another user's process
        return True
    return True
