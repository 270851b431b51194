"""Shapes, sizes and layers of the networks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from cyclemix.config.models import Recipe
from cyclemix.networks import registry
from cyclemix.networks.registry import build_network
from cyclemix.networks.unet import UpConvolution
from cyclemix.networks.unet_paper import PaperUNet


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_paper_network_has_the_papers_25_76_million_parameters() -> None:
    net = build_network(Recipe(network="unet_paper"), num_classes=4)
    assert isinstance(net, PaperUNet)
    assert parameters(net) == 25_759_396


def test_the_papers_layers_are_those_of_the_released_network() -> None:
    """Convolution, ReLU, batch norm; the last norm of a block, an up-convolution and the logits differ."""
    net = PaperUNet(num_classes=4)
    kinds = [type(layer).__name__ for layer in net.down[0]]
    assert kinds == ["Conv2d", "ReLU", "BatchNorm2d"] * 2
    assert [type(layer).__name__ for layer in net.up[0]] == ["Upsample", "Conv2d", "ReLU", "BatchNorm2d"]
    first, *last = net.down[0][2], net.down[0][5], net.up[0][3], net.head[1]
    assert (first.eps, first.momentum) == (1e-5, 0.1)
    assert {(norm.eps, norm.momentum) for norm in last} == {(1e-3, 0.01)}


def test_default_network_follows_the_recipe() -> None:
    small, large = (build_network(Recipe(base_filters=f, levels=3), 4) for f in (4, 8))
    assert 3.5 < parameters(large) / parameters(small) < 4.1
    assert len(small.down) == 3


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("shape", [(32, 32), (33, 47)])
def test_every_architecture_predicts_one_map_of_the_images_size(name: str, shape: tuple[int, int]) -> None:
    net = build_network(Recipe(network=name, base_filters=4, levels=3), 3).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 1, *shape)).shape == (2, 3, *shape)


@pytest.mark.parametrize("name", registry.names())
def test_the_first_convolution_writes_channels_last(name: str) -> None:
    net = build_network(Recipe(network=name, base_filters=4, levels=3), 3).eval()
    first = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        assert first(torch.zeros(2, 1, 32, 32)).stride(1) == 1


@pytest.mark.parametrize("name", [name for name in registry.names() if name != "unet_paper"])
def test_every_architecture_is_of_the_default_networks_order(name: str) -> None:
    own, default = (parameters(build_network(Recipe(network=n), 4)) for n in (name, "unet"))
    assert 0.9 < own / default < 2


def nested_and_plain(levels: int) -> list[torch.nn.Module]:
    """UNet++ and the default U-Net of 4 filters and 3 classes."""
    recipes = (Recipe(network=n, base_filters=4, levels=levels) for n in ("unet_plusplus", "unet"))
    return [build_network(recipe, 3) for recipe in recipes]


def test_unet_plusplus_adds_its_inner_nodes() -> None:
    """At 3 levels of 4, 8, 16 filters: one node, one upsampling and one more skip than the U-Net."""
    own, plain = nested_and_plain(levels=3)
    node = 9 * 8 * 4 + 9 * 4 * 4 + 4 * 4  # two 3x3 convolutions from 8 channels to 4, two batch norms
    rise = 2 * 2 * 8 * 4 + 4  # a transposed convolution from 8 channels to 4, with bias
    dense = 9 * 4 * 4  # the last node reads 4 more channels
    assert parameters(own) - parameters(plain) == node + rise + dense


def test_unet_plusplus_of_two_levels_is_the_u_net() -> None:
    own, plain = nested_and_plain(levels=2)
    own.load_state_dict(plain.state_dict())
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own.eval()(image), plain.eval()(image))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_up_convolution_is_torchs_transposed_convolution(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    up = UpConvolution(6, 3)
    features = torch.randn(2, 6, 5, 4).to(memory_format=memory_format).requires_grad_()
    expected = functional.conv_transpose2d(features, up.weight, up.bias, stride=2)
    found = up(features)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)
    outer = torch.randn_like(expected)
    inputs = (features, up.weight, up.bias)
    for mine, torchs in zip(
        torch.autograd.grad(found, inputs, outer), torch.autograd.grad(expected, inputs, outer), strict=True
    ):
        torch.testing.assert_close(mine, torchs)
