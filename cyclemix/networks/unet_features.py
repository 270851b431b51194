"""The default U-Net that can also return its deepest and finest features, for feature alignment."""

from __future__ import annotations

from torch import Tensor, nn

from cyclemix.config.models import Recipe
from cyclemix.networks.unet import UNet, decode, unpad


def build(recipe: Recipe, num_classes: int, in_channels: int = 1) -> nn.Module:
    """The network of a recipe."""
    return FeatureUNet(num_classes, recipe.base_filters, recipe.levels, in_channels)


class FeatureUNet(UNet):
    """The default U-Net; its features are requested by an argument, which also works for a teacher."""

    def forward(  # type: ignore[override]
        self, image: Tensor, features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """(B,C,H,W) -> logits (B,num_classes,H,W).

        With ``features`` a tuple: logits, the encoder's deepest features and the decoder's last ones, both
        of the padded image.
        """
        decoded = decode(self.up, self.merge, self.encode(image))
        logits = unpad(self.head(decoded[0]), image)
        return (logits, decoded[-1], decoded[0]) if features else logits
