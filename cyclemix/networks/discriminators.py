"""Discriminators of real versus predicted masks, and their adversarial losses.

Their inputs are maps of the structures without background: one-hot for masks, softmax for predictions. Pixels
outside the image belong to no structure. They compute in float32 under any autocast, because the power
iteration of the spectral norm fails on mixed types.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from cyclemix.config.strict import StrictModel
from cyclemix.ops.precision import full_precision

SQUEEZED = 13
"""Channels between two levels of `MaskDiscriminator` (as in its authors' code)."""

LEVELS = 4
"""Convolutions of `MaskDiscriminator`."""


class AdversarialConfig(StrictModel):
    """Adversarial weight, noise and label swaps; values of the code of Valvano et al. (TMI 2021)."""

    weight_adversarial: float = Field(0.2, ge=0, description="weight of the losses of both networks")
    instance_noise: float = Field(
        0.2, ge=0, description="standard deviation of the noise on the discriminator's inputs"
    )
    label_flips: float = Field(
        0.1, ge=0, lt=0.5, description="probability that the discriminator gets the wrong label"
    )
    filters: int = Field(32, ge=1, description="filters of the discriminator's first convolution")


class MaskDiscriminator(nn.Module):
    """A score for each whole slice, from maps at one or more scales (Valvano et al., TMI 2021).

    Four convolutions of 4x4, the first three with stride 2; the later ones have spectral norm and tanh and
    take the squeezed features of the previous one, and the map of their scale if there is one. The last layer
    is dense over all positions, so the network is built for one image size.

    Deviations: the dense layer averages over positions; there it sums. One step of Adam changes each of its
    about 300 000 weights by the same amount; with a sum the score would change by far more than the
    difference of the labels, at the learning rate of the segmentation network.

    Args:
        structures: channels of the maps.
        height, width: sides of the finest map, pixels, at least 8.
        scales: number of input maps, 1..4, each half as large as the previous one.
        filters: filters of the first convolution; the later ones have 4, 8 and 16 times as many.
    """

    def __init__(self, structures: int, height: int, width: int, scales: int, filters: int = 32) -> None:
        super().__init__()
        if not 1 <= scales <= LEVELS or min(height, width) < 8:
            raise ValueError(
                f"MaskDiscriminator expects 1..{LEVELS} scales and sides of at least 8 px, "
                f"got {scales} scales and {height} x {width} px"
            )
        self.first = nn.Conv2d(structures, filters, 4, stride=2, padding=1)
        self.squeeze, self.blocks = nn.ModuleList(), nn.ModuleList()
        channels = filters
        for level in range(1, LEVELS):
            self.squeeze.append(nn.Conv2d(channels, SQUEEZED, 1))
            seen, channels = SQUEEZED + (structures if level < scales else 0), filters * 2 ** (level + 1)
            last = level == LEVELS - 1
            # The last keeps the size, which needs one more pixel of padding on one side.
            pad = nn.ZeroPad2d((1, 2, 1, 2) if last else 1)
            convolution = spectral_norm(nn.Conv2d(seen, channels, 4, stride=1 if last else 2))
            self.blocks.append(nn.Sequential(pad, convolution))
        self.positions = (height // 8) * (width // 8)
        self.score = nn.Linear(channels * self.positions, 1)
        nn.init.normal_(self.score.weight, std=channels**-0.5)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (B,structures,H/2^i,W/2^i), the finest first, one for each scale -> scores (B,1)."""
        with full_precision(maps[0].device.type):
            features = functional.leaky_relu(self.first(maps[0].float()), 0.2)
            for level, (squeeze, block) in enumerate(zip(self.squeeze, self.blocks, strict=True), start=1):
                seen = squeeze(features).sigmoid()
                if level < len(maps):
                    seen = torch.cat([seen, _resized(maps[level].float(), seen)], dim=1)
                features = block(seen).tanh()
            score: Tensor = self.score(features.flatten(1)) / self.positions
            return score


class PatchDiscriminator(nn.Module):
    """A score for each overlapping patch of 70 px (Isola et al., CVPR 2017, section 6.1.2, PatchGAN).

    4x4 convolutions of 1, 2, 4 and 8 times ``filters`` with leaky ReLU, the first three with stride 2, and
    one more for the score. Deviation: instance norm, independent of other samples, instead of batch norm.

    Args:
        structures: channels of the map.
    """

    def __init__(self, structures: int, filters: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = structures
        for level in range(4):
            wider = filters * 2**level
            layers += [nn.Conv2d(channels, wider, 4, stride=2 if level < 3 else 1, padding=1)]
            layers += [nn.InstanceNorm2d(wider)] if level else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            channels = wider
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, padding=1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """One map (B,structures,H,W), sides of at least 32 px -> scores (B,1,h,w)."""
        with full_precision(maps[0].device.type):
            scores: Tensor = self.layers(maps[0].float())
            return scores


def mask_maps(masks: Tensor, num_classes: int, scales: int = 1) -> list[Tensor]:
    """One-hot maps of masks at several scales, as inputs of a discriminator.

    Args:
        masks: (B,H,W) int64 class values; any other value is no structure.
        num_classes: number of classes, including background.
        scales: number of maps.

    Returns:
        (B,num_classes-1,H/2^i,W/2^i) float32, finest first, the coarser ones by linear interpolation.
    """
    values = torch.arange(1, num_classes, device=masks.device)[:, None, None]
    maps = [(masks[:, None] == values).float()]
    height, width = masks.shape[-2:]
    for scale in range(1, scales):
        size = (-(-height // 2**scale), -(-width // 2**scale))
        maps.append(functional.interpolate(maps[0], size, mode="bilinear", align_corners=False))
    return maps


def adversarial_losses(
    discriminator: nn.Module,
    drawn: list[Tensor],
    predicted: list[Tensor],
    settings: AdversarialConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Least-squares losses of both networks, scalars (Mao et al., ICCV 2017): +1 = drawn, -1 = predicted.

    In one backward pass of their sum each trains only its own network: the first the one that computed
    ``predicted``, the second the discriminator.

    Returns:
        network: mean of (D(predicted) - 1)^2 / 2.
        discriminator: mean of (D(drawn) - 1)^2 / 2 + mean of (D(predicted) + 1)^2 / 2, some labels swapped.
    """
    drawn, predicted = (_noisy(maps, settings.instance_noise, generator) for maps in (drawn, predicted))
    held = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    fooled = torch.func.functional_call(discriminator, held, (predicted,))
    network = (fooled - 1).square().mean() / 2
    of_drawn, of_predicted = discriminator(drawn), discriminator([maps.detach() for maps in predicted])
    swap = torch.rand((2, len(of_drawn)), generator=generator, device=of_drawn.device) < settings.label_flips
    label = (1 - 2 * swap.float()).reshape(2, -1, *[1] * (of_drawn.dim() - 1))
    own = (of_drawn - label[0]).square().mean() / 2 + (of_predicted + label[1]).square().mean() / 2
    return network, own


def _noisy(maps: list[Tensor], deviation: float, generator: torch.Generator) -> list[Tensor]:
    """Gaussian noise on the finest map."""
    noise = torch.randn(maps[0].shape, generator=generator, device=maps[0].device)
    return [maps[0] + deviation * noise, *maps[1:]]


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    """``maps`` at the size of ``like``; odd sides differ by a pixel."""
    if maps.shape[-2:] == like.shape[-2:]:
        return maps
    return functional.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)
