"""The default same-padding U-Net, and parts shared with other networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.models import Recipe


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    """Layers of one 3x3 same-padding convolution with batch norm and leaky ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    ]


class UpConvolution(nn.ConvTranspose2d):
    """Transposed 2x2 convolution of stride 2, as one matrix product: its windows do not overlap.

    In bf16 on CPUs the backward pass takes half the time of torch's transposed convolution
    (benchmarks/NOTES.md).
    """

    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 2, stride=2)

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """(B,in_channels,H,W) -> (B,out_channels,2H,2W), in channels last."""
        batch, _, height, width = features.shape
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)
        quads = functional.linear(features.permute(0, 2, 3, 1), weight, self.bias.repeat(4))
        rows = quads.view(batch, height, width, 2, 2, -1).transpose(2, 3)
        return rows.reshape(batch, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


class Block(nn.Sequential):
    """Two 3x3 same-padding convolutions, each with batch norm and leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(*convolution(in_channels, out_channels), *convolution(out_channels, out_channels))


class UNet(nn.Module):
    """U-Net (Ronneberger 2015) with same padding: strided max pooling down, transposed convolutions up.

    Any H and W >= 2**(levels-1) work: the input is padded by reflection to a multiple of 2**(levels-1) and
    the logits are cropped back.
    """

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__()
        widths = [base_filters * 2**level for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        self.down = nn.ModuleList(Block(a, b) for a, b in zip([1, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(UpConvolution(b, a) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(Block(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    @classmethod
    def build(cls, recipe: Recipe, num_classes: int) -> Self:
        """The network of a recipe."""
        return cls(num_classes, recipe.base_filters, recipe.levels)

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,num_classes,H,W)."""
        logits: Tensor = self.head(decode(self.up, self.merge, self.encode(image))[0])
        return unpad(logits, image)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of every level of the padded image, the finest first."""
        features, levels = self.pad(image), []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else functional.max_pool2d(features, 2))
            levels.append(features)
        return levels

    def pad(self, image: Tensor) -> Tensor:
        """The image reflected at its lower and right border up to a multiple of 2**(levels-1)."""
        height, width = image.shape[-2:]
        pad_y, pad_x = -height % self.multiple, -width % self.multiple
        return functional.pad(image, (0, pad_x, 0, pad_y), mode="reflect") if pad_y or pad_x else image


def decode(up: nn.ModuleList, merge: nn.ModuleList, skips: list[Tensor]) -> list[Tensor]:
    """The decoder of a U-Net.

    Args:
        up, merge: upsampling to the next finer level, and the blocks that merge it with the skip connection.
        skips: the encoder's features, finest first.

    Returns:
        the decoder's features, finest first; the last is the encoder's coarsest.
    """
    features = [skips[-1]]
    for level in reversed(range(len(up))):
        features.append(merge[level](torch.cat([skips[level], up[level](features[-1])], dim=1)))
    return features[::-1]


def unpad(logits: Tensor, image: Tensor) -> Tensor:
    """``logits`` of a padded image at the size of ``image``."""
    return logits[..., : image.shape[-2], : image.shape[-1]]


build = UNet.build
