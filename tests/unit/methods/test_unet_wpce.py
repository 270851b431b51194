"""What is particular to the weighted partial cross-entropy: every class present counts alike."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix.config.labels import UNLABELLED
from cyclemix.ops.losses import class_weights

U = UNLABELLED


def wpce(target: torch.Tensor, net: Fixed) -> torch.Tensor:
    terms = losses("unet_wpce", 3, net, batch_of(torch.zeros(len(target), 1, *target.shape[1:]), target))
    assert list(terms) == ["wpce"]
    return terms["wpce"]


def test_weights_are_the_labelled_pixels_over_the_classs_and_zero_elsewhere() -> None:
    weights = class_weights(torch.tensor([[[0, 0, U]], [[0, 2, U]]]), 3)
    assert weights.tolist() == [
        [[pytest.approx(4 / 3), pytest.approx(4 / 3), 0]],
        [[pytest.approx(4 / 3), 4, 0]],
    ]


def test_each_class_present_counts_alike() -> None:
    """Three pixels of class 0 weigh as much as one of class 2; class 1 is absent."""
    loss = wpce(torch.tensor([[[0, 0, U]], [[0, 2, U]]]), Fixed(per_class(0.5, 0.25, 0.25)))
    assert loss.item() == pytest.approx((log(2) + log(4)) / 2)


def test_the_balance_is_the_batchs_not_the_images() -> None:
    net = Fixed(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])[:, :, None, None])
    # class 0: once in each image; class 1: once in the second
    loss = wpce(torch.tensor([[[0, U]], [[0, 1]]]), net)
    assert loss.item() == pytest.approx(((log(2) + log(4)) / 2 + log(2)) / 2)
