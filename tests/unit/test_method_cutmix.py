"""What is particular to CutMix: a box of image and labels comes from another image of the batch."""

from __future__ import annotations

import pytest
import torch
from nets import Fixed, per_class

from cyclemix import methods
from cyclemix.config import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.ops.occlusion import random_boxes

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


def test_box_sides_are_the_square_root_of_the_share() -> None:
    share = torch.tensor([0.25, 0.0, 1 / 16]).repeat(200)
    boxes = random_boxes(share, 20, 40, torch.Generator().manual_seed(0))
    rows, columns = boxes.any(2).sum(1), boxes.any(1).sum(1)
    # the largest of many draws is not clipped at the border
    assert [rows[i::3].max().item() for i in range(3)] == [10, 0, 5]
    assert [columns[i::3].max().item() for i in range(3)] == [20, 0, 10]
    assert torch.equal(boxes.sum((1, 2)), rows * columns)


def test_boxes_lie_anywhere() -> None:
    hits = random_boxes(torch.full((4000,), 0.25), 8, 8, torch.Generator().manual_seed(0)).float().mean(0)
    assert hits[4, 4].item() == pytest.approx((4 / 8) ** 2, abs=0.03)
    assert hits[0, 0].item() == pytest.approx((3 / 8) ** 2, abs=0.03)
