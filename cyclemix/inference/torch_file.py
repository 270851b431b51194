"""Files in torch's format, with verified checksums."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError)
"""Exceptions of zipfile and torch for damaged files."""


class Damaged(ValueError):
    """A file that torch cannot read, or whose contents do not match their checksums."""


def to_bytes(content: Any) -> memoryview:
    """The bytes of `torch.save`; equal contents give equal bytes, independent of any file name."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getbuffer()


def load(path: Path, device: torch.device) -> Any:
    """Read a file without running code in it (``weights_only``).

    torch does not verify the checksums of its zip archive, so that a flipped bit would change a weight; they
    are verified here.

    Raises:
        Damaged: one line with the reason.
        OSError: no such file, or unreadable.
    """
    stream = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(stream) as archive:
            # torch silently skips members that are marked as folders.
            folders = (info.filename for info in archive.infolist() if info.external_attr)
            wrong = archive.testzip() or next(folders, None)
        if wrong is None:
            stream.seek(0)
            return torch.load(stream, map_location=device, weights_only=True)
    except UnpicklingError as error:  # torch's own message advises to disable weights_only
        raise Damaged(
            "it contains objects other than tensors, numbers and text, which are not loaded"
        ) from error
    except BROKEN as error:
        raise Damaged(str(error).partition("\n")[0]) from error
    raise Damaged(f"its member {wrong} does not match its checksum")
