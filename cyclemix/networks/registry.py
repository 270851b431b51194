"""Networks that single methods need: each file here is one, named as ``training.network`` names it.

A file has ``build(recipe, num_classes, in_channels) -> nn.Module``. In evaluation mode the network maps
(B,1,H,W) to logits (B,num_classes,H,W); in training mode it may return more, for the methods that name it
in their ``networks``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from torch import nn

OTHERS = {"discriminators", "ema", "registry", "unet"}
"""Files of this folder that are no single method's network."""


def names() -> list[str]:
    """Names of the files, sorted."""
    return sorted({m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])} - OTHERS)


def load(name: str) -> Callable[..., nn.Module]:
    """``build`` of a file."""
    builder: Callable[..., nn.Module] = importlib.import_module(f"cyclemix.networks.{name}").build
    return builder
