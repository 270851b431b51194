"""Random damage to a file, read again and again in a forked process of bounded memory.

Allowed are a right read and a refusal that names the file; every other outcome fails.
"""

from __future__ import annotations

import gzip
import multiprocessing
import resource
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from cyclemix.config.strict import load_yaml, validate
from cyclemix.config.study import Study
from cyclemix.data.datasets import load_dataset
from cyclemix.data.manifests import remote_files
from cyclemix.data.readers.native import load_volume, read_image
from cyclemix.data.receipts import read_folds, read_receipt
from cyclemix.data.store import load_case, read_index

FORK = multiprocessing.get_context("fork")

SPARE_BYTES = 768 * 2**20
"""Memory above what the forked process holds after the first read."""

SLOWEST_SECONDS = 5.0
"""Longest read."""


def read_case(path: Path) -> np.ndarray:
    """Image, scribble and label of a prepared case, one array."""
    case = load_case(path)
    return np.stack([case.image, case.scribble, case.label])


READERS: dict[str, Callable[[Path], Any]] = {
    "nifti": lambda path: read_image(path)[0],
    "member": lambda path: load_volume(f"{path}::v.nii.gz", "image")[0],
    "h5": lambda path: load_volume(f"{path}::label", "image")[0],
    "case": read_case,
    "index": lambda path: read_index([path]),
    "folds": read_folds,
    "receipt": read_receipt,
    "study": lambda path: validate(Study, load_yaml(path), str(path)),
    "dataset": load_dataset,
    "manifest": lambda path: remote_files(load_dataset(path.with_name("own.yaml"))),
}

CHECKSUMMED = {"nifti.gz", "member", "case"}
"""Whatever is read in spite of the damage must be what was written."""


def fuzz(reader: str, file: Path, seed: int, count: int, limit_seconds: float = 60.0) -> dict[str, int]:
    """How often ``count`` damaged copies of ``file`` were ``read`` and ``refused``.

    The copies replace ``file``, so that the one of a failure is still there afterwards.

    Args:
        reader: a key of ``READERS``; with ``.repacked``, a gzip file is damaged before its compression.

    Raises:
        AssertionError: any other outcome; also a process that crashed, or that did not end in time.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(sender, reader, file, seed, count), daemon=True)
    child.start()
    sender.close()  # the child holds the other end: if it dies, the pipe ends
    found: dict[str, int] | str
    try:
        in_time = receiver.poll(limit_seconds)
        found = receiver.recv() if in_time else f"no end within {limit_seconds:g} s"
    except EOFError:
        child.join()
        found = f"the process ended with status {child.exitcode}"
    finally:
        child.kill()
        child.join()
    assert isinstance(found, dict), f"{file}, {reader}, seed {seed}: {found}"
    return found


def damage(content: bytes, rng: np.random.Generator, start: int) -> bytes:
    """A few changed bytes, a hole, a cut, or some bytes more; half of them among the first ``start``."""
    data = bytearray(content)
    end = min(start, len(data)) if rng.random() < 0.5 else len(data)
    kind = rng.choice(["bytes", "bytes", "bits", "cut", "hole", "insert", "extreme"])
    place = int(rng.integers(end))
    if kind == "cut":
        del data[place:]
    elif kind == "insert":
        data[place:place] = rng.bytes(int(rng.integers(1, 9)))
    elif kind == "hole":
        size = min(int(rng.integers(1, 65)), len(data) - place)
        data[place : place + size] = bytes(size)
    elif kind == "extreme":  # a field of a header at its limit
        value = rng.choice(
            [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"]
        )
        data[place : place + 4] = value
    else:
        for at in rng.integers(end, size=int(rng.integers(1, 9))):
            data[at] = data[at] ^ (1 << rng.integers(8)) if kind == "bits" else rng.integers(256)
    return bytes(data)


def _child(sender: Connection, reader: str, file: Path, seed: int, count: int) -> None:
    """Send the counts, or what went wrong."""
    try:
        sender.send(_read_damaged(reader, file, seed, count))
    except BaseException:  # noqa: BLE001 (every exception is the finding)
        sender.send(traceback.format_exc())


def _read_damaged(reader: str, file: Path, seed: int, count: int) -> dict[str, int] | str:
    """Damage and read ``count`` times; the counts, or the first wrong outcome."""
    warnings.simplefilter("ignore")
    read, repack = READERS[reader.partition(".")[0]], reader.endswith(".repacked")
    content, rng = file.read_bytes(), np.random.default_rng(seed)
    whole = read(file)
    resource.setrlimit(resource.RLIMIT_AS, (_held() + SPARE_BYTES,) * 2)
    counts = {"read": 0, "refused": 0}
    for number in range(count):
        if repack:
            file.write_bytes(gzip.compress(damage(gzip.decompress(content), rng, 400), 1))
        else:
            file.write_bytes(damage(content, rng, 400))
        start, wrong = time.monotonic(), None
        try:
            found = read(file)
            counts["read"] += 1
            if reader in CHECKSUMMED and not np.array_equal(found, whole):
                wrong = "read other values than were written"
        except ValueError as error:
            counts["refused"] += 1
            if file.parent.name not in str(error) or isinstance(error, UnicodeError):
                wrong = f"the message does not name the file: {error!r}\n{traceback.format_exc()}"
        except BaseException:  # noqa: BLE001 (every other outcome is the finding)
            wrong = traceback.format_exc()
        if time.monotonic() - start > SLOWEST_SECONDS:
            wrong = f"took {time.monotonic() - start:.1f} s"
        if wrong:
            return f"damage {number}: {wrong}\nfirst bytes: {file.read_bytes()[:400]!r}"
    return counts


def _held() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
