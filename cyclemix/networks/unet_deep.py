"""The default U-Net with outputs at several decoder levels, for deep supervision as in nnU-Net."""

from __future__ import annotations

from torch import Tensor, nn

from cyclemix.networks.unet import UNet, decode, unpad


class DeepUNet(UNet):
    """A 1x1 head at every decoder level except the coarsest, which has weight 0 in nnU-Net."""

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__(num_classes, base_filters, levels)
        self.deep = nn.ModuleList(
            nn.Conv2d(base_filters * 2**level, num_classes, 1) for level in range(1, levels - 2)
        )

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        """(B,1,H,W) -> logits (B,num_classes,H,W).

        In training mode a tuple: these, and those of every coarser level, (B,num_classes, H/2^l, W/2^l)
        rounded up.
        """
        features = decode(self.up, self.merge, self.encode(image))
        logits = unpad(self.head(features[0]), image)
        if not self.training:
            return logits
        height, width = image.shape[-2:]
        coarser = [
            head(features[level])[..., : -(-height // 2**level), : -(-width // 2**level)]
            for level, head in enumerate(self.deep, start=1)
        ]
        return logits, *coarser


build = DeepUNet.build
