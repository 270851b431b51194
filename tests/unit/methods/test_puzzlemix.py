"""Puzzle Mix is a row of CycleMix's method: what its block leaves of it."""

from __future__ import annotations

import pytest
import torch
from nets import Pointwise, batch_of, losses
from rows import BLOCKS

SIDE, CLASSES, BATCH = 32, 4, 6


@pytest.mark.parametrize("label", ["puzzlemix", "puzzlemix_full"])
def test_only_mixed_images_are_trained_on_neither_blanked_nor_turned(label: str) -> None:
    """Grey values above 0 and labels that follow them: a hole or a turned corner would show a 0."""
    config = {**BLOCKS[label].config, "puzzle": {"labels": 2}}
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(1, CLASSES, (BATCH, SIDE // 4, SIDE // 4), generator=generator)
    target = target.repeat_interleave(4, 1).repeat_interleave(4, 2)
    net = Pointwise(CLASSES)
    terms = losses("cyclemix", CLASSES, net, batch_of(target[:, None].float(), target), seed=1, **config)
    assert list(terms) == ["mix"]
    clean, mixed = net.seen
    assert not torch.equal(clean, mixed)
    assert set(mixed.unique().tolist()) == {1.0, 2.0, 3.0}
    assert terms["mix"].item() < 0.01
    terms["mix"].backward()
    assert net.sharpness.grad.abs() > 0


def test_full_rows_are_the_scribble_rows_on_dense_labels() -> None:
    for label in ("puzzlemix", "cyclemix"):
        scribble, full = BLOCKS[label], BLOCKS[f"{label}_full"]
        assert (scribble.supervision, full.supervision) == ("scribble", "full")
        assert (scribble.method, scribble.config) == (full.method, full.config)
