"""A compact ScribFormer (Li et al., IEEE TMI 2024): convolutions, attention, class activations side by side.

Three branches (original code: HUANGLIZI/ScribFormer, ``network/scribformer_cam.py``, a Conformer):
    convolutions  the default U-Net;
    attention     tokens of the coarsest grid. At every level the features are pooled and added to the tokens,
                  a transformer block follows, and the tokens are added to the level's features (feature
                  coupling units); a decoder of transposed convolutions predicts from the tokens;
    activations   class activation maps from each level's features, modulated by channel and spatial
                  attention, and reduced to the coarsest grid by strided convolutions.
The prediction is the mean of the first two branches.

Smaller than the original: one transformer block per level, coupled from 1/2 resolution (there 12 in all, from
1/4), of width `base_filters` times 2^(levels-2) (there 384), plain convolution blocks (there bottlenecks at 4
times the filters), no class token, no stochastic depth. About 13.1 M parameters at 32 filters and 5 levels,
where the default U-Net has 7.8 M.
The modulation is the activation modulation module of Qin et al. (AAAI 2022) as in ``network/amm.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.networks.unet import UNet, UpConvolution, decode, unpad
from cyclemix.ops.dual import mean_logits

HEAD_WIDTH = 64
"""Channels of an attention head, as in the original (384 / 6)."""


class ScribFormer(UNet):
    """The default U-Net coupled with transformer blocks, with a decoder for these and activation maps."""

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__(num_classes, base_filters, levels)
        widths = [base_filters * 2**level for level in range(levels)]
        embed = widths[-2]
        strides = [2 ** (levels - 1 - level) for level in range(levels)]
        self.patch = nn.Conv2d(widths[1], embed, strides[1], stride=strides[1])
        self.couplings = nn.ModuleList(
            Coupling(widths[level], embed, strides[level]) for level in range(1, levels)
        )
        self.up2 = nn.Sequential(
            *(
                UpConvolution(embed if level == levels - 2 else widths[level + 1], widths[level])
                for level in reversed(range(levels - 1))
            )
        )
        self.head2 = nn.Conv2d(widths[0], num_classes, 1)
        self.activations = nn.ModuleList(ActivationMap(width, num_classes) for width in widths)
        self.shrink = nn.ModuleList(Shrink(num_classes) for _ in range(levels - 1))

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor, list[Tensor]]:  # type: ignore[override]
        """(B,1,H,W) -> logits (B,num_classes,H,W).

        In training mode a tuple: logits of the convolutions and of the tokens, and the activation maps of all
        levels on the coarsest grid, not negative, the finest level's first.
        """
        features, tokens = self.couple(self.pad(image))
        first = unpad(self.head(decode(self.up, self.merge, features)[0]), image)
        second = unpad(self.head2(self.up2(tokens)), image)
        if not self.training:
            return mean_logits(first, second)
        maps = []
        for level, (activation, shown) in enumerate(zip(self.activations, features, strict=True)):
            shrunk = activation(shown)
            for shrink in self.shrink[level:]:
                shrunk = shrink(shrunk)
            maps.append(shrunk)
        return first, second, maps

    def couple(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Every level's features, the finest first, and the last tokens (B,embed,h,w)."""
        features, tokens = [self.down[0](image)], image
        for level, coupling in enumerate(self.couplings, start=1):
            current = self.down[level](functional.max_pool2d(features[-1], 2))
            tokens = self.patch(current) if level == 1 else tokens
            current, tokens = coupling(current, tokens)
            features.append(current)
        return features, tokens


class Coupling(nn.Module):
    """Features to tokens, a transformer block, and tokens back to features (Conformer's coupling unit)."""

    def __init__(self, width: int, embed: int, stride: int) -> None:
        super().__init__()
        inner = max(1, width // 4)
        self.stride = stride
        self.to_tokens = nn.Conv2d(width, embed, 1)
        self.norm = nn.LayerNorm(embed)
        self.block = nn.TransformerEncoderLayer(
            embed,
            max(1, embed // HEAD_WIDTH),
            4 * embed,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.reduce = nn.Sequential(
            nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)
        )
        self.from_tokens = nn.Sequential(nn.Conv2d(embed, inner, 1), nn.BatchNorm2d(inner), nn.ReLU())
        self.restore = nn.Sequential(
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B,width,H,W) and (B,embed,h,w) -> the same shapes, each updated from the other."""
        height, width = tokens.shape[-2:]
        pooled = functional.avg_pool2d(self.to_tokens(features), self.stride)
        squeezed = functional.gelu(self.norm(pooled.flatten(2).transpose(1, 2)))
        sequence = self.block(tokens.flatten(2).transpose(1, 2) + squeezed)
        tokens = sequence.transpose(1, 2).unflatten(2, (height, width))
        spread = functional.interpolate(self.from_tokens(tokens), scale_factor=float(self.stride))
        return functional.relu(features + self.restore(self.reduce(features) + spread)), tokens


class ActivationMap(nn.Module):
    """Class activations of features after channel and spatial modulation, not negative."""

    def __init__(self, width: int, num_classes: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, width // reduction)
        self.channel = nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))
        self.spatial = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1))
        self.classes = nn.Conv2d(width, num_classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B,width,H,W) -> (B,num_classes,H,W)."""
        features = features * gauss(self.channel(features.mean(dim=(2, 3))))[:, :, None, None]
        summary = torch.cat((features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)), dim=1)
        return functional.relu(self.classes(features * gauss(self.spatial(summary))))


class Shrink(nn.Sequential):
    """Half the resolution of a class activation map."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(
            nn.Conv2d(num_classes, num_classes, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(num_classes),
            nn.ReLU(inplace=True),
        )


def gauss(attention: Tensor) -> Tensor:
    """Normal density of each value under the batch's mean and standard deviation (without gradient).

    It favours values of medium attention, which spreads the maps.
    """
    attention = attention.float()
    mean, deviation = attention.detach().mean(), attention.detach().std().clamp_min(1e-3)
    return (-((attention - mean) / deviation).square() / 2).exp() / (math.sqrt(2 * math.pi) * deviation)


build = ScribFormer.build
