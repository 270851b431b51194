"""The default U-Net that can also return its deepest and finest features, for feature alignment."""

from __future__ import annotations

from torch import Tensor

from cyclemix.networks.unet import UNet, decode, unpad


class FeatureUNet(UNet):
    """The default U-Net; its features are requested by an argument, which also works for a teacher."""

    def forward(  # type: ignore[override]
        self, image: Tensor, features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """(B,1,H,W) -> logits (B,num_classes,H,W).

        With ``features`` a tuple: logits, the encoder's deepest features and the decoder's last ones, both
        of the padded image.
        """
        decoded = decode(self.up, self.merge, self.encode(image))
        logits = unpad(self.head(decoded[0]), image)
        return (logits, decoded[-1], decoded[0]) if features else logits


build = FeatureUNet.build
