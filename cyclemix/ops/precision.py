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
    """The autocast context of ``fp32`` (none) or ``bf16``; parameters, losses and statistics stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
