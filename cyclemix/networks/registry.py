"""Networks by name: each file of this folder with a `build` function is one, named as ``training.network``.

A file has ``build(recipe, num_classes) -> nn.Module``. In evaluation mode the network maps
(B,1,H,W) to logits (B,num_classes,H,W); in training mode it may return more, for methods that list it in
their ``networks``.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import torch
from torch import nn

from cyclemix.config.models import Recipe
from cyclemix.config.strict import ConfigError

OTHERS = {"discriminators", "ema", "registry"}
"""Files of this folder that are not a ``training.network``."""


def names() -> list[str]:
    """Values of ``training.network``, sorted."""
    return sorted({module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - OTHERS)


def build_network(recipe: Recipe, num_classes: int) -> nn.Module:
    """The network of a recipe, channels last (the memory format in which convolutions are fastest).

    Raises:
        ConfigError: no such network.
    """
    if recipe.network not in names():
        raise ConfigError(f"training.network: expected one of {', '.join(names())}, got {recipe.network!r}")
    module = importlib.import_module(f"cyclemix.networks.{recipe.network}")
    net: nn.Module = module.build(recipe, num_classes)
    for parameter in net.parameters():
        if parameter.dim() == 4:
            # ``contiguous`` would keep the strides of a weight with one input channel, and with them
            # contiguous features in the first and largest level.
            last = torch.empty_like(parameter, memory_format=torch.channels_last)
            parameter.data = last.copy_(parameter.data)
    return net
