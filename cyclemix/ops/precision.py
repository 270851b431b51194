"""Autocast contexts: enabled for a precision, and disabled where half precision would change a result."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device_type: str) -> AbstractContextManager[object]:
    """Context in which autocast is disabled: matrix products and convolutions stay in fp32."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Autocast context of ``bf16``, or of ``fp32`` and ``tf32`` (disabled); parameters and losses stay fp32.

    On CUDA it also sets process-wide whether fp32 convolutions and matrix products use TF32 (``tf32`` only).
    The setting persists after the context, because the backward pass runs outside it.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
