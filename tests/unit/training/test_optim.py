"""Optimizer and learning-rate schedules, compared with PyTorch's own schedulers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler as torchs
from torch.optim.lr_scheduler import LRScheduler

from cyclemix.config.models import Recipe
from cyclemix.training.optim import learning_rate, make_optimizer

STEPS, PEAK, WARMUP = 100, 2.0, 10
TOTAL, RISE = STEPS + 1, (0.3 * STEPS + 1) / (STEPS + 1)
"""torch counts the end points of a cycle, so its cycle of ``TOTAL`` steps has its peak at step 30."""

SCHEDULERS: dict[str, tuple[dict[str, object], Callable[[torch.optim.Optimizer], LRScheduler], float]] = {
    "constant": ({}, lambda optimizer: torchs.ConstantLR(optimizer, 1.0), 0.0),
    "step": ({"step_every_steps": 20}, lambda optimizer: torchs.StepLR(optimizer, 20, 0.1), 0.0),
    "cosine": (
        {"warmup_steps": 0}, lambda optimizer: torchs.CosineAnnealingLR(optimizer, STEPS), 0.01
    ),
    "onecycle": (
        {},
        lambda optimizer: torchs.OneCycleLR(
            optimizer, PEAK, TOTAL, pct_start=RISE, cycle_momentum=False, div_factor=1e12, final_div_factor=1
        ),
        0.04,
    ),
}  # fmt: skip
"""Settings, torch's scheduler, and the share of the peak that ours never falls below."""


def of_torch(make: Callable[[torch.optim.Optimizer], LRScheduler]) -> list[float]:
    """Learning rates of the steps by one of torch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    scheduler, rates = make(optimizer), []
    for _ in range(STEPS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", SCHEDULERS)
def test_the_schedule_is_torchs_with_a_floor(schedule: str) -> None:
    settings, make, floor = SCHEDULERS[schedule]
    recipe = Recipe(schedule=schedule, max_steps=STEPS, learning_rate=PEAK, **settings)
    rates = [learning_rate(recipe, step) for step in range(STEPS)]
    assert rates == pytest.approx([max(floor * PEAK, rate) for rate in of_torch(make)], rel=1e-6)
    assert max(rates) == PEAK


def test_cosine_warms_up_linearly() -> None:
    recipe = Recipe(schedule="cosine", max_steps=STEPS, learning_rate=PEAK, warmup_steps=WARMUP)
    cosine = of_torch(lambda optimizer: torchs.CosineAnnealingLR(optimizer, STEPS))
    for step, share in ((0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0)):
        assert learning_rate(recipe, step) == pytest.approx(share * cosine[step])


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_all_trainable_parts_are_optimized(name: str, kind: type) -> None:
    parts = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 1), "other": torch.nn.Linear(1, 1)})
    recipe = Recipe(optimizer=name, learning_rate=0.5, weight_decay=0.25)
    optimizer = make_optimizer(recipe, parts)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.5, 0.25, 4)
