"""Files of torch's format, read only where every byte of their contents is what was written."""

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
"""What zipfile and torch raise at bytes that they cannot make sense of."""


class Damaged(ValueError):
    """A file that torch cannot read, or whose contents do not match their checksums."""


def to_bytes(content: Any) -> memoryview:
    """What `torch.save` makes of ``content``; equal contents are equal bytes, no file name enters them."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getbuffer()


def load(path: Path, device: torch.device) -> Any:
    """Read a file; no code in it is run.

    torch does not compare the checksums of the zip archive that its files are, so that a flipped bit would be
    a changed weight; they are compared here.

    Raises:
        Damaged: says what is wrong, in one line.
        OSError: no such file, or unreadable.
    """
    stream = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(stream) as archive:
            # torch reads nothing of a member that is marked as a folder, and leaves its weights as they are.
            folders = (info.filename for info in archive.infolist() if info.external_attr)
            wrong = archive.testzip() or next(folders, None)
        if wrong is None:
            stream.seek(0)
            return torch.load(stream, map_location=device, weights_only=True)
    except UnpicklingError as error:  # torch's own message advises to read it all the same
        raise Damaged("it holds more than weights, numbers and texts, which is not read") from error
    except BROKEN as error:
        raise Damaged(str(error).partition("\n")[0]) from error
    raise Damaged(f"{wrong} in it does not match its checksum")
