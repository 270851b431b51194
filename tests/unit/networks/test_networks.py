"""Shapes and sizes of the two networks."""

from __future__ import annotations

import pytest
import torch

from cyclemix.config.models import Recipe
from cyclemix.networks import registry
from cyclemix.networks.registry import build_network
from cyclemix.networks.unet import UNet
from cyclemix.networks.unet_paper import PaperUNet


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_paper_network_has_the_papers_25_76_million_parameters() -> None:
    net = build_network(Recipe(network="unet_paper"), num_classes=4)
    assert isinstance(net, PaperUNet)
    assert parameters(net) == 25_759_396


@pytest.mark.parametrize("side", [212, 128])
def test_paper_network_returns_the_input_size(side: int) -> None:
    with torch.no_grad():
        assert PaperUNet(num_classes=4).eval()(torch.zeros(1, 1, side, side)).shape == (1, 4, side, side)


@pytest.mark.parametrize("shape", [(64, 64), (52, 60), (33, 47)])
def test_default_network_takes_any_size(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        assert UNet(num_classes=3, base_filters=4).eval()(torch.zeros(2, 1, *shape)).shape == (2, 3, *shape)


def test_default_network_follows_the_recipe() -> None:
    small, large = (build_network(Recipe(base_filters=f, levels=3), 4) for f in (4, 8))
    assert 3.5 < parameters(large) / parameters(small) < 4.1
    assert len(small.down) == 3


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("shape", [(32, 32), (36, 46)])
def test_every_architecture_predicts_one_map_of_the_images_size(name: str, shape: tuple[int, int]) -> None:
    net = build_network(Recipe(network=name, base_filters=4, levels=3), 3).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 1, *shape)).shape == (2, 3, *shape)


@pytest.mark.parametrize("name", [name for name in registry.names() if name != "unet_paper"])
def test_every_architecture_is_of_the_default_networks_order(name: str) -> None:
    own, default = (parameters(build_network(Recipe(network=n), 4)) for n in (name, "unet"))
    assert 0.9 < own / default < 2
