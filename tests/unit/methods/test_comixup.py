"""What is particular to Co-Mixup as a method: scribbles move with the image, saliency is the clean loss's."""

from __future__ import annotations

import pytest
import torch
from nets import Pointwise, batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch

SIDE, CLASSES, BATCH = 16, 4, 4


def batch(labelled: float) -> Batch:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, CLASSES, (BATCH, SIDE, SIDE), generator=generator)
    noise = 0.1 * torch.randn(target.shape, generator=generator)
    hidden = torch.rand(target.shape, generator=generator) > labelled
    image = (target + noise)[:, None]
    return batch_of(image, target.masked_fill(hidden, UNLABELLED))


def terms(data: Batch, net: torch.nn.Module, **config: object) -> dict[str, torch.Tensor]:
    return losses("comixup", CLASSES, net, data, **config)


HARD = {"sweeps": 1}
"""Halves come with the second sweep: here each pixel is some image's pixel."""


@pytest.mark.parametrize("labelled", [1.0, 0.2])
def test_scribbles_move_with_the_image(labelled: float) -> None:
    """A network that reads the class off each pixel has as little loss on the mixed image as on the clean."""
    data, net = batch(labelled), Pointwise(CLASSES)
    got = terms(data, net, mix=HARD)
    assert list(got) == ["unmix", "mix"]
    assert got["mix"].item() < 0.05
    assert got["mix"].item() == pytest.approx(got["unmix"].item(), abs=0.02)
    assert (net.seen[-1] != data.image).flatten(1).float().mean(1).min() > 0


def test_weights_scale_their_terms() -> None:
    single, double = (terms(batch(0.5), Pointwise(CLASSES), weight_unmix=w, weight_mix=w) for w in (1.0, 2.0))
    for term in ("unmix", "mix"):
        assert double[term].item() == pytest.approx(2 * single[term].item())
