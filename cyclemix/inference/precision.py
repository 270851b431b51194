"""Resolve ``precision: auto``: bf16 on CUDA, and on CPUs where it is measured to be faster."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from cyclemix.files import locks
from cyclemix.files.atomic import write_text
from cyclemix.ops.precision import autocast
from cyclemix.provenance.digests import hardware

log = logging.getLogger(__name__)

FASTER = 1.25
"""Smallest speedup over fp32 for which bf16 is used on a CPU."""
REPEATS = 7


def resolve(device: torch.device, precision: str) -> str:
    """``fp32``, ``tf32`` or ``bf16`` for a recipe's precision; on a CPU ``tf32`` becomes ``fp32``."""
    if precision == "tf32" and device.type == "cpu":
        return "fp32"
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16"
    return "bf16" if _remembered_speedup() >= FASTER else "fp32"


def _remembered_speedup() -> float:
    """Speedup of bf16 over fp32 on this processor with this torch, measured once per user."""
    # With the CPU capability, because virtual machines may hide the processor's model.
    key = f"{hardware()['cpu']}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cyclemix" / "precision.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Concurrent measurements would disturb each other.
        with locks.exclusive_file(path):
            known = _read(path)
            if key not in known:
                known[key] = round(measure_speedup(), 3)
                write_text(path, json.dumps(known, indent=1) + "\n")
                log.info("bf16 is %.2f times as fast as fp32 on %s; kept in %s", known[key], key, path)
            return known[key]
    except OSError as error:
        speedup = measure_speedup()
        log.warning(
            "the measured speed of bf16 cannot be saved in %s (%s), so each run measures it again: bf16 is "
            "%.2f times as fast as fp32 here. Set training.precision to fp32 or bf16, or XDG_CACHE_HOME to a "
            "writable folder",
            path,
            error.strerror,
            speedup,
        )
        return speedup


def _read(path: Path) -> dict[str, float]:
    """Saved measurements; empty if the file is missing or invalid."""
    try:
        found: Any = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}


def measure_speedup(clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of a small convolution, forward and backward, in fp32 over that in bf16.

    Args:
        clock: time in seconds; medians of `REPEATS` alternating measurements are compared.
    """
    device = torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(16, 16, 3, padding=1, bias=False)
    image = torch.randn((4, 16, 64, 64), generator=generator).contiguous(memory_format=torch.channels_last)
    image.requires_grad_()

    def seconds(precision: str) -> float:
        started = clock()
        with autocast(device, precision):
            out = layer(image)
        torch.autograd.grad(out, [image, layer.weight], torch.ones_like(out))
        return clock() - started

    for precision in ("fp32", "bf16"):
        seconds(precision)  # the first call of each builds its kernels
    pairs = [(seconds("fp32"), seconds("bf16")) for _ in range(REPEATS)]
    fp32, bf16 = (median(column) for column in zip(*pairs, strict=True))
    return fp32 / bf16
