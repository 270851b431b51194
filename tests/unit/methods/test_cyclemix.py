"""What is particular to CycleMix: image, scribbles, predictions mix alike; a term answers for one thing."""

from __future__ import annotations

import pytest
import torch
from nets import Pointwise, batch_of, losses
from plans import share_moved

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method
from cyclemix.ops.puzzlemix import PuzzleSettings, puzzle_mix

CLASSES = 4
SIDE = 64


def batch(step: int = 0, labelled: float = 1.0) -> Batch:
    """Images of random class numbers, whose labels are those numbers."""
    generator = torch.Generator().manual_seed(step)
    cells = torch.randint(0, CLASSES, (6, SIDE // 4, SIDE // 4), generator=generator)
    target = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
    image = target[:, None].float()
    hidden = torch.rand(target.shape, generator=generator) > labelled
    return batch_of(image, target.masked_fill(hidden, UNLABELLED), step)


def create(**config: object) -> Method:
    return methods.create("cyclemix", config, CLASSES, "test")


def terms(method: Method, data: Batch, net: torch.nn.Module | None = None) -> dict[str, torch.Tensor]:
    return method.losses(net or Pointwise(CLASSES), data, torch.Generator().manual_seed(0))


HARD = {"labels": 2, "label_smoothness": 0.0, "transport_cost": 0.0}
"""Shares of 0 or 1: a mixed pixel is some image's pixel; both images show, and blocks move for free."""


@pytest.mark.parametrize("step", range(4))
def test_scribbles_move_with_the_image(step: int) -> None:
    """A network that knows every pixel has no loss on the mixed image: the labels came along."""
    got = terms(create(puzzle=HARD, rotate=False), batch(step, labelled=0.1))
    assert got["mix"].item() == pytest.approx(got["unmix"].item(), abs=1e-3)
    assert got["mix"].item() < 0.01


@pytest.mark.parametrize("step", range(4))
def test_predictions_move_with_the_image(step: int) -> None:
    """For a network that sees no neighbours, predicting the mix is mixing the predictions."""
    got = terms(create(puzzle=HARD, rotate=False, weight_global=1.0), batch(step))
    assert got["global"].item() == pytest.approx(0, abs=1e-5)


def test_transport_is_at_work_in_these_tests() -> None:
    data, generator = batch(), torch.Generator().manual_seed(0)
    peaked = torch.rand(6, SIDE, SIDE, generator=generator).pow(8)
    for step in range(4):
        mix = puzzle_mix(data.image, peaked, torch.arange(5, -1, -1), step, PuzzleSettings(**HARD), generator)
        assert share_moved(*mix.plans) > 0.2, step
        assert 0.2 < mix.ratio.mean() < 0.8, step


def test_half_shares_are_seen_by_the_consistency() -> None:
    """Half of class 0 and half of class 2 look like class 1 to this network, not like their mix."""
    got = terms(create(puzzle={"labels": 3, "prior": 5.0}, rotate=False, weight_global=1.0), batch())
    assert got["global"].item() > 0.01


def test_rotated_pixels_come_back_to_their_labels() -> None:
    """A rotated image of one class, turned back, fits its labels: what rotation brings in is left out."""
    data = batch_of(batch().image * 0 + 2, torch.full((6, SIDE, SIDE), 2))
    assert terms(create(), data)["mix"].item() < 0.02


def test_local_consistency_is_zero_for_one_sure_blob_and_counts_islands() -> None:
    image = torch.zeros(2, 1, SIDE, SIDE)
    image[:, :, 16:32, 16:32] = 1
    target = torch.full((2, SIDE, SIDE), UNLABELLED)
    target[:, 20, 20], target[:, 0, 0] = 1, 0
    only_local = {"weight_mix": 0, "weight_global": 0, "weight_unmix": 0}
    sure, data = Pointwise(CLASSES, 40.0), batch_of(image, target)
    assert terms(create(**only_local), data, sure)["local"].item() == pytest.approx(0, abs=1e-4)
    image[:, :, 48:52, 48:52] = 1
    islands = 16 / SIDE**2
    assert terms(create(**only_local), data, sure)["local"].item() == pytest.approx(islands, abs=1e-4)


def test_unmixed_term_is_the_partial_cross_entropy() -> None:
    data = batch(labelled=0.3)
    baseline = losses("unet_pce", CLASSES, Pointwise(CLASSES, 1.0), data)
    assert torch.equal(terms(create(), data, Pointwise(CLASSES, 1.0))["unmix"], baseline["pce"])


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, {"unmix", "mix", "global", "local"}),
        ({"weight_local": 0}, {"unmix", "mix", "global"}),
        ({"weight_local": 0, "weight_global": 0}, {"unmix", "mix"}),
        ({"weight_mix": 0, "weight_global": 0}, {"unmix", "local"}),
        ({"weight_mix": 0, "weight_global": 0, "weight_local": 0}, {"unmix"}),
    ],
)
def test_a_weight_of_zero_leaves_the_term_out(weights: dict[str, float], expected: set[str]) -> None:
    assert set(terms(create(**weights), batch())) == expected


def test_weights_scale_their_terms() -> None:
    single, double = (
        terms(create(weight_mix=w, weight_global=w, weight_local=w), batch()) for w in (1.0, 2.0)
    )
    for term in ("mix", "global", "local"):
        assert double[term].item() == pytest.approx(2 * single[term].item())


def test_pixel_reduction_divides_by_all_pixels() -> None:
    data = batch(labelled=0.25)
    labelled, pixels = (
        terms(create(reduction=r), data, Pointwise(CLASSES, 1.0))["unmix"] for r in ("labelled", "pixels")
    )
    fraction = (data.target != UNLABELLED).float().mean()
    assert pixels.item() == pytest.approx((labelled * fraction).item(), rel=1e-5)
