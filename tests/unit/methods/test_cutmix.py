"""What is particular to CutMix: a box of image and labels comes from another image of the batch."""

from __future__ import annotations

import pytest
import torch
from nets import Fixed, per_class

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch

SIDE, BATCH = 16, 8


class Reader(torch.nn.Module):
    """Sure of the class whose number is the grey value."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen = image
        return -40 * (image - torch.arange(BATCH)[None, :, None, None]).square()


def test_labels_come_along_with_the_pixels() -> None:
    """Each image is its own class; a network that reads the grey value has no loss after the cut."""
    numbers = torch.arange(BATCH)[:, None, None].expand(-1, SIDE, SIDE)
    batch = Batch(numbers[:, None].float(), numbers, 0, torch.arange(BATCH))
    net = Reader()
    terms = methods.create("cutmix", {}, BATCH, "test").losses(net, batch, torch.Generator().manual_seed(0))
    assert list(terms) == ["mix"]
    assert terms["mix"].item() == pytest.approx(0, abs=1e-6)
    foreign = (net.seen[:, 0] != numbers).flatten(1).float().mean(1)
    assert 0.1 < foreign.mean() < 0.7
    assert all(len(image.unique()) <= 2 for image in net.seen)


def test_unlabelled_pixels_stay_unlabelled() -> None:
    target = torch.full((2, SIDE, SIDE), UNLABELLED)
    batch = Batch(torch.zeros(2, 1, SIDE, SIDE), target, 0, torch.arange(2))
    terms = methods.create("cutmix", {}, 3, "test").losses(
        Fixed(per_class(0.2, 0.3, 0.5)), batch, torch.Generator().manual_seed(0)
    )
    assert terms["mix"].item() == 0
