"""UNet++: a U-Net whose skip connections are nested and dense (Zhou et al., DLMIA 2018, arXiv 1807.10165).

Node (level, j) merges all earlier nodes of its level with the upsampled node (level + 1, j - 1). Nodes
(level, 0) are the encoder; the last node of the finest level predicts. Read: the authors' ``Nest_Net``
(MrGiovanni/UNetPlusPlus, ``model.py``).

Deviations: blocks are the default network's, with batch norm and leaky ReLU; there without batch norm, with
ELU and dropout of 0.5. Widths (32 to 512), transposed convolutions and the one output, without deep
supervision, are as there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclemix.networks.unet import Block, UNet, UpConvolution, unpad


class UNetPlusPlus(UNet):
    """The default U-Net's encoder with nested, dense skip connections."""

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__(num_classes, base_filters, levels)
        del self.up, self.merge
        widths = [base_filters * 2**level for level in range(levels)]
        nodes = [(column, level) for column in range(1, levels) for level in range(levels - column)]
        self.up = nn.ModuleList(UpConvolution(widths[level + 1], widths[level]) for _, level in nodes)
        self.merge = nn.ModuleList(
            Block((column + 1) * widths[level], widths[level]) for column, level in nodes
        )
        self.nodes = nodes

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,num_classes,H,W)."""
        nodes = [[features] for features in self.encode(image)]
        # By column, the finest level first, so that node (level + 1, column - 1) exists.
        for (column, level), up, merge in zip(self.nodes, self.up, self.merge, strict=True):
            nodes[level].append(merge(torch.cat([*nodes[level], up(nodes[level + 1][column - 1])], dim=1)))
        logits: Tensor = self.head(nodes[0][-1])
        return unpad(logits, image)


build = UNetPlusPlus.build
