"""Write files so that under its final name a file is whole or absent, whatever kills the process."""

from __future__ import annotations

import errno
import glob
import os
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

NO_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Error numbers of a disk that accepts no more bytes; with most of them the system names no file."""

OWNER = re.compile(r"-(\d+)-\d+\.part")
"""Process and thread in the name of a half-written file; sqlite has a ``.part-journal`` beside its own."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, on the disk and renamed to ``path`` when the block ends well, else removed.

    File and folder are synced: after a power cut, too, the file is the old one, the whole new one or absent.
    What killed processes left half written of the same file is removed first.

    Raises:
        OSError: the disk takes no more bytes or no new file; names ``path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.{_host()}-*.part*"))
        partial = path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{threading.get_ident()}.part")
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
    """Write ``content``, whole or not at all.

    Libraries that write files themselves report a full disk in different ways (torch: "unexpected
    pos"), so what they make is gathered in memory and written here.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with ``\\n`` line ends, whole or not at all."""
    write_bytes(path, text.encode())


def sweep(folder: Path) -> int:
    """Remove what killed processes of this machine left half written below ``folder``; returns how many."""
    return _remove_dead(folder.rglob(f".*.{_host()}-*.part*"))


def _remove_dead(partials: Iterable[Path]) -> int:
    """Remove those half-written files whose process is gone."""
    dead = [path for path in partials if (found := OWNER.search(path.name)) and not _alive(int(found[1]))]
    for path in dead:
        path.unlink(missing_ok=True)
    return len(dead)


def _host() -> str:
    return socket.gethostname()


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
