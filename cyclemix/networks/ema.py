"""Moving averages of a network: the engine's evaluated weights, and the teachers of methods."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def move_towards(average: nn.Module, net: nn.Module, decay: float) -> None:
    """``average = decay * average + (1 - decay) * net`` for weights and batch statistics, in place."""
    own, new = average.state_dict(), net.state_dict()
    floats = [key for key in own if own[key].is_floating_point()]
    get_ema_multi_avg_fn(decay)([own[key] for key in floats], [new[key] for key in floats], 0)


def warmed_up(decay: float, step: int) -> float:
    """Decay after ``step`` steps; smaller at first, to reduce the influence of the initial weights."""
    return min(decay, (1 + step) / (10 + step))


class Teacher(nn.Module):
    """A mean teacher (Tarvainen and Valpola, NeurIPS 2017): the moving average of a network.

    It always stays in evaluation mode and has no gradient.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Teacher:
        """No effect: a teacher stays in evaluation mode."""
        return self

    def follow(self, net: nn.Module, decay: float, step: int) -> None:
        """One step of the moving average towards ``net``."""
        move_towards(self.net, net, warmed_up(decay, step))

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,C,H,W), without gradient."""
        logits: Tensor = self.net(image)
        return logits
