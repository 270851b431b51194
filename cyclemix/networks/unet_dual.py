"""The default U-Net with a second decoder, whose input features have half of their channels dropped.

UNet_CCT of the WSL4MIS repository, as DMPLS and DMSPS use it, built from the default network's parts: the
encoder has no dropout of its own, and the widths are the recipe's.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from cyclemix.networks.unet import Block, UNet, UpConvolution, decode, unpad


class DualUNet(UNet):
    """One encoder, two decoders; the first one predicts."""

    def __init__(self, num_classes: int, base_filters: int = 32, levels: int = 5) -> None:
        super().__init__(num_classes, base_filters, levels)
        self.widths = [base_filters * 2**level for level in range(levels)]
        self.channels = sum(self.widths)
        self.up2 = nn.ModuleList(UpConvolution(b, a) for a, b in pairwise(self.widths))
        self.merge2 = nn.ModuleList(Block(2 * width, width) for width in self.widths[:-1])
        self.head2 = nn.Conv2d(self.widths[0], num_classes, 1)

    def forward(self, image: Tensor, keep: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits of the first decoder, and with ``keep`` those of the second.

        Args:
            image: (B,1,H,W).
            keep: (B, `channels`) factor of each of the encoder's channels, finest level first, on the
                way to the second decoder: 0 drops it.

        Returns:
            logits (B,num_classes,H,W), or a pair of them.
        """
        skips = self.encode(image)
        first = unpad(self.head(decode(self.up, self.merge, skips)[0]), image)
        if keep is None:
            return first
        dropped = [
            skip * factor[:, :, None, None].to(skip.dtype)
            for skip, factor in zip(skips, keep.split(self.widths, dim=1), strict=True)
        ]
        return first, unpad(self.head2(decode(self.up2, self.merge2, dropped)[0]), image)


build = DualUNet.build
