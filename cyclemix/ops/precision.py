"""Leaving autocast where half precision would change a result."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device_type: str) -> AbstractContextManager[object]:
    """Inside, autocast leaves matrix products and convolutions in single precision."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def resolved_precision(device: torch.device, precision: str) -> str:
    """``auto`` is bf16 on CUDA and fp32 on the CPU."""
    return ("bf16" if device.type == "cuda" else "fp32") if precision == "auto" else precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of a precision."""
    enabled = resolved_precision(device, precision) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
