"""Transport plans: the one that moves nothing, and how much another one moves."""

from __future__ import annotations

import torch
from torch import Tensor


def identity(batch: int, height: int, width: int) -> Tensor:
    """The plan (B,h,w) of blocks that all stay."""
    return torch.arange(height * width).reshape(1, height, width).expand(batch, -1, -1)


def share_moved(*plans: Tensor) -> float:
    """Share of the blocks that plans (B,h,w) move."""
    plan = torch.cat(plans)
    return (plan != identity(*plan.shape)).float().mean().item()
