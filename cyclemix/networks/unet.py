"""The paper's valid-convolution U-Net and the fast same-padding U-Net that is the default."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.models import Recipe
from cyclemix.networks import registry


def build(recipe: Recipe, num_classes: int, in_channels: int = 1) -> nn.Module:
    """The network of a recipe: images (B,1,H,W) float -> logits (B,num_classes,H,W) float.

    Raises:
        ValueError: unknown name.
    """
    if recipe.network == "unet":
        return UNet(num_classes, recipe.base_filters, recipe.levels, in_channels)
    if recipe.network == "unet_paper":
        return PaperUNet(num_classes, in_channels)
    if recipe.network not in registry.names():
        known = ", ".join(["unet", "unet_paper", *registry.names()])
        raise ValueError(f"training.network: expected one of {known}, got {recipe.network!r}")
    return registry.load(recipe.network)(recipe, num_classes, in_channels)


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    """Layers of one 3x3 same-padding convolution with batch norm and leaky ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    ]


class Block(nn.Sequential):
    """Two 3x3 same-padding convolutions, each with batch norm and leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(*convolution(in_channels, out_channels), *convolution(out_channels, out_channels))


class UNet(nn.Module):
    """U-Net (Ronneberger 2015) with same padding: strided max pooling down, transposed convolutions up.

    Any H and W >= 2**(levels-1) work: the input is padded by reflection to a multiple of 2**(levels-1) and
    the logits are cropped back.
    """

    def __init__(
        self, num_classes: int, base_filters: int = 32, levels: int = 5, in_channels: int = 1
    ) -> None:
        super().__init__()
        widths = [base_filters * 2**level for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        self.down = nn.ModuleList(
            Block(a, b) for a, b in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(Block(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> logits (B,num_classes,H,W)."""
        logits: Tensor = self.head(climb(self.up, self.merge, self.encode(image))[0])
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


def climb(up: nn.ModuleList, merge: nn.ModuleList, skips: list[Tensor]) -> list[Tensor]:
    """A U-Net's way up.

    Args:
        up, merge: from each level to the next finer one, and the blocks that join it with the skip.
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


class _ValidBlock(nn.Sequential):
    """Two valid 3x3 convolutions with batch norm and ReLU: the side shrinks by 4 pixels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class _Up(nn.Sequential):
    """Nearest upsampling by two, then a 3x3 convolution with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class PaperUNet(nn.Module):
    """The network of CycleMix (Zhang & Zhuang 2022, official code): 64..1024 filters, valid convolutions.

    The image is zero-padded by 92 pixels (212 -> 396) so that the valid convolutions return its own size;
    skip features are cropped to the centre. The two deepest up-convolutions carry ``num_classes`` channels
    only, and the logits pass a batch norm. 25.76 M parameters for 4 classes.
    """

    WIDTHS = (64, 128, 256, 512, 1024)
    MARGIN = 92

    def __init__(self, num_classes: int, in_channels: int = 1) -> None:
        super().__init__()
        widths = self.WIDTHS
        carried = (num_classes, num_classes, *reversed(widths[:2]))
        self.down = nn.ModuleList(
            _ValidBlock(a, b) for a, b in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        deeper, skips = tuple(reversed(widths[1:])), tuple(reversed(widths[:-1]))
        self.up = nn.ModuleList(_Up(a, b) for a, b in zip(deeper, carried, strict=True))
        self.merge = nn.ModuleList(_ValidBlock(a + b, b) for a, b in zip(carried, skips, strict=True))
        self.head = nn.Sequential(nn.Conv2d(widths[0], num_classes, 1), nn.BatchNorm2d(num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> logits (B,num_classes,H,W); sides other than 4 (mod 16) are padded, then cropped."""
        height, width = image.shape[-2:]
        extra_y, extra_x = (4 - height) % 16, (4 - width) % 16
        margin = self.MARGIN
        features = functional.pad(image, (margin, margin + extra_x, margin, margin + extra_y))
        skips = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else functional.max_pool2d(features, 2))
            skips.append(features)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            features = up(features)
            features = merge(torch.cat([_crop(skips.pop(), features), features], dim=1))
        return self.head(features)[..., :height, :width]


def _crop(skip: Tensor, like: Tensor) -> Tensor:
    """The centre of ``skip`` (B,C,H',W') at the size of ``like``."""
    top, left = (skip.shape[-2] - like.shape[-2]) // 2, (skip.shape[-1] - like.shape[-1]) // 2
    return skip[..., top : top + like.shape[-2], left : left + like.shape[-1]]
