"""Selection of a stage's device, and file locks by which stages share the GPUs of one machine."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


@contextmanager
def acquire(device: str, jobs_per_gpu: int = 1, lock_dir: Path | None = None) -> Iterator[torch.device]:
    """Hold a device for the length of a ``with`` block.

    On a machine with GPUs a stage locks a free slot (`jobs_per_gpu` per GPU) or waits for one; the operating
    system releases the lock when the process ends. A SLURM job with one GPU uses it without a lock.

    Args:
        device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        jobs_per_gpu: slots per GPU.
        lock_dir: folder of the lock files; None = a folder per user under the temporary folder.

    Raises:
        ValueError: ``cuda`` where torch finds no GPU.
    """
    count = torch.cuda.device_count() if device != "cpu" else 0
    if device == "cuda" and count == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        raise ValueError(
            "training.device: expected a GPU for cuda, but torch sees none "
            f"(torch {torch.__version__}, CUDA_VISIBLE_DEVICES={visible}); "
            "use auto or cpu, or install a CUDA build of torch"
        )
    if count == 0:
        yield torch.device("cpu")
    elif count == 1 and "SLURM_JOB_ID" in os.environ:
        yield torch.device("cuda:0")
    else:
        names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(count)]
        lock_dir = lock_dir or Path(tempfile.gettempdir()) / f"cyclemix-{os.getuid()}"
        position, handle = _wait_for_slot(names, jobs_per_gpu, lock_dir)
        try:
            yield torch.device(f"cuda:{position}")
        finally:
            handle.close()


def _wait_for_slot(names: list[str], jobs_per_gpu: int, lock_dir: Path) -> tuple[int, IO[str]]:
    """Index of a GPU with a free slot, and the open lock file of the slot."""
    lock_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    announced = False
    while True:
        # Slots in the outer loop: every GPU gets its first job before any gets its second.
        for slot in range(jobs_per_gpu):
            for position, name in enumerate(names):
                handle = (lock_dir / f"{name}_slot{slot}.lock").open("w")
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    handle.close()
                    continue
                return position, handle
        if not announced:
            log.info("all %d GPUs are taken (%d jobs per GPU); waiting for one", len(names), jobs_per_gpu)
            announced = True
        time.sleep(POLL_SECONDS)
