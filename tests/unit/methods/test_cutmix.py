"""What is particular to CutMix: a box of image and labels comes from another image of the batch."""

from __future__ import annotations

import pytest
import torch
from nets import Pointwise, batch_of, losses

SIDE, BATCH = 16, 8


def test_labels_come_along_with_the_pixels() -> None:
    """Each image is its own class; a network that reads the grey value has no loss after the cut."""
    numbers = torch.arange(BATCH)[:, None, None].expand(-1, SIDE, SIDE)
    net = Pointwise(BATCH, 40.0)
    terms = losses("cutmix", BATCH, net, batch_of(numbers[:, None].float(), numbers))
    assert list(terms) == ["mix"]
    assert terms["mix"].item() == pytest.approx(0, abs=1e-6)
    (seen,) = net.seen
    foreign = (seen[:, 0] != numbers).flatten(1).float().mean(1)
    assert 0.1 < foreign.mean() < 0.7
    assert all(len(image.unique()) <= 2 for image in seen)
