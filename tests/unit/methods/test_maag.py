"""MAAG: gates at every scale, a discriminator that sees them, scribbles that weigh as much as the game."""

from __future__ import annotations

from math import log

import pytest
import torch

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch, Method, Slices
from cyclemix.networks.unet_attention import AttentionUNet, Gate
from cyclemix.ops.losses import balanced_cross_entropy

CLASSES, SIDE = 4, 16


def create(**config: object) -> tuple[Method, AttentionUNet, torch.nn.Module]:
    torch.manual_seed(0)
    method = methods.create("maag", {"filters": 2, **config}, CLASSES, "test")
    net = AttentionUNet(CLASSES, base_filters=4, levels=3)
    slices = Slices(torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE), ["a"])
    return method, net, method.modules(net, slices)["discriminator"]


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    target = torch.full((3, SIDE, SIDE), UNLABELLED)
    target[:, 4:8, 4:8], target[:, 0] = 1, 0
    masks = torch.randint(0, CLASSES, (3, SIDE, SIDE), generator=generator)
    return Batch(torch.randn(3, 1, SIDE, SIDE, generator=generator), target, 0, torch.arange(3), masks=masks)


def losses(method: Method, net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return method.losses(net, batch(), torch.Generator().manual_seed(0))


def gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize("shape", [(32, 32), (33, 47)])
def test_network_predicts_at_every_scale_in_training_alone(shape: tuple[int, int]) -> None:
    net, image = AttentionUNet(CLASSES, base_filters=4, levels=5), torch.zeros(2, 1, *shape)
    maps = net(image)
    assert len(maps) == net.scales == 4
    for scale, logits in enumerate(maps):
        assert logits.shape == (2, CLASSES, *(-(-side // 2**scale) for side in shape))
    assert net.eval()(image).shape == (2, CLASSES, *shape)


def test_a_gate_that_sees_background_alone_lets_nothing_pass() -> None:
    gate = Gate(2, 3, CLASSES).eval()
    torch.nn.init.zeros_(gate.segment.weight)
    features = torch.randn(1, 2, 8, 8)
    passed = {}
    for background in (0.0, 50.0):
        with torch.no_grad():
            gate.segment.bias.copy_(torch.tensor([background, 0, 0, 0]))
            passed[background] = gate(features)[0]
    assert passed[50.0].abs().max() < 1e-12
    torch.testing.assert_close(passed[0.0], gate.second(gate.first(features)) * 0.75)


def test_classes_count_alike_however_long_their_scribbles() -> None:
    """Class 0: three pixels with cross-entropy log 4; class 1: one pixel with log 2 = log(4/2)."""
    logits = torch.zeros(1, CLASSES, 1, 5)
    logits[0, 1, 0, 3] = log(3)  # 3 / (3 + 3): probability 1/2 of class 1
    target = torch.tensor([[[0, 0, 0, 1, UNLABELLED]]])
    assert balanced_cross_entropy(logits, target).item() == pytest.approx((log(4) + log(2)) / 2)
    nothing = torch.full((1, 1, 5), UNLABELLED)
    assert balanced_cross_entropy(logits, nothing).item() == 0


def test_scribbles_weigh_as_much_as_the_game() -> None:
    """The term has the game's value and the direction of the cross-entropy's gradient."""
    method, net, _ = create(instance_noise=0)
    terms = losses(method, net)
    fooling = terms["adversarial"] / 0.2
    assert terms["wpce"].item() == pytest.approx(fooling.item())
    terms["wpce"].backward()
    weighted = torch.cat([g.flatten() for g in gradients(net.head)])
    net.zero_grad()
    plain = balanced_cross_entropy(net(batch().image)[0], batch().target)
    plain.backward()
    expected = torch.cat([g.flatten() for g in gradients(net.head)]) * (fooling / plain).detach()
    torch.testing.assert_close(weighted, expected)


@pytest.mark.parametrize(
    ("term", "reached"), [("wpce", "net"), ("adversarial", "net"), ("discriminator", "discriminator")]
)
def test_each_term_reaches_one_part(term: str, reached: str) -> None:
    method, net, discriminator = create()
    losses(method, net)[term].backward()
    for name, part in (("net", net), ("discriminator", discriminator)):
        assert any(g.abs().sum() > 0 for g in gradients(part)) == (name == reached)


def test_the_game_reaches_the_gates() -> None:
    """Coarse gates have no other supervision than being part of the network and the game."""
    method, net, _ = create()
    losses(method, net)["adversarial"].backward()
    assert net.merge[1].segment.weight.grad.abs().sum() > 0
