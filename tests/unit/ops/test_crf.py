"""CRF energies and the neighbours' support against sums over all pairs of pixels, written out."""

from __future__ import annotations

from itertools import product
from math import exp

import pytest
import torch

from cyclemix.ops.crf import dense_energy, gated_energy, neighbour_support, shrink

BATCH, CLASSES, HEIGHT, WIDTH = 2, 3, 4, 5
SIGMA_XY, SIGMA_GREY = 2.0, 0.3


@pytest.fixture
def field() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores that ask for a gradient, an image, and a mask with holes."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, CLASSES, HEIGHT, WIDTH, generator=generator)
    image = torch.rand(BATCH, 1, HEIGHT, WIDTH, generator=generator)
    inside = torch.rand(BATCH, HEIGHT, WIDTH, generator=generator) > 0.2
    return logits.softmax(1).requires_grad_(), image, inside


def kernel(image: torch.Tensor, radius: int) -> torch.Tensor:
    """W (B,HW,HW) of all ordered pairs within ``radius`` along both axes, 1 for a pixel with itself."""
    pixels = list(product(range(HEIGHT), range(WIDTH)))
    weights = torch.zeros(BATCH, len(pixels), len(pixels))
    for number, (i, (y, x)), (j, (v, u)) in product(range(BATCH), enumerate(pixels), enumerate(pixels)):
        if max(abs(y - v), abs(x - u)) <= radius:
            grey = (image[number, 0, y, x] - image[number, 0, v, u]).item()
            weights[number, i, j] = exp(
                -((y - v) ** 2 + (x - u) ** 2) / (2 * SIGMA_XY**2) - grey**2 / (2 * SIGMA_GREY**2)
            )
    return weights


def energy(scores: torch.Tensor, inside: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum over slices and pairs of pixels inside of W_ij (1 - s_i . s_j)."""
    flat, shown = scores.flatten(2), inside.flatten(1).float()
    return (weights * (1 - flat.mT @ flat) * shown[:, None] * shown[:, :, None]).sum()


def assert_same(got: torch.Tensor, expected: torch.Tensor, scores: torch.Tensor) -> None:
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    slopes = [torch.autograd.grad(value, scores, retain_graph=True)[0] for value in (got, expected)]
    # Only differences of scores matter to a softmax: what all classes share is no part of the gradient.
    torch.testing.assert_close(*(slope - slope.mean(1, keepdim=True) for slope in slopes))


def test_dense_energy_and_gradient_are_those_of_the_double_loop(field) -> None:
    scores, image, inside = field
    expected = energy(scores, inside, kernel(image, radius=9)) / (BATCH * (HEIGHT * WIDTH) ** 2)
    assert_same(dense_energy(scores, image, inside, SIGMA_XY, SIGMA_GREY), expected, scores)


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_gated_energy_and_gradient_are_those_of_the_double_loop(field, radius: int) -> None:
    scores, image, inside = field
    others = kernel(image, radius) * (1 - torch.eye(HEIGHT * WIDTH))
    expected = energy(scores, inside, others) / (BATCH * HEIGHT * WIDTH)
    assert_same(gated_energy(scores, image, inside, radius, SIGMA_XY, SIGMA_GREY), expected, scores)


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_support_is_that_of_the_double_loop(field, radius: int) -> None:
    scores, image, _ = field
    others = kernel(image, radius) * (1 - torch.eye(HEIGHT * WIDTH))
    expected = (scores.detach().flatten(2) @ others.mT).reshape(scores.shape)
    got = neighbour_support(scores, image, radius, SIGMA_XY, SIGMA_GREY)
    assert not got.requires_grad
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=0)


def test_one_sure_class_costs_nothing(field) -> None:
    _, image, inside = field
    scores = torch.zeros(BATCH, CLASSES, HEIGHT, WIDTH)
    scores[:, 1] = 1
    assert dense_energy(scores, image, inside, SIGMA_XY, SIGMA_GREY).item() == pytest.approx(0, abs=1e-6)
    assert gated_energy(scores, image, inside, 2, SIGMA_XY, SIGMA_GREY).item() == pytest.approx(0, abs=1e-6)


def test_a_border_costs_less_where_the_image_has_one() -> None:
    scores = torch.zeros(1, 2, 6, 6)
    scores[:, 0, :, :3], scores[:, 1, :, 3:] = 1, 1
    along, across = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    along[..., 3:], across[..., 3:, :] = 1, 1
    inside = torch.ones(1, 6, 6, dtype=torch.bool)
    for energy in (
        lambda image: dense_energy(scores, image, inside, 2.0, 0.1),
        lambda image: gated_energy(scores, image, inside, 2, 2.0, 0.1),
    ):
        assert energy(along).item() == pytest.approx(0, abs=1e-6)
        assert energy(across).item() > 0.01


def test_shrink_averages_by_a_whole_number() -> None:
    values = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert torch.equal(shrink(values, 6), values)
    assert shrink(values, 3).tolist() == [[[[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]]]
    assert shrink(torch.zeros(1, 1, 212, 212), 64).shape[-2:] == (53, 53)
    assert shrink(torch.zeros(1, 1, 65, 30), 64).shape[-2:] == (33, 15)
