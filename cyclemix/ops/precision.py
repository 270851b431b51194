"""Entering autocast for a precision, and leaving it where half precision would change a result."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device_type: str) -> AbstractContextManager[object]:
    """Inside, autocast leaves matrix products and convolutions in single precision."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of ``fp32``, ``tf32`` (none) or ``bf16``; parameters, losses, statistics are fp32.

    On CUDA it also sets whether convolutions and matrix products of fp32 numbers may round them to TF32: for
    ``tf32`` alone. That stays so after the context, because the backward pass runs outside it.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
