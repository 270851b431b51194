"""What is particular to the dense-CRF loss: its scale, and who is left out."""

from __future__ import annotations

from math import exp

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.ops.augment import SpatialTransform


def crf(
    image: torch.Tensor, transform: SpatialTransform, spacing_mm: float = PX, **config: float
) -> torch.Tensor:
    target = torch.full((len(image), *image.shape[2:]), UNLABELLED)
    target[:, 0, 0] = 0
    method = methods.create("unet_crf", config, 2, "test", spacing_mm)
    batch = batch_of(image, target, transform=transform)
    terms = method.losses(Fixed(per_class(0.5, 0.5)), batch, torch.Generator())
    assert list(terms) == ["pce", "crf"]
    return terms["crf"]


def test_two_pixels_by_hand() -> None:
    """s_i . s_j = 1/2 in every pair; two pairs of a pixel with itself, two of neighbours."""
    image = torch.tensor([[[[3.0, 5.0]]]])  # the whole range: grey values 0 and 1
    settings = {"weight_crf": 2.0, "field_mm": PX, "sigma_xy_mm": PX, "sigma_intensity": 1.0}
    got = crf(image, SpatialTransform(None), **settings)
    neighbours = exp(-0.5) * exp(-0.5)  # distance 1 px = one deviation; grey value likewise
    area = 2  # of the slice, in squares of field_mm
    assert got.item() == pytest.approx(2 * area * (2 * 0.5 + 2 * 0.5 * neighbours) / 4)


def test_the_default_weight_is_the_official_balance_of_energy_and_cross_entropy() -> None:
    """2e-9 per pair of 256 x 256 pixels, and a cross-entropy divided by its batch of 12 once too often."""
    config = methods.load("unet_crf").Config()
    assert config.weight_crf == pytest.approx(12 * 2e-9 * 256**4, rel=1e-3)  # 103.08


def test_the_weight_does_not_depend_on_the_batch() -> None:
    image = torch.tensor([[[[3.0, 5.0]]]])
    one, two = (crf(image.expand(n, 1, 1, 2), SpatialTransform(None)).item() for n in (1, 2))
    assert two == pytest.approx(one)


def test_lengths_are_millimetres() -> None:
    """A picture in pixels of half the size has the same energy."""
    coarse = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    fine = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    energies = [
        crf(image, SpatialTransform(None), spacing_mm, longest_px=8).item()
        for image, spacing_mm in ((coarse, PX), (fine, PX / 2))
    ]
    assert energies[1] == pytest.approx(energies[0], rel=1e-4)


def test_on_the_papers_crop_the_deviation_is_that_of_the_official_crop() -> None:
    method = methods.create("unet_crf", {}, 2, "test", 1.36719)
    assert method.pixels["field_px"] == 212
    assert method.pixels["sigma_xy_px"] / 4 == pytest.approx(100 / 513 * 53, rel=2e-5)  # 53 px are summed


@pytest.mark.parametrize("side", [4, 8])
def test_a_pixels_energy_does_not_depend_on_the_crop(side: int) -> None:
    """A kernel so narrow that each pixel of 100 mm meets itself alone: 1/2 a pixel, in a crop of any size."""
    settings = {"sigma_xy_mm": 2.0, "field_mm": 1000.0}
    got = crf(torch.zeros(1, 1, side, side), SpatialTransform(None), 100.0, **settings)
    assert got.item() == pytest.approx(103 * 0.5 / 10**2)


def test_pixels_from_outside_the_slice_are_in_no_pair() -> None:
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    beyond = torch.full((1, 8, 8, 2), 5.0)
    assert crf(image, SpatialTransform(beyond)).item() == 0
    beyond[:, 3, 3] = 0.0
    assert crf(image, SpatialTransform(beyond)).item() == pytest.approx(
        103 * 0.5 / 64 / 212**2
    )  # one pixel with itself


def test_a_scribble_spreads_to_what_looks_alike() -> None:
    """Scores of unlabelled pixels are pulled to the class of the sure pixel that has their grey value."""
    image = torch.tensor([[[[0.0, 0.0, 1.0]]]])
    sure = torch.tensor([[0.98, 0.02], [0.5, 0.5], [0.5, 0.5]]).T[None, :, None]
    net = Fixed(sure)
    batch = batch_of(image, torch.full((1, 1, 3), UNLABELLED))
    losses("unet_crf", 2, net, batch)["crf"].backward()
    pull = -net.logits.grad[0, 0, 0]
    assert pull[1] > 100 * pull[2].abs()
