"""What is particular to the Gated CRF loss: the window, its scale, and who is left out."""

from __future__ import annotations

from math import exp

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.ops.augment import IDENTITY, SpatialTransform


def crf(image: torch.Tensor, transform: SpatialTransform = IDENTITY, **config: float) -> torch.Tensor:
    target = torch.full((len(image), *image.shape[2:]), UNLABELLED)
    batch = batch_of(image, target, transform=transform)
    terms = losses("gated_crf", 2, Fixed(per_class(0.5, 0.5)), batch, **config)
    assert list(terms) == ["pce", "crf"]
    return terms["crf"]


def test_three_pixels_by_hand() -> None:
    """Window of one pixel: two pairs of neighbours in both orders; s_i . s_j = 1/2."""
    image = torch.tensor([[[[0.0, 2.0, 1.0]]]])  # grey values 0, 1, 1/2
    got = crf(image, radius_mm=1 * PX, sigma_xy_mm=1.0 * PX, sigma_intensity=0.5)
    weights = exp(-0.5) * exp(-0.5 * 4) + exp(-0.5) * exp(-0.5 * 1)
    assert got.item() == pytest.approx(0.1 * 2 * 0.5 * weights / 3)


def test_the_window_ends_at_its_radius() -> None:
    flat = torch.zeros(1, 1, 1, 9)
    near = crf(flat, radius_mm=1 * PX, sigma_xy_mm=1e6 * PX)
    assert near.item() == pytest.approx(0.1 * 0.5 * 2 * 8 / 9)
    assert crf(flat, radius_mm=2 * PX, sigma_xy_mm=1e6 * PX).item() == pytest.approx(
        0.1 * 0.5 * 2 * (8 + 7) / 9
    )


def test_pixels_from_outside_the_slice_are_in_no_pair() -> None:
    flat, where = torch.zeros(1, 1, 1, 9), torch.zeros(1, 1, 9, 2)
    where[:, :, 2:] = 5.0  # the first two pixels alone are of the slice
    got = crf(flat, SpatialTransform(where), radius_mm=5 * PX, sigma_xy_mm=1e6 * PX)
    assert got.item() == pytest.approx(0.1 * 0.5 * 2 / 9)


def test_defaults_are_those_of_wsl4mis() -> None:
    method = methods.create("gated_crf", {}, 2, "test")
    assert method.pixels == {"radius_px": 5, "sigma_xy_px": 6}
    assert (method.config.sigma_intensity, method.config.weight_crf) == (0.1, 0.1)
