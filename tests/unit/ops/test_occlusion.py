"""Random squares and boxes: size, clipping, uniform centres."""

from __future__ import annotations

import pytest
import torch

from cyclemix.ops.occlusion import random_boxes, random_squares


def squares(batch=500, height=40, width=24, side=8):
    return random_squares(batch, height, width, side, torch.Generator().manual_seed(0), "cpu")


def test_each_is_one_square_clipped_at_the_border():
    mask = squares()
    assert mask.dtype == torch.bool
    rows, columns = mask.any(dim=2).sum(dim=1), mask.any(dim=1).sum(dim=1)
    assert torch.equal(mask.sum(dim=(1, 2)), rows * columns)
    assert rows.max() == columns.max() == 8
    assert rows.min() == columns.min() == 4  # centre on the first or last pixel


def test_centres_are_uniform():
    # A pixel far from the border is hidden by 8 x 8 of the 40 x 24 possible centres.
    share = squares(batch=4000).float().mean(dim=0)
    assert share[20, 12].item() == pytest.approx(64 / 960, abs=0.015)
    assert share[0, 0].item() == pytest.approx(25 / 960, abs=0.01)


def test_no_side_hides_nothing_and_a_huge_one_everything():
    assert not squares(side=0).any()
    assert squares(side=200).all()


@pytest.mark.parametrize("wrong", [{"side": -1}, {"batch": 0}, {"height": 0}])
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="random_squares needs"):
        squares(**wrong)


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
