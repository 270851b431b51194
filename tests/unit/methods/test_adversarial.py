"""UNet_D, ACCL and MAAG: scribbles teach the network, masks the discriminator, through one backward pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method, Slices
from cyclemix.networks.unet import UNet
from cyclemix.networks.unet_attention import AttentionUNet
from cyclemix.ops.losses import balanced_cross_entropy

CLASSES, SIDE = 4, 32

SUPERVISED = {"unet_d": "pce", "accl": "pce", "maag": "wpce"}
"""The term of the scribbles, by method."""

every_method = pytest.mark.parametrize("name", SUPERVISED)


def create(name: str, **config: object) -> tuple[Method, torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    method = methods.create(name, {"filters": 2, **config}, CLASSES, "test")
    net = (AttentionUNet if name == "maag" else UNet)(CLASSES, base_filters=4, levels=3)
    slices = Slices(torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), ["a"])
    return method, net, method.modules(net, slices)["discriminator"]


def batch(labelled: bool = True) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(3, 1, SIDE, SIDE, generator=generator)
    target = torch.full((3, SIDE, SIDE), UNLABELLED)
    if labelled:
        target[:, 4:8, 4:8], target[:, 0] = 1, 0
    masks = torch.randint(0, CLASSES, (3, SIDE, SIDE), generator=generator)
    return Batch(image, target, 0, torch.arange(3), masks=masks)


def losses(method: Method, net: torch.nn.Module, labelled: bool = True) -> dict[str, torch.Tensor]:
    return method.losses(net, batch(labelled), torch.Generator().manual_seed(0))


def graded(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


@every_method
@pytest.mark.parametrize(
    ("term", "reached"), [("supervised", "net"), ("adversarial", "net"), ("discriminator", "discriminator")]
)
def test_each_term_reaches_one_part(name: str, term: str, reached: str) -> None:
    method, net, discriminator = create(name)
    terms = losses(method, net)
    assert list(terms) == [SUPERVISED[name], "adversarial", "discriminator"]
    terms[SUPERVISED[name] if term == "supervised" else term].backward()
    assert (graded(net), graded(discriminator)) == (reached == "net", reached == "discriminator")


@every_method
def test_unlabelled_slices_still_play(name: str) -> None:
    method, net, _ = create(name)
    terms = losses(method, net, labelled=False)
    assert terms[SUPERVISED[name]].item() == 0
    assert terms["adversarial"].item() > 0


@every_method
def test_the_weight_scales_both_sides(name: str) -> None:
    single, double = (losses(*create(name, weight_adversarial=weight)[:2]) for weight in (0.2, 0.4))
    for term in ("adversarial", "discriminator"):
        assert double[term].item() == pytest.approx(2 * single[term].item())
    assert double[SUPERVISED[name]].item() == single[SUPERVISED[name]].item()


@every_method
def test_without_masks_the_message_says_what_to_set(name: str) -> None:
    method, net, _ = create(name)
    with pytest.raises(ValueError, match=r"got none; set supervision: scribble\+masks"):
        method.losses(net, replace(batch(), masks=None), torch.Generator())


def test_scribbles_weigh_as_much_as_the_game_of_maag() -> None:
    """The term has the game's value and the direction of the cross-entropy's gradient."""
    method, net, _ = create("maag", instance_noise=0)
    terms = losses(method, net)
    fooling = terms["adversarial"] / 0.2
    assert terms["wpce"].item() == pytest.approx(fooling.item())
    terms["wpce"].backward()
    weighted = torch.cat([p.grad.flatten() for p in net.head.parameters()])
    net.zero_grad()
    plain = balanced_cross_entropy(net(batch().image)[0], batch().target)
    plain.backward()
    expected = torch.cat([p.grad.flatten() for p in net.head.parameters()]) * (fooling / plain).detach()
    torch.testing.assert_close(weighted, expected)


def test_the_game_of_maag_reaches_the_gates() -> None:
    """Coarse gates have no other supervision than being part of the network and the game."""
    method, net, _ = create("maag")
    losses(method, net)["adversarial"].backward()
    assert net.merge[1].segment.weight.grad.abs().sum() > 0
