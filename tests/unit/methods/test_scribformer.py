"""ScribFormer: three branches of one network, a mean prediction, and maps that agree."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from nets import batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.methods.scribformer import consistency
from cyclemix.networks.scribformer import ScribFormer, gauss


def batch() -> Batch:
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    target = torch.full((2, 32, 32), UNLABELLED)
    target[:, 4], target[:, 16] = 0, 1
    return batch_of(image, target)


@pytest.mark.parametrize(("levels", "shape"), [(2, (16, 16)), (3, (18, 21)), (5, (32, 48))])
def test_any_size_gives_one_map_or_two_and_activations(levels: int, shape: tuple[int, int]) -> None:
    net = ScribFormer(3, base_filters=4, levels=levels)
    image, cell = torch.randn(2, 1, *shape), 2 ** (levels - 1)
    first, second, maps = net.train()(image)
    assert first.shape == second.shape == (2, 3, *shape)
    assert [tuple(x.shape) for x in maps] == [(2, 3, -(-shape[0] // cell), -(-shape[1] // cell))] * levels
    assert all((x >= 0).all() for x in maps)
    assert net.eval()(image).shape == (2, 3, *shape)


def test_it_has_13_1_million_parameters() -> None:
    assert sum(p.numel() for p in ScribFormer(4).parameters()) == pytest.approx(13.1e6, rel=0.01)


def test_tokens_see_the_whole_image() -> None:
    """A change in one corner moves the tokens' prediction in the opposite one."""
    net = ScribFormer(3, base_filters=4, levels=3)
    net.train()(torch.randn(4, 1, 64, 64))
    net.eval()
    image = torch.zeros(1, 1, 64, 64, requires_grad=True)
    _, tokens = net.couple(image)
    tokens[0, :, -1, -1].sum().backward()
    assert image.grad[0, 0, :4, :4].abs().sum() > 0


def test_prediction_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    net = ScribFormer(3, base_filters=4, levels=3).eval()
    image = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(net(image)[:1], net(image[:1]), atol=1e-5)


def test_gauss_is_the_normal_density() -> None:
    attention = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)  # mean 2, standard deviation 1
    density = (2 * torch.pi) ** -0.5
    expected = [density * exp(-0.5), density, density * exp(-0.5)]
    assert gauss(attention).tolist() == pytest.approx(expected)


def test_consistency_by_hand_and_its_gradient() -> None:
    """Sigmoid of 0 is 1/2 for both classes: cross-entropy log 2 per unit of target."""
    zero = torch.zeros(1, 2, 1, 1)
    deepest = torch.tensor([log(3), -log(3)])[None, :, None, None].requires_grad_()  # sigmoids 3/4 and 1/4
    maps = [zero.clone().requires_grad_(), zero.clone().requires_grad_(), deepest]
    loss = consistency(maps)
    assert loss.item() == pytest.approx((1 / 2 + 1) * log(2) / 2)
    loss.backward()
    # - (1/2 + 1) / 2 log softmax of equal logits, through the sigmoid's slope 3/16
    assert deepest.grad.flatten().tolist() == pytest.approx([0.75 * log(2) * 3 / 16] * 2)
    assert maps[1].grad[0, 0] < 0 < maps[1].grad[0, 1]
    assert torch.allclose(maps[1].grad, 2 * maps[0].grad)


def test_terms_and_what_they_reach() -> None:
    net = ScribFormer(3, base_filters=4, levels=3).train()
    terms = losses("scribformer", 3, net, batch())
    assert list(terms) == ["pce", "pseudo", "acam"]
    sum(terms.values()).backward()
    for name, part in net.named_children():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters()), name
