"""Atomic writes: what a disk rejects is reported with the file; what the dead left of a file goes."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest

from cyclemix.files.atomic import replacing, sweep, write_bytes, write_text

HOST = socket.gethostname()


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def fail(path: Path, error: OSError) -> None:
    """Half write a file."""
    with replacing(path) as partial:
        partial.write_bytes(b"half")
        raise error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EDQUOT, "Disk quota exceeded"),
        (errno.EFBIG, "File too large"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_disk_refuses_is_told_with_the_file(tmp_path: Path, number: int, words: str) -> None:
    path = tmp_path / "model.pt"
    write_text(path, "old")
    with pytest.raises(OSError, match=rf"model\.pt: {words}; solve this and run the same command again"):
        fail(path, OSError(number, "without a name, as write() and fsync() tell it"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError, match=r"^\[Errno 104\] by peer$"):
        fail(tmp_path / "a.gz", ConnectionResetError(errno.ECONNRESET, "by peer"))


def test_a_file_is_written_to_its_end_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "below" / "a.bin"
    write_bytes(path, memoryview(b"whole"))
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_writing_a_file_removes_what_the_dead_left_of_it(tmp_path: Path, dead: int) -> None:
    ours = [f".a[1].txt.{HOST}-{dead}-1.part", f".a[1].txt.{HOST}-{dead}-1.part-journal"]
    others = [
        f".b.txt.{HOST}-{dead}-1.part",
        f".a[1].txt.{HOST}-{os.getpid()}-1.part",
        f".a[1].txt.elsewhere-{dead}-1.part",
    ]
    for name in (*ours, *others):
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "a[1].txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "a[1].txt"])
    assert sweep(tmp_path) == 1
    assert not (tmp_path / others[0]).exists()
