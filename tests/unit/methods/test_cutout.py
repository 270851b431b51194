"""What is particular to Cutout: one square is blank, and nothing under it is asked."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix import methods
from cyclemix.config.lengths import PAPER_SPACING_MM as PX

SIDE, HOLE = 32, 8


def run(target: torch.Tensor, net: Fixed) -> torch.Tensor:
    batch = batch_of(torch.ones(len(target), 1, SIDE, SIDE), target)
    terms = losses("cutout", 3, net, batch, seed=3, hole_mm=HOLE * PX)
    assert list(terms) == ["pce"]
    return terms["pce"]


def test_one_square_of_each_image_is_blank() -> None:
    net = Fixed(per_class(0.5, 0.25, 0.25))
    run(torch.zeros(50, SIDE, SIDE, dtype=torch.int64), net)
    blank = net.seen[0][:, 0] == 0
    rows, columns = blank.any(2).sum(1), blank.any(1).sum(1)
    assert torch.equal(blank.sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == HOLE
    assert rows.min() >= HOLE // 2
    assert torch.equal(net.seen[0][:, 0][~blank], torch.ones(int((~blank).sum())))


def test_scribbles_under_the_hole_do_not_count() -> None:
    """Class 1 wherever the image is blank, class 0 elsewhere: only class 0 is asked."""
    probe = Fixed(per_class(0.5, 0.25, 0.25))
    run(torch.zeros(4, SIDE, SIDE, dtype=torch.int64), probe)
    blank = probe.seen[0][:, 0] == 0
    assert run(blank.long(), probe).item() == pytest.approx(log(2))


def test_the_hole_has_cyclemixs_size_by_default() -> None:
    assert methods.create("cutout", {}, 3, "test").pixels["hole_px"] == 32
