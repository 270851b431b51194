"""A full disk, a read-only one and a full temporary folder, stage by stage."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A tmpfs; making one needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", str(folder)], check=True)


def refusal(answer: stages.Answer) -> str:
    """The one message of a command that was refused."""
    assert answer.status == 1, answer.text
    assert "Traceback" not in answer.text
    said = re.findall("^cyclemix: error: (.*)$", answer.text, re.MULTILINE)
    assert len(said) == 1, answer.text
    return str(said[0])


@pytest.mark.parametrize("stage", stages.STAGES)
def test_full_disk(stage: str, server: Any, reference: Any, disk: Disk) -> None:
    job = reference.jobs[stage]
    folder = stages.copy(reference.before[stage], disk.folder / "study")
    sizes = [(reference.folder / name).stat().st_size for name in job.made]
    need = sum(-(-size // PAGE) * PAGE for size in sizes)
    for room in (0, random.Random(stage).randrange(need)):
        disk.leave(room)
        answer = server.run(folder, job.arguments)
        disk.empty()
        message = refusal(answer)
        assert re.match(r"\[Errno 28\] results/\S+: No space left on device; solve this and run", message)
        assert reference.wrong(folder) == []
    reference.check_finished(job, folder, server.run(folder, job.arguments))


@pytest.mark.parametrize("stage", stages.STAGES)
def test_read_only_results(stage: str, server: Any, reference: Any, disk: Disk) -> None:
    job = reference.jobs[stage]
    folder = stages.copy(reference.before[stage], disk.folder / "study")
    there = stages.files(folder)
    disk.remount("ro")
    answer = server.run(folder, job.arguments)
    disk.remount("rw")
    assert re.match(r"\[Errno 30\] .*Read-only file system", refusal(answer))
    assert "results" in refusal(answer)
    assert stages.files(folder) == there
    reference.check_finished(job, folder, server.run(folder, job.arguments))


def test_full_temporary_folder_costs_no_result(
    server: Any, reference: Any, disk: Disk, tmp_path: Path
) -> None:
    folder = stages.copy(reference.before["download"], tmp_path / "study")
    disk.leave(PAGE)  # enough for Python to believe that it can be used
    for stage in stages.STAGES:
        stages.copy(reference.before[stage], folder)
        job = reference.jobs[stage]
        answer = server.run(folder, job.arguments, environment={"TMPDIR": str(disk.folder)})
        reference.check_finished(job, folder, answer)
        if stage == "tabulate":  # whose mirror packs the best model there
            assert "MLflow mirror: summary of phantom failed" in answer.text
            assert "No space left on device" in answer.text
