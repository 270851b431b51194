"""Networks with two decoders: channel dropout, and combinations of both predictions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def draw_channels(
    batch: int, channels: int, drop: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Factors (batch, channels) of channel dropout: 0 with probability ``drop``, else 1 / (1 - drop)."""
    draw = torch.rand((batch, channels), generator=generator, device=device)
    return (draw >= drop) / (1 - drop)


def mix(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """b first + (1 - b) second without gradient, one b per batch, uniform in [0, 1)."""
    share = torch.rand((), generator=generator, device=first.device)
    return torch.lerp(second.detach(), first.detach(), share)


def mean_logits(first: Tensor, second: Tensor) -> Tensor:
    """Logits (B,C,H,W) whose softmax is the mean of two predictions' softmax, float32."""
    both = torch.stack((first.float().log_softmax(dim=1), second.float().log_softmax(dim=1)))
    return both.logsumexp(dim=0) - math.log(2)
