"""UNet_D and ACCL: scribbles teach the network, masks the discriminator, through one backward pass."""

from __future__ import annotations

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method, Slices
from cyclemix.networks.unet import UNet

CLASSES, SIDE = 4, 32


def create(name: str, **config: object) -> tuple[Method, torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    method = methods.create(name, {"filters": 2, **config}, CLASSES, "test")
    net = UNet(CLASSES, base_filters=4, levels=2)
    slices = Slices(torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), ["a"])
    return method, net, method.modules(net, slices)["discriminator"]


def batch(labelled: bool = True) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(3, 1, SIDE, SIDE, generator=generator)
    target = torch.full((3, SIDE, SIDE), UNLABELLED)
    if labelled:
        target[:, 4:8, 4:8] = 1
    masks = torch.randint(0, CLASSES, (3, SIDE, SIDE), generator=generator)
    return Batch(image, target, 0, torch.arange(3), masks=masks)


def losses(method: Method, net: torch.nn.Module, labelled: bool = True) -> dict[str, torch.Tensor]:
    return method.losses(net, batch(labelled), torch.Generator().manual_seed(0))


def graded(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


@pytest.mark.parametrize("name", ["unet_d", "accl"])
@pytest.mark.parametrize(
    ("term", "reached"), [("pce", "net"), ("adversarial", "net"), ("discriminator", "discriminator")]
)
def test_each_term_reaches_one_part(name: str, term: str, reached: str) -> None:
    method, net, discriminator = create(name)
    terms = losses(method, net)
    assert set(terms) == {"pce", "adversarial", "discriminator"}
    terms[term].backward()
    assert (graded(net), graded(discriminator)) == (reached == "net", reached == "discriminator")


@pytest.mark.parametrize("name", ["unet_d", "accl"])
def test_unlabelled_slices_still_play(name: str) -> None:
    method, net, _ = create(name)
    terms = losses(method, net, labelled=False)
    assert terms["pce"].item() == 0
    assert terms["adversarial"].item() > 0


@pytest.mark.parametrize("name", ["unet_d", "accl"])
def test_the_weight_scales_both_sides(name: str) -> None:
    single, double = (losses(*create(name, weight_adversarial=weight)[:2]) for weight in (0.2, 0.4))
    for term in ("adversarial", "discriminator"):
        assert double[term].item() == pytest.approx(2 * single[term].item())
    assert double["pce"].item() == single["pce"].item()
