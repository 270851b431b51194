"""ZScribbleSeg: CycleMix's terms, largest components as labels, and the spatial prior."""

from __future__ import annotations

from math import log
from types import SimpleNamespace

import pytest
import torch
from nets import Logits, Pointwise, batch_of, losses

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.methods.base import Batch
from cyclemix.methods.cyclemix import MixedView

U = UNLABELLED
SIDE = 32


def terms(net: torch.nn.Module, batch: Batch, **config: object) -> dict[str, torch.Tensor]:
    small = {"occlusion_mm": 8 * PX, "radius_mm": 2 * PX, **config}
    return losses("zscribbleseg", 3, net, batch, **small)


def blobs(step: int = 0, island: bool = False) -> Batch:
    """Class 1 in a square and class 2 in another one that touches it, a line of scribble in each."""
    classes = torch.zeros(2, SIDE, SIDE, dtype=torch.int64)
    classes[:, 8:16, 8:16], classes[:, 8:16, 16:24] = 1, 2
    if island:
        classes[:, 28:30, 2:4] = 1
    target = torch.full_like(classes, U)
    target[:, 4], target[:, 12, 9:15], target[:, 12, 17:23] = 0, 1, 2
    return batch_of(classes[:, None].float(), target, step)


def test_terms_and_cyclemix_unmixed_term() -> None:
    got, batch = terms(Pointwise(3, 1.0), blobs()), blobs()
    assert list(got) == ["unmix", "mix", "global", "local", "prior"]
    pce = losses("unet_pce", 3, Pointwise(3, 1.0), batch)["pce"]
    assert got["unmix"].item() == pytest.approx(pce.item())
    assert got["prior"].item() == 0


def test_islands_are_told_that_they_are_background() -> None:
    sharp = Pointwise(3, 30.0)
    assert terms(sharp, blobs())["local"].item() == pytest.approx(0, abs=1e-5)
    unlabelled = (blobs().target[0] == U).sum().item()
    # four pixels of the island are 30 nats sure of class 1
    assert terms(sharp, blobs(island=True))["local"].item() == pytest.approx(4 * 30 / unlabelled, rel=1e-3)


def test_the_prior_leaves_sure_and_compact_predictions_alone() -> None:
    assert terms(Pointwise(3, 30.0), blobs(step=600))["prior"].item() == pytest.approx(0, abs=1e-5)


def test_the_prior_excludes_lone_pixels_first() -> None:
    """As likely as the square's pixels, but without neighbours: this one is excluded from class 1."""
    batch = blobs(step=600)
    logits = Pointwise(3, 30.0)(batch.image).detach()
    doubt = torch.tensor([0.45, 0.5, 0.05]).log()
    logits[:, :, 28, 4] = doubt
    logits[:, :, 9, 9] = doubt
    net = Logits(logits)
    got = terms(net, batch, em_iterations=1)["prior"]
    assert got.item() > 0
    got.backward()
    assert net.logits.grad[0, 1, 28, 4] > 0
    assert net.logits.grad[0, 1, 9, 9] <= 0


def test_the_mixed_cross_entropy_counts_each_pixel_by_its_labelled_share() -> None:
    """Second image's share 1/4. Left pixel: the first image alone labels it, so 3/4 of 3/4; right: both."""
    method = methods.create("zscribbleseg", {}, 2, "test")
    targets = torch.tensor([[[0, 0]]]), torch.tensor([[[U, 0]]])
    ratio, scores = torch.full((1, 1, 2), 0.25), torch.full((1, 2, 1, 2), 0.5)
    mix = SimpleNamespace(ratio=ratio, labels=lambda target: targets, scores=lambda scores: scores)
    view = MixedView(mix, torch.zeros(1, 2, 1, 2), torch.ones(1, 1, 2, dtype=torch.bool))
    got = method._mixed_terms(view, targets[0], scores)
    assert got["mix"].item() == pytest.approx((0.75 * 0.75 + 1) * log(2) / 2)
    assert got["global"].item() == pytest.approx(0, abs=1e-6)


def test_transport_is_off_as_in_the_authors_code() -> None:
    config = methods.load("zscribbleseg").Config()
    assert not config.puzzle.transport
    assert (config.weight_global, config.reduction) == (0.05, "pixels")
