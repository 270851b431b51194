"""Optimizer and learning-rate schedules."""

from __future__ import annotations

import math

import torch
from torch import nn

from cyclemix.config.models import Recipe


def make_optimizer(recipe: Recipe, parts: nn.Module) -> torch.optim.Optimizer:
    """AdamW or Adam over the parameters of all parts, with fused steps."""
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parts.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of step ``step``, counted from 0."""
    peak, progress = recipe.learning_rate, step / recipe.max_steps
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "step":
        return peak * 0.1 ** (step // recipe.step_every_steps)
    if recipe.schedule == "onecycle":
        rise = 0.3
        phase = progress / rise if progress < rise else (1 - progress) / (1 - rise)
        return peak * max(0.04, 0.5 * (1 - math.cos(math.pi * phase)))
    warm = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    return peak * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
