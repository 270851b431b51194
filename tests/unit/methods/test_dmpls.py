"""DMPLS: both decoders learn, one predicts; the pseudo-label is a mix without gradient."""

from __future__ import annotations

import pytest
import torch
from nets import Outputs, batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.networks.unet_dual import DualUNet
from cyclemix.ops.dual import draw_channels, mix

CLASSES = 3


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 1, 20, 16, generator=generator)
    target = torch.full((2, 20, 16), UNLABELLED)
    target[:, 2, :], target[:, 10, :] = 0, 1
    return batch_of(image, target)


def terms(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return losses("dmpls", CLASSES, net, batch(), seed=1)


@pytest.mark.parametrize("shape", [(16, 16), (18, 21)])
def test_network_gives_two_maps_of_the_images_size(shape: tuple[int, int]) -> None:
    net = DualUNet(CLASSES, base_filters=4, levels=3)
    image = torch.zeros(2, 1, *shape)
    assert [x.shape for x in net(image, torch.ones(2, net.channels))] == [(2, CLASSES, *shape)] * 2


def test_dropped_channels_reach_the_first_decoder_alone() -> None:
    net = DualUNet(CLASSES, base_filters=4, levels=3).eval()
    image = torch.randn(1, 1, 16, 16)
    all_first, all_second = net(image, torch.ones(1, net.channels))
    none_first, none_second = net(image, torch.zeros(1, net.channels))
    assert torch.equal(all_first, none_first)
    assert not torch.allclose(all_second, none_second)


def test_channels_are_dropped_with_their_share_and_keep_the_mean() -> None:
    keep = draw_channels(100, 400, 0.25, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert keep.unique().tolist() == pytest.approx([0, 4 / 3])
    assert keep.mean().item() == pytest.approx(1, abs=0.01)


def test_a_mix_lies_between_both_and_has_no_gradient() -> None:
    first = torch.ones(1, 2, 1, 1, requires_grad=True)
    mixed = mix(first, torch.zeros(1, 2, 1, 1), torch.Generator().manual_seed(0))
    assert 0 < mixed[0, 0].item() < 1
    assert mixed[0, 0] == mixed[0, 1]
    assert not mixed.requires_grad


def test_every_part_learns() -> None:
    net = DualUNet(CLASSES, base_filters=4, levels=2)
    got = terms(net)
    assert list(got) == ["pce", "pseudo"]
    sum(got.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters() if p.dim() > 1)


def test_sure_and_agreeing_decoders_have_no_pseudo_loss_and_half_the_weight_in_doubt() -> None:
    sure = torch.zeros(2, CLASSES, 20, 16)
    sure[:, 0] = 50
    assert terms(Outputs(sure, sure))["pseudo"].item() == pytest.approx(0, abs=1e-6)
    # Both say 0.9 / 0.05 / 0.05: the pseudo-label is class 0 everywhere. Class 0: 1 - 1.8 / 1.81; the two
    # others are predicted but not in the label: loss 1. Mean over classes, weight 0.5.
    doubt = torch.tensor([0.9, 0.05, 0.05]).log()[None, :, None, None].expand(2, CLASSES, 20, 16)
    expected = 0.5 * ((1 - 1.8 / 1.81) + 1 + 1) / 3
    assert terms(Outputs(doubt, doubt))["pseudo"].item() == pytest.approx(expected, abs=1e-4)
