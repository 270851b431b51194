"""The network of MAAG: gates at every scale."""

from __future__ import annotations

import pytest
import torch

from cyclemix.networks.unet_attention import AttentionUNet, Gate

CLASSES = 4


@pytest.mark.parametrize("shape", [(32, 32), (33, 47)])
def test_network_predicts_at_every_scale_in_training(shape: tuple[int, int]) -> None:
    net, image = AttentionUNet(CLASSES, base_filters=4, levels=5), torch.zeros(2, 1, *shape)
    maps = net(image)
    assert len(maps) == net.scales == 4
    for scale, logits in enumerate(maps):
        assert logits.shape == (2, CLASSES, *(-(-side // 2**scale) for side in shape))


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
