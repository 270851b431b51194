"""The registry: a file is a method; and what each of the first three puts into its loss."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class
from rows import BLOCKS

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import ConfigError
from cyclemix.methods.base import Method


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
    terms = losses(name, 4, Fixed(per_class(*[0.25] * 4)), batch_of(torch.zeros(2, 1, 8, 8), target))
    assert list(terms) == [term]
    assert terms[term].item() == pytest.approx(log(4))
