"""The paper's U-Net: valid convolutions on a zero-padded image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.models import Recipe


def build(recipe: Recipe, num_classes: int) -> nn.Module:
    """The network of ``training.network: unet_paper``; its widths are fixed."""
    return PaperUNet(num_classes)


def released_norm(channels: int) -> nn.BatchNorm2d:
    """The batch norm that ends a block, an up-convolution or the network, with the official code's constants.

    The first batch norm of each block has torch's defaults there.
    """
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _ValidBlock(nn.Sequential):
    """Two valid 3x3 convolutions, each with ReLU, then batch norm: the side shrinks by 4 pixels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3),
            nn.ReLU(inplace=True),
            released_norm(out_channels),
        )


class _Up(nn.Sequential):
    """Nearest upsampling by two, then a 3x3 convolution with ReLU and batch norm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            released_norm(out_channels),
        )


class PaperUNet(nn.Module):
    """The network of CycleMix (Zhang & Zhuang 2022, official code): 64..1024 filters, valid convolutions.

    The image is zero-padded by 92 pixels (212 -> 396) so that the valid convolutions return its own size;
    skip features are cropped to the centre. The two deepest up-convolutions have only ``num_classes``
    channels, and the logits have a batch norm. 25.76 M parameters for 4 classes.
    """

    WIDTHS = (64, 128, 256, 512, 1024)
    MARGIN = 92

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = self.WIDTHS
        carried = (num_classes, num_classes, *reversed(widths[:2]))
        self.down = nn.ModuleList(_ValidBlock(a, b) for a, b in zip((1, *widths[:-1]), widths, strict=True))
        deeper, skips = tuple(reversed(widths[1:])), tuple(reversed(widths[:-1]))
        self.up = nn.ModuleList(_Up(a, b) for a, b in zip(deeper, carried, strict=True))
        self.merge = nn.ModuleList(_ValidBlock(a + b, b) for a, b in zip(carried, skips, strict=True))
        self.head = nn.Sequential(nn.Conv2d(widths[0], num_classes, 1), released_norm(num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,num_classes,H,W); sides other than 4 (mod 16) are padded, then cropped."""
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
