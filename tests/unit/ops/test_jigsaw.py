"""Jigsaws move whole cells and can be undone."""

from __future__ import annotations

import pytest
import torch

from cyclemix.ops.jigsaw import Jigsaw, draw_jigsaw, refined

CPU = torch.device("cpu")


def test_quarters_change_places() -> None:
    image = torch.tensor([[0, 1], [2, 3]]).float().repeat_interleave(2, 0).repeat_interleave(2, 1)[None, None]
    got = Jigsaw(torch.tensor([[3, 0, 1, 2]])).apply(image)
    assert got[0, 0, ::2, ::2].tolist() == [[3, 0], [1, 2]]


def test_fine_shuffle_stays_within_the_quarters() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    still, turned = [0, 1, 2, 3], [3, 2, 1, 0]
    got = Jigsaw(torch.tensor([still]), torch.tensor([turned, still, still, still])).apply(image)
    assert got[0, 0].tolist() == [[5, 4, 2, 3], [1, 0, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


@pytest.mark.parametrize("fine", [False, True])
def test_undo_brings_everything_back(fine: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(5, 3, 8, 12, generator=generator)
    jigsaw = draw_jigsaw(5, generator, CPU)
    jigsaw = refined(jigsaw, generator) if fine else jigsaw
    moved = jigsaw.apply(image)
    assert not torch.equal(moved, image)
    assert torch.equal(moved.flatten(1).sort().values, image.flatten(1).sort().values)
    assert torch.equal(jigsaw.undo(moved), image)


def test_every_order_is_drawn() -> None:
    jigsaw = draw_jigsaw(2000, torch.Generator().manual_seed(0), CPU)
    assert len({tuple(order) for order in jigsaw.coarse.tolist()}) == 24


def test_refining_keeps_the_quarters_order() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = draw_jigsaw(3, generator, CPU)
    fine = refined(coarse, generator)
    image = torch.rand(3, 1, 8, 8, generator=generator)
    means = [torch.nn.functional.avg_pool2d(jigsaw.apply(image), 4) for jigsaw in (coarse, fine)]
    assert torch.allclose(*means)
    assert not torch.equal(coarse.apply(image), fine.apply(image))


def test_odd_sides_are_refused() -> None:
    coarse = draw_jigsaw(1, torch.Generator(), CPU)
    with pytest.raises(ValueError, match="got 5 x 6 px"):
        coarse.apply(torch.zeros(1, 1, 5, 6))
    with pytest.raises(ValueError, match="got 3 x 4 px"):
        refined(coarse, torch.Generator()).apply(torch.zeros(1, 1, 6, 8))
