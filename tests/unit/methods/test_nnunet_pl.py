"""nnU-Net's partial loss: which outputs, which weights, which labels they are compared with."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Outputs, batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.nnunet_pl import coarser
from cyclemix.networks.unet import UNet
from cyclemix.networks.unet_deep import DeepUNet
from cyclemix.ops.losses import partial_dice

U = UNLABELLED


def test_network_has_outputs_at_all_levels_but_the_coarsest_of_the_decoder() -> None:
    net = DeepUNet(3, base_filters=4, levels=5)
    sizes = [tuple(x.shape[1:]) for x in net.train()(torch.zeros(2, 1, 20, 33))]
    assert sizes == [(3, 20, 33), (3, 10, 17), (3, 5, 9)]


def test_network_is_the_default_one_but_for_the_heads() -> None:
    count = [sum(p.numel() for p in n.parameters()) for n in (DeepUNet(3, 4, 5), UNet(3, 4, 5))]
    assert count[0] - count[1] == (8 * 3 + 3) + (16 * 3 + 3)


def test_coarser_labels_are_the_pixel_next_to_the_cells_centre() -> None:
    target = torch.arange(15).reshape(1, 3, 5)
    assert torch.equal(coarser(target, 0), target)
    assert coarser(target, 1).tolist() == [[[6, 8, U], [U, U, U]]]
    assert coarser(torch.arange(16).reshape(1, 4, 4), 2).tolist() == [[[10]]]


def test_levels_weigh_one_a_half_a_quarter() -> None:
    """Uniform at one level, right and sure at the others: that level's weight times log 2."""
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    for level, weight in enumerate([4 / 7, 2 / 7, 1 / 7]):
        logits = [torch.zeros(1, 2, 8 // 2**i, 8 // 2**i) for i in range(3)]
        for i, x in enumerate(logits):
            x[:, 0] = 0 if i == level else 50
        terms = losses("nnunet_pl", 2, Outputs(*logits), batch_of(torch.zeros(1, 1, 8, 8), target))
        assert list(terms) == ["pce", "dice"]
        assert terms["pce"].item() == pytest.approx(weight * log(2), abs=1e-6)


def test_partial_dice_by_hand() -> None:
    scores = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]).T[None, :, None, :]
    target = torch.tensor([[[0, 1, U]]])
    # class 0: overlap .8, predicted .8 + .4, labelled 1; class 1: overlap .6, predicted .2 + .6, labelled 1
    plain = [1 - 1.6 / 2.2, 1 - 1.2 / 1.8]
    assert partial_dice(scores, target, squared=False, smooth=0).item() == pytest.approx(sum(plain) / 2)
    assert partial_dice(scores, target, squared=False, background=False, smooth=0).item() == pytest.approx(
        plain[1]
    )
    squares = [1 - 1.6 / (0.8 + 1), 1 - 1.2 / (0.4 + 1)]
    assert partial_dice(scores, target, smooth=0).item() == pytest.approx(sum(squares) / 2)


def test_partial_dice_of_an_absent_class_and_of_nothing_labelled() -> None:
    scores = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 2, 2)
    assert partial_dice(scores, torch.zeros(1, 2, 2, dtype=torch.int64)).item() == pytest.approx(0)
    assert partial_dice(scores, torch.full((1, 2, 2), U)).item() == pytest.approx(0)


def test_every_head_learns() -> None:
    net = DeepUNet(3, base_filters=4, levels=5).train()
    target = torch.randint(0, 3, (2, 32, 32), generator=torch.Generator().manual_seed(0))
    terms = losses("nnunet_pl", 3, net, batch_of(torch.randn(2, 1, 32, 32), target))
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters() if p.dim() > 1)
