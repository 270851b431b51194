"""U-Net with adversarial attention gates (Valvano et al., IEEE TMI 2021, section III)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclemix.networks.unet import UNet, convolution


class Gate(nn.Module):
    """A decoder stage: two convolutions, the second one's features gated by the probability of structures.

    The features after the first convolution give a segmentation at the stage's scale; its foreground
    probability multiplies the features after the second. The segmentation is an input of the discriminator.
    """

    def __init__(self, in_channels: int, out_channels: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*convolution(in_channels, out_channels))
        self.second = nn.Sequential(*convolution(out_channels, out_channels))
        self.segment = nn.Conv2d(out_channels, num_classes, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B,C,H,W) -> gated features and the stage's logits (B,num_classes,H,W)."""
        hidden = self.first(features)
        logits = self.segment(hidden)
        structure = 1 - logits.float().softmax(dim=1)[:, :1]
        return self.second(hidden) * structure.to(hidden.dtype), logits


class AttentionUNet(UNet):
    """The shared U-Net with a gate in every decoder stage.

    Deviations from the authors' code: transposed convolutions instead of nearest upsampling, leaky ReLU
    instead of ReLU, 3x3 instead of 1x1 convolutions at the bottom, so that rows differ only in gates and
    training.
    """

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__(num_classes, base_filters, levels)
        widths = [base_filters * 2**level for level in range(levels - 1)]
        self.merge = nn.ModuleList(Gate(2 * width, width, num_classes) for width in widths)
        self.scales = levels - 1
        """Maps of logits in training mode."""

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        """(B,1,H,W) -> logits (B,num_classes,H,W).

        In training mode followed by the logits of the gates at 1/2, 1/4, ... of the size, without the finest
        gate, whose scale is that of the prediction.
        """
        height, width = image.shape[-2:]
        *skips, features = self.encode(image)
        coarse: list[Tensor] = []
        for level in reversed(range(self.scales)):
            merged = torch.cat([skips[level], self.up[level](features)], dim=1)
            features, logits = self.merge[level](merged)
            if level:
                coarse.insert(0, logits[..., : -(-height >> level), : -(-width >> level)])
        prediction = self.head(features)[..., :height, :width]
        return (prediction, *coarse) if self.training else prediction


build = AttentionUNet.build
