"""Post-DAE: two networks that train apart and predict one behind the other."""

from __future__ import annotations

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.networks.unet_dae import AutoEncoder, RepairedUNet

CLASSES, SIDE = 4, 16


def net() -> RepairedUNet:
    torch.manual_seed(0)
    return RepairedUNet(CLASSES, base_filters=4, levels=2)


def batch(masks: torch.Tensor | None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    target = torch.full((3, SIDE, SIDE), UNLABELLED)
    target[:, 4:8, 4:8] = 1
    image = torch.randn(3, 1, SIDE, SIDE, generator=generator)
    return Batch(image, target, 0, torch.arange(3), masks=masks)


def masks() -> torch.Tensor:
    return torch.randint(0, CLASSES, (3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))


def graded(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


@pytest.mark.parametrize(("term", "reached"), [("pce", "unet"), ("repair", "repair")])
def test_no_gradient_between_the_two(term: str, reached: str) -> None:
    model, method = net(), methods.create("postdae", {}, CLASSES, "test")
    terms = method.losses(model, batch(masks()), torch.Generator().manual_seed(0))
    assert set(terms) == {"pce", "repair"}
    terms[term].backward()
    assert {name for name in ("unet", "repair") if graded(getattr(model, name))} == {reached}


def test_predictions_are_the_repaired_softmax() -> None:
    model, image = net().eval(), torch.randn(2, 1, SIDE, SIDE)
    with torch.no_grad():
        expected = model.repair(model.unet(image).softmax(1)).softmax(1)
        torch.testing.assert_close(model(image).exp(), expected)


def test_a_code_knows_the_whole_slice() -> None:
    """A change in one corner reaches the opposite one: no convolution here reaches that far."""
    torch.manual_seed(0)
    model, maps = AutoEncoder(CLASSES, levels=2).eval(), torch.rand(1, CLASSES, 64, 64)
    maps.requires_grad_()
    model(maps)[0, :, 63, 63].sum().backward()
    assert maps.grad[0, :, 0, 0].abs().sum() > 0


def test_the_background_is_repaired_too() -> None:
    """A repair that gives every pixel to one structure loses more than one that gives every pixel to none."""
    method = methods.create("postdae", {}, CLASSES, "test")
    given = batch(torch.zeros(3, SIDE, SIDE, dtype=torch.long))
    given.masks[:, 4:6, 4:6] = 1

    def repair(value: int) -> float:
        logits = torch.zeros(3, CLASSES, SIDE, SIDE)
        logits[:, value] = 40
        return method.losses(lambda image, maps: (logits, logits), given, torch.Generator())["repair"].item()

    # Dice losses: 1 - 2*252/(256+252), 1, 0, 0 and 1, 1 - 2*4/(256+4), 0, 0; cross-entropy: 40 where wrong.
    assert repair(0) == pytest.approx((1 - 504 / 508 + 1) / 4 + 40 * 4 / 256, abs=1e-3)
    assert repair(1) == pytest.approx((1 + 1 - 8 / 260) / 4 + 40 * 252 / 256, abs=1e-3)


def test_pixels_outside_a_mask_do_not_count() -> None:
    model, method = (
        net(),
        methods.create("postdae", {"patches": 0, "radius_mm": 0, "jitter_mm": 0}, CLASSES, "t"),
    )
    outside = torch.full((3, SIDE, SIDE), UNLABELLED)
    terms = method.losses(model, batch(outside), torch.Generator().manual_seed(0))
    terms["repair"].backward()
    assert not graded(model.repair)


def test_without_masks_the_message_says_what_to_set() -> None:
    method = methods.create("postdae", {}, CLASSES, "test")
    with pytest.raises(ValueError, match=r"got none; set supervision: scribble\+masks"):
        method.losses(net(), batch(None), torch.Generator())
