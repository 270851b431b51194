"""The shared U-Net and a denoising auto-encoder of its predictions (Larrazabal et al., 2020)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.models import Recipe
from cyclemix.networks.unet import UNet, UpConvolution, convolution

WIDTHS = (16, 32)
"""Channels: those of the encoder's first level and of the decoder, those of the encoder's other levels."""

CODE = 512
"""Length of the code."""

GRID = 8
"""Side of the feature map that is coded."""


def build(recipe: Recipe, num_classes: int) -> nn.Module:
    """The networks of a recipe."""
    return RepairedUNet(num_classes, recipe.base_filters, recipe.levels)


class AutoEncoder(nn.Module):
    """Auto-encoder of class maps with a short code, without skip connections.

    ``levels`` strided convolutions; features are pooled to 8x8 and coded by two dense layers, so that the
    code describes the whole slice, whatever its size. As many transposed convolutions decode it.
    """

    def __init__(self, num_classes: int, levels: int = 5) -> None:
        super().__init__()
        narrow, wide = WIDTHS
        widths = [num_classes, narrow, *[wide] * (levels - 1)]
        self.multiple = 2**levels
        self.encoder = nn.Sequential(
            *(
                layer
                for a, b in pairwise(widths)
                for layer in (*convolution(a, b, stride=2), *convolution(b, b))
            )
        )
        size = widths[-1] * GRID**2
        self.code = nn.Sequential(*_dense(size, CODE), *_dense(CODE, size))
        layers: list[nn.Module] = []
        for a in [widths[-1], *[narrow] * (levels - 1)]:
            layers += [UpConvolution(a, narrow), *convolution(narrow, narrow)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(narrow, num_classes, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(B,num_classes,H,W) probabilities or one-hot -> logits, the same shape; any H, W."""
        height, width = maps.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        features = self.encoder(functional.pad(maps, padding))
        pooled = functional.adaptive_avg_pool2d(features, GRID)
        coded = self.code(pooled.flatten(1)).reshape(pooled.shape)
        size = features.shape[-2:]
        features = functional.interpolate(coded, size, mode="bilinear", align_corners=False)
        logits: Tensor = self.decoder(features)
        return logits[..., :height, :width]


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.01, inplace=True)]


class RepairedUNet(nn.Module):
    """A U-Net and an auto-encoder of its predictions, separate in training, in sequence in evaluation."""

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__()
        self.unet = UNet(num_classes, base_filters, levels)
        self.repair = AutoEncoder(num_classes, levels)

    def forward(self, image: Tensor, corrupted: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Predict; in evaluation mode with repair by the auto-encoder.

        Args:
            image: (B,1,H,W).
            corrupted: (B,num_classes,H,W) one-hot corrupted masks; in training mode only.

        Returns:
            In evaluation mode the repaired log-probabilities (B,num_classes,H,W). In training mode the
            U-Net's own logits, and where ``corrupted`` is given the logits of its repair.
        """
        logits: Tensor = self.unet(image)
        if corrupted is not None:
            return logits, self.repair(corrupted)
        if self.training:
            return logits
        repaired: Tensor = self.repair(logits.float().softmax(dim=1))
        return repaired.float().log_softmax(dim=1)
