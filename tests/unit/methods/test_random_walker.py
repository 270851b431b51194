"""Grown scribbles: where they may go, what they keep, and that they move with the image."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, per_class

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Augmentation
from cyclemix.methods.base import Batch, Slices
from cyclemix.methods.random_walker import blank_incomplete, grow
from cyclemix.ops.augment import draw_transform
from cyclemix.ops.frame import image_frame

SIDE = 16
UNIFORM = Fixed(per_class(1 / 3, 1 / 3, 1 / 3))


def two_halves() -> tuple[torch.Tensor, torch.Tensor]:
    """A dark left half with a dot of background, a bright one with a dot of class 1; two rows padded."""
    image = torch.full((1, 1, SIDE, SIDE), -1.0)
    image[..., SIDE // 2 :] = 2.0
    image[:, :, :2] = 0.0
    scribbles = torch.full((1, SIDE, SIDE), UNLABELLED)
    scribbles[0, 8, 2], scribbles[0, 8, 13] = 0, 1
    return image, scribbles


def test_the_frame_leaves_padding_out() -> None:
    image, _ = two_halves()
    image[0, 0, 5, 5] = 0.0  # a dark pixel within is image
    inside = image_frame(image)
    assert inside[0, 2:].all()
    assert not inside[0, :2].any()


def test_each_half_gets_its_scribble_and_padding_gets_nothing() -> None:
    image, scribbles = two_halves()
    labels = grow(image, scribbles, 3, beta=100.0, confidence=0.8)[0]
    assert (labels[2:, : SIDE // 2] == 0).all()
    assert (labels[2:, SIDE // 2 :] == 1).all()
    assert (labels[:2] == UNLABELLED).all()


def test_what_is_not_sure_stays_unlabelled() -> None:
    """No edge to hold them: halfway between the two dots neither wins with 0.8."""
    image, scribbles = two_halves()
    image[:, :, 2:] = torch.linspace(1, 1.001, SIDE)
    labels = grow(image, scribbles, 3, beta=1e-6, confidence=0.8)[0]
    assert (labels[8, 2].item(), labels[8, 13].item()) == (0, 1)
    assert (labels[:, SIDE // 2] == UNLABELLED).all()
    assert (grow(image, scribbles, 3, beta=1e-6, confidence=0.0)[0, 2:] != UNLABELLED).all()


@pytest.mark.parametrize("only", [0, 1])
def test_a_slice_that_names_one_side_alone_keeps_its_scribbles(only: int) -> None:
    image, scribbles = two_halves()
    scribbles[scribbles != only] = UNLABELLED
    assert torch.equal(grow(image, scribbles, 3, beta=100.0, confidence=0.0), scribbles)


def test_grown_labels_are_trained_on_and_move_with_the_image() -> None:
    image, scribbles = two_halves()
    method = methods.create("random_walker", {}, 3, "test")
    slices = Slices(image, scribbles.to(torch.uint8), ["a"])
    labels = method.modules(UNIFORM, slices)["labels"].values
    transform = draw_transform(scribbles, Augmentation(), torch.Generator().manual_seed(1))
    nowhere = torch.full_like(scribbles, UNLABELLED)

    class Reader(torch.nn.Module):
        """Sure of the label that the moved image shows: no loss only if the labels moved alike."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            bright = (image > 0.5).float() * 100
            return torch.cat([-bright, bright - 50, -100 + 0 * bright], dim=1)

    batch = Batch(transform.image(image), nowhere, 0, torch.tensor([0]), transform)
    terms = method.losses(Reader(), batch, torch.Generator())
    assert set(terms) == {"ce"}
    moved = transform.labels(labels.long())
    edge = torch.nn.functional.max_pool2d((moved == 1)[:, None].float(), 3, 1, 1)[:, 0] != (moved == 1)
    assert terms["ce"].item() <= 100 * edge.sum().item() / (moved != UNLABELLED).sum().item()
    still = Batch(image, nowhere, 0, torch.tensor([0]))
    assert method.losses(UNIFORM, still, torch.Generator())["ce"].item() == pytest.approx(log(3))


def test_a_slice_that_lacks_a_structure_becomes_background_as_in_wsl4mis() -> None:
    scribbles = torch.tensor([[[0, 1, 2]], [[0, 1, UNLABELLED]]])
    grown = torch.tensor([[[0, 1, 2]], [[0, 1, 1]]])
    inside = torch.tensor([[[True, True, True]], [[True, True, False]]])
    got = blank_incomplete(grown, scribbles, inside, 3)
    assert got.tolist() == [[[0, 1, 2]], [[0, 0, UNLABELLED]]]


def test_the_dense_row_takes_the_mean_of_cross_entropy_and_dice_on_every_pixel() -> None:
    """Scores of 1/3: cross-entropy log 3; Dice of class c with n_c of N pixels 2 n_c/3 over N/9 + n_c."""
    image, scribbles = two_halves()
    scribbles[0, 9, 13] = 2
    config = {"confidence": 0.0, "incomplete": "background", "dice_share": 0.5}
    method = methods.create("random_walker", config, 3, "test")
    method.modules(UNIFORM, Slices(image, scribbles.to(torch.uint8), ["a"]))
    labels = method.labels.values.long()
    assert (labels[0, 2:] != UNLABELLED).all()
    got = method.losses(UNIFORM, Batch(image, scribbles, 0, torch.tensor([0])), torch.Generator())
    counts = [(labels == value).sum().item() for value in range(3)]
    total = sum(counts)
    dice = sum(1 - (2 * n / 3) / (total / 9 + n) for n in counts) / 3
    assert got["ce"].item() == pytest.approx(log(3) / 2)
    assert got["dice"].item() == pytest.approx(dice / 2, rel=1e-4)
