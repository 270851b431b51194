"""Mask discriminators: what they see, who is trained by which side of the game."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cyclemix.config.labels import UNLABELLED
from cyclemix.networks.discriminators import (
    AdversarialConfig,
    MaskDiscriminator,
    PatchDiscriminator,
    adversarial_losses,
    mask_maps,
)

QUIET = AdversarialConfig(instance_noise=0, label_flips=0)


class Sum(nn.Module):
    """The score of a sample is the weighted sum of its finest map."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return self.weight * maps[0].sum(dim=(1, 2, 3))[:, None]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def single(value: float) -> list[torch.Tensor]:
    return [torch.full((1, 1, 1, 1), value, requires_grad=True)]


def test_masks_become_one_map_a_structure_and_nothing_outside() -> None:
    masks = torch.tensor([[[0, 1], [3, UNLABELLED]]])
    (maps,) = mask_maps(masks, 4)
    assert maps.tolist() == [[[[0, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [1, 0]]]]


def test_coarser_maps_hold_the_share_of_the_structure() -> None:
    masks = torch.tensor([[[1, 1, 0, 0], [1, 0, 0, 0]] * 2])
    assert [m.shape[-2:] for m in mask_maps(masks, 2, scales=3)] == [(4, 4), (2, 2), (1, 1)]
    assert mask_maps(masks, 2, scales=2)[1].tolist() == [[[[0.75, 0], [0.75, 0]]]]


def test_the_signs_of_the_game() -> None:
    """Drawn counts as +1, predicted as -1; the network wants its predictions taken for drawn."""
    fooling, telling = adversarial_losses(Sum(), single(1.0), single(-1.0), QUIET, generator())
    assert (fooling.item(), telling.item()) == (2.0, 0.0)
    fooling, telling = adversarial_losses(Sum(), single(-1.0), single(1.0), QUIET, generator())
    assert (fooling.item(), telling.item()) == (0.0, 4.0)
    fooling, telling = adversarial_losses(Sum(0.0), single(0.3), single(0.3), QUIET, generator())
    assert (fooling.item(), telling.item()) == (0.5, 1.0)


def test_each_side_is_trained_by_its_own_loss_alone() -> None:
    discriminator, predicted = Sum(), single(0.5)
    fooling, telling = adversarial_losses(discriminator, single(1.0), predicted, QUIET, generator())
    fooling.backward()
    assert predicted[0].grad.item() == pytest.approx(0.5 - 1)
    assert discriminator.weight.grad is None
    predicted[0].grad = None
    telling.backward()
    assert predicted[0].grad is None
    assert discriminator.weight.grad.item() == pytest.approx((1 - 1) * 1 + (0.5 + 1) * 0.5)


def test_flipped_labels_touch_the_discriminator_alone() -> None:
    """With scores of 0 a flip changes nothing; with scores of +1 and -1 a flipped label costs 2."""
    settings, count = AdversarialConfig(instance_noise=0, label_flips=0.25), 4000
    drawn, predicted = [torch.ones(count, 1, 1, 1)], [-torch.ones(count, 1, 1, 1)]
    fooling, telling = adversarial_losses(Sum(), drawn, predicted, settings, generator())
    assert fooling.item() == 2.0
    assert telling.item() == pytest.approx(2 * 2 * 0.25, abs=0.1)


def test_noise_has_its_standard_deviation_on_the_finest_map() -> None:
    settings = AdversarialConfig(instance_noise=0.2, label_flips=0)
    drawn, predicted = [torch.ones(20000, 1, 1, 1)], [-torch.ones(20000, 1, 1, 1)]
    _, telling = adversarial_losses(Sum(), drawn, predicted, settings, generator())
    assert telling.item() == pytest.approx(0.2**2, rel=0.05)


@pytest.mark.parametrize("scales", [1, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (36, 44)])
def test_mask_discriminator_scores_slices_and_uses_every_scale(scales: int, height: int, width: int) -> None:
    discriminator = MaskDiscriminator(3, height, width, scales, filters=4)
    maps = [m.requires_grad_() for m in mask_maps(torch.randint(0, 4, (2, height, width)), 4, scales)]
    scores = discriminator(maps)
    assert scores.shape == (2, 1)
    scores.sum().backward()
    assert all(m.grad.abs().sum() > 0 for m in maps)


def test_mask_discriminator_names_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match=r"1..4 scales and sides of at least 8 px, got 5 scales and 32 x 32"):
        MaskDiscriminator(3, 32, 32, scales=5)


def test_patch_discriminator_scores_patches() -> None:
    """The convolutions reach 70 px; the statistics of the norm, left out here, are the whole map's."""
    torch.manual_seed(0)
    (maps,) = mask_maps(torch.randint(0, 4, (1, 128, 128)), 4)
    maps.requires_grad_()
    discriminator = PatchDiscriminator(3, filters=4)
    for index, layer in enumerate(discriminator.layers):
        if isinstance(layer, nn.InstanceNorm2d):
            discriminator.layers[index] = nn.Identity()
    scores = discriminator([maps])
    assert scores.shape == (1, 1, 14, 14)
    scores[0, 0, 7, 7].backward()
    rows = maps.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_autocast_does_not_reach_them() -> None:
    maps = mask_maps(torch.randint(0, 4, (2, 32, 32)), 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert MaskDiscriminator(3, 32, 32, 1, filters=4)(maps).dtype == torch.float32
        assert PatchDiscriminator(3, filters=4)(maps).dtype == torch.float32
