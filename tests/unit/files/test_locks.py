"""Locks wait or refuse, name their holder, and end with their process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cyclemix.files import locks

HOLD = """
import sys, time
from pathlib import Path
from cyclemix.files import locks
locks.hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_training_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def second() -> None:
        with locks.exclusive(tmp_path):
            order.append("second")

    with locks.exclusive(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for its end" not in caplog.text:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_file_system_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locks.exclusive(tmp_path):
        assert "no file locks on this file system" in caplog.text


def test_a_results_folder_has_one_workflow_which_is_named(tmp_path: Path) -> None:
    results = tmp_path / "shared results"
    command = [sys.executable, "-c", HOLD, str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        expected = rf"shared results: another Snakemake .* process {holder.pid}, started in {Path.cwd()}\)"
        with pytest.raises(ValueError, match=expected):
            locks.hold(results)
        holder.kill()
    locks.hold(results)  # a killed holder leaves nothing behind
    assert f"process {os.getpid()}," in (results / "study.lock").read_text()
