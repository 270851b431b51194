"""HELPNet: views agree for a pointwise network; the surest view leads the ensemble."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Logits, Pointwise, batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.methods.helpnet import ensemble, recolour

U = UNLABELLED
GREY = {"recolour": 0.0}


def batch() -> Batch:
    image = torch.zeros(2, 1, 16, 16)
    image[:, :, 4:10, 4:10] = 1
    target = torch.full((2, 16, 16), U)
    target[:, 6, 4:10], target[:, 12, :] = 1, 0
    return batch_of(image, target)


def terms(net: torch.nn.Module, data: Batch, **config: object) -> dict[str, torch.Tensor]:
    return losses("helpnet", 2, net, data, **config)


def test_a_pointwise_network_predicts_shuffled_images_alike() -> None:
    got = terms(Pointwise(2, 20.0), batch(), **GREY)
    assert list(got) == ["pce", "consistency", "pseudo", "integrity"]
    assert {name: value.item() for name, value in got.items()} == pytest.approx(
        dict.fromkeys(got, 0), abs=1e-4
    )


def test_scribbles_weigh_2_2_over_all_pixels() -> None:
    uniform = Logits(torch.zeros(2, 2, 16, 16))
    share = (batch().target != U).float().mean().item()
    assert terms(uniform, batch())["pce"].item() == pytest.approx(2.2 * log(2) * share)


def test_a_prediction_that_stays_in_place_disagrees_with_shuffled_ones() -> None:
    logits = torch.zeros(2, 2, 16, 16)
    logits[:, 1, :8] = 50
    logits[:, 0, 8:] = 50
    got = terms(Logits(logits), batch())
    assert got["consistency"].item() > 0.05
    assert got["pseudo"].item() > 0.01


def test_the_fine_view_agrees_with_a_third_of_the_coarse_ones_weight() -> None:
    logits = torch.zeros(2, 2, 16, 16)
    logits[:, 1, :8] = 50
    net = Logits(logits)
    coarse, fine = (
        terms(net, batch(), weights_consistency=weights)["consistency"].item()
        for weights in ((1.0, 0.0), (0.0, 1.0))
    )
    assert terms(net, batch())["consistency"].item() == pytest.approx(0.3 * coarse + 0.1 * fine)
    assert fine > 0


def test_islands_break_the_integrity() -> None:
    data = batch()
    data.image[:, :, 14:, 14:] = 1
    assert terms(Pointwise(2, 40.0), data, **GREY)["integrity"].item() == pytest.approx(
        0.3 * 4 / 256, rel=1e-3
    )


def test_ensemble_weighs_by_entropy_in_bits() -> None:
    views = torch.tensor([[0.5, 0.5], [1.0, 0.0]])[:, None, :, None, None]
    weight = 1 / (1 + 2**-1)  # of the sure view: 1 bit of difference at temperature 1 / log 2
    got = ensemble(views, 1 / log(2))
    assert got[0, 0].item() == pytest.approx(0.5 * (1 - weight) + weight)


def test_recolour_keeps_range_and_order() -> None:
    image = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 - 1
    got = recolour(image, 0.7, torch.Generator().manual_seed(1))
    low, high = (f(image, dim=(1, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    assert ((got >= low - 1e-6) & (got <= high + 1e-6)).all()
    assert (got.flatten(1).gather(1, image.flatten(1).argsort()).diff() >= -1e-6).all()
    assert (got - image).abs().mean() > 0.1
    assert torch.allclose(recolour(image, 0.0, torch.Generator()), image, atol=1e-6)
