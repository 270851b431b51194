"""Device choice and the slots of a GPU (locks work without one)."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cyclemix.inference import device


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with (
        pytest.raises(ValueError, match=r"training\.device: expected a GPU for cuda, but torch sees none"),
        device.acquire("cuda"),
    ):
        pass


def test_auto_without_a_gpu_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with device.acquire("auto") as got:
        assert got == torch.device("cpu")


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid=f"gpu{i}"))


def test_a_slurm_job_takes_the_gpu_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_gpus(monkeypatch, 1)
    with device.acquire("auto", 1, tmp_path) as first, device.acquire("cuda", 1, tmp_path) as second:
        assert first == second == torch.device("cuda:0")
    assert list(tmp_path.iterdir()) == []


def test_trainings_inside_one_slurm_job_share_its_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpus(monkeypatch, 2)
    with device.acquire("auto", 1, tmp_path) as first, device.acquire("auto", 1, tmp_path) as second:
        assert (first, second) == (torch.device("cuda:0"), torch.device("cuda:1"))


def test_every_gpu_gets_its_first_job_before_any_gets_its_second(tmp_path: Path) -> None:
    held = [device._wait_for_slot(["a", "b"], 2, tmp_path) for _ in range(4)]
    assert [position for position, _ in held] == [0, 1, 0, 1]
    held[1][1].close()
    assert device._wait_for_slot(["a", "b"], 2, tmp_path)[0] == 1


def test_a_killed_process_frees_its_slot(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held = fork.Event()

    def hold() -> None:
        slot = device._wait_for_slot(["a"], 1, tmp_path)
        held.set()
        time.sleep(60)
        slot[1].close()

    holder = fork.Process(target=hold)
    holder.start()
    assert held.wait(30)
    holder.kill()
    holder.join()
    assert device._wait_for_slot(["a"], 1, tmp_path)[0] == 0
