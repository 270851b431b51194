"""A full disk, a read-only one and a full temporary folder, stage by stage."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stages

PAGE = 4096
"""A tmpfs gives room by the page."""

SIZE = 64 << 20


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def leave(self, room: int) -> None:
        """Fill it up to ``room`` bytes, whole pages."""
        free = os.statvfs(self.folder).f_bavail * PAGE
        with self._filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, free - room // PAGE * PAGE)

    def empty(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def remount(self, how: str) -> None:
        """``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A tmpfs; making one needs root."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Where the study lies."""
    with mounted(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def full_temporary(tmp_path: Path) -> Iterator[Path]:
    """A full folder for temporary files."""
    with mounted(tmp_path / "temporary") as made:
        made.leave(PAGE)  # enough for Python to believe that it can be used
        yield made.folder


def refusal(answer: stages.Answer) -> str:
    """The one message of a command that was refused."""
    assert answer.status == 1, answer.text
    assert "Traceback" not in answer.text
    said = re.findall("^cyclemix: error: (.*)$", answer.text, re.MULTILINE)
    assert len(said) == 1, answer.text
    return str(said[0])


@pytest.mark.parametrize("stage", stages.STAGES)
def test_read_only_then_full_then_without_temporary_files(
    stage: str, server: Any, reference: Any, disk: Disk, full_temporary: Path
) -> None:
    """In the same folder: a fault leaves it as it was, or with right files, for the next one."""
    job = reference.jobs[stage]
    folder = stages.copy(reference.before[stage], disk.folder / "study")
    check_read_only(job, folder, server, disk)
    check_full(job, folder, server, disk, reference)

    answer = server.run(folder, job.arguments, environment={"TMPDIR": str(full_temporary)})
    reference.check_finished(job, folder, answer)
    if stage == "tabulate":  # whose mirror packs the best model there
        assert "MLflow mirror: summary of phantom failed" in answer.text
        assert "No space left on device" in answer.text


def check_read_only(job: stages.Job, folder: Path, server: Any, disk: Disk) -> None:
    """Refused; nothing is changed."""
    there = stages.files(folder)
    disk.remount("ro")
    answer = server.run(folder, job.arguments)
    disk.remount("rw")
    message = refusal(answer)
    assert re.match(r"\[Errno 30\] .*Read-only file system", message)
    assert "results" in message
    assert stages.files(folder) == there


def check_full(job: stages.Job, folder: Path, server: Any, disk: Disk, reference: Any) -> None:
    """Without any room, and with room for a part of the results: refused; nothing wrong is there."""
    sizes = [(reference.folder / name).stat().st_size for name in job.made]
    need = sum(-(-size // PAGE) * PAGE for size in sizes)
    for room in (0, random.Random(job.stage).randrange(need)):
        disk.leave(room)
        answer = server.run(folder, job.arguments)
        disk.empty()
        message = refusal(answer)
        assert re.match(r"\[Errno 28\] results/\S+: No space left on device; solve this and run", message)
        assert reference.wrong(folder) == []
