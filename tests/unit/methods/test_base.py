"""The registry: a file is a method; and what each of the first three puts into its loss."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import ConfigError
from cyclemix.config.study import load_methods
from cyclemix.methods.base import Batch, Method

BLOCKS = load_methods(Path(__file__).parents[3] / "config" / "methods.yaml")


class Uniform(torch.nn.Module):
    """Logits that are all equal: cross-entropy log(C) wherever something is labelled."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(classes))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.level[None, :, None, None] + 0 * image


def test_every_file_is_a_method_named_as_the_file() -> None:
    classes = methods.available()
    assert {"unet_pce", "unet_full", "cyclemix"} <= set(classes)
    assert all(issubclass(value, Method) for value in classes.values())


def test_unknown_file_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no file cyclemix/methods/unet.py; known: .*unet_pce"):
        methods.load("unet")


@pytest.mark.parametrize("label", BLOCKS)
def test_every_block_makes_its_method(label: str) -> None:
    block = BLOCKS[label]
    method = methods.create(block.method, block.config, 4, label)
    assert method.num_classes == 4


def test_a_wrong_setting_names_row_and_key() -> None:
    with pytest.raises(ConfigError, match=r"row: unknown key weight_mx \(did you mean 'weight_mix'\?\)"):
        methods.create("cyclemix", {"weight_mx": 1}, 4, "row")


@pytest.mark.parametrize(("name", "term"), [("unet_pce", "pce"), ("unet_full", "ce")])
def test_cross_entropy_methods_see_labelled_pixels_only(name: str, term: str) -> None:
    target = torch.full((2, 8, 8), UNLABELLED)
    target[0, 0, 0] = 1
    batch = Batch(torch.zeros(2, 1, 8, 8), target, 0, torch.arange(2))
    terms = methods.create(name, {}, 4, name).losses(Uniform(4), batch, torch.Generator())
    assert list(terms) == [term]
    assert terms[term].item() == pytest.approx(log(4))
