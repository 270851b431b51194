"""Augmentation of training slices: one affine resampling, then intensity changes.

Parameters are drawn for all samples and set to the identity where a change is not applied, so cost and random
stream do not depend on the draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM, in_pixels
from cyclemix.config.models import Augmentation
from cyclemix.ops import resample
from cyclemix.ops.precision import full_precision

PROBABILITY = 0.5
"""Probability of each intensity change per sample."""

BLUR_RADIUS_IN_SD = 3.0
"""Radius of the Gaussian kernel, in standard deviations of the widest blur."""


@dataclass(frozen=True)
class SpatialTransform:
    """Spatial augmentation of one batch.

    Attributes:
        where: sampling grid (B, H, W, 2) for `resample.sample`; None = identity. H and W are those of the
            result, smaller than the slices' where those have a margin.
    """

    where: Tensor | None

    def image(self, image: Tensor) -> Tensor:
        """Transform (B, C, H, W) float, bilinear; 0 where the source is outside."""
        return image.clone() if self.where is None else resample.sample(image, self.where)

    def labels(self, labels: Tensor) -> Tensor:
        """Transform (B, H, W) integer, nearest neighbour; UNLABELLED where the source is outside."""
        if self.where is None:
            return labels.clone()
        moved = resample.sample(labels[:, None], self.where, "nearest", outside=float(UNLABELLED))
        return moved[:, 0].to(labels.dtype)


IDENTITY = SpatialTransform(None)


class Augmented(NamedTuple):
    """Augmented slices and their spatial transform."""

    image: Tensor
    target: Tensor
    transform: SpatialTransform


def augment(
    image: Tensor,
    target: Tensor,
    settings: Augmentation,
    generator: torch.Generator,
    spacing_mm: float = PAPER_SPACING_MM,
    margin_px: int = 0,
) -> Augmented:
    """Augment image and labels alike, with parameters drawn per sample.

    Flips, quarter turns, rotation, zoom and shift are one resampling (image bilinear, labels nearest
    neighbour; outside the image 0 and UNLABELLED). Gamma, contrast, brightness, blur and noise are then each
    applied with probability 0.5 per sample. Gamma acts on the sample's intensity range and preserves its mean
    and standard deviation.

    Args:
        image: (B, 1, H, W) float32, z-scored.
        target: (B, H, W) int64 with UNLABELLED.
        settings: strengths; 0 disables a change.
        generator: source of randomness, on the image's device.
        spacing_mm: pixel size, for lengths in ``settings``.
        margin_px: pixels cropped from each side after the spatial changes.

    Returns:
        image and target, new tensors of the same dtypes without the margin; the transform for further maps.

    Raises:
        ValueError: wrong shapes or dtypes.
    """
    _check(image, target)
    with torch.no_grad(), full_precision(image.device.type):
        transform = draw_transform(target, settings, generator, margin_px)
        return Augmented(
            _recolour(transform.image(image), settings, generator, spacing_mm),
            transform.labels(target),
            transform,
        )


def _check(image: Tensor, target: Tensor) -> None:
    if image.dim() != 4 or image.shape[1] != 1 or image.dtype != torch.float32:
        raise ValueError(
            f"augment expects a float32 image (B, 1, H, W), got {image.dtype} {tuple(image.shape)}"
        )
    if target.shape != (image.shape[0], *image.shape[2:]) or target.dtype != torch.int64:
        raise ValueError(
            f"augment expects an int64 target {(image.shape[0], *image.shape[2:])}, "
            f"got {target.dtype} {tuple(target.shape)}"
        )


def draw_transform(
    slices: Tensor, settings: Augmentation, generator: torch.Generator, margin_px: int = 0
) -> SpatialTransform:
    """Flips, quarter turns, rotation, zoom and shift, drawn for each of the ``slices`` (B, H, W).

    The result is smaller than the slices by ``margin_px`` on each side.
    """
    batch, height, width = len(slices), slices.shape[1] - 2 * margin_px, slices.shape[2] - 2 * margin_px
    changed = settings.flip_turn or settings.rotate_degrees or settings.scale or settings.shift_fraction
    if not (changed or margin_px):
        return IDENTITY
    draw = torch.rand((batch, 7), generator=generator, device=slices.device)
    signed = draw * 2 - 1
    angle = signed[:, 0] * math.radians(settings.rotate_degrees)
    zoom = 1 + signed[:, 1] * settings.scale
    shift = signed[:, 2:4] * settings.shift_fraction
    shift = torch.stack((shift[:, 0] * width, shift[:, 1] * height), dim=-1)
    matrix = resample.turn(angle) / zoom[:, None, None]
    if settings.flip_turn:
        half = (draw[:, 4:] < PROBABILITY).float()
        flip = 1 - 2 * half[:, :2]
        # Both flips and a swap of the axes generate all eight flips and quarter turns with equal probability.
        swap = half[:, 2, None, None]
        straight = torch.diag_embed(flip)
        mirror = straight * (1 - swap) + straight.flip(-1) * swap
        matrix = (matrix[:, :, :, None] * mirror[:, None]).sum(dim=2)  # a product that TF32 cannot round
    return SpatialTransform(resample.grid(matrix, shift, height, width, margin_px))


def _recolour(image: Tensor, settings: Augmentation, generator: torch.Generator, spacing_mm: float) -> Tensor:
    blur_px = in_pixels(settings, spacing_mm)["blur_px"]
    draw = torch.rand((2, 5, image.shape[0], 1, 1, 1), generator=generator, device=image.device)
    chosen, strength = (draw[0] < PROBABILITY).float(), draw[1]
    signed = (strength * 2 - 1) * chosen
    if blur_px:
        image = _blur(image, strength[3] * chosen[3] * blur_px, blur_px)
    if settings.gamma:
        image = _gamma(image, (signed[0] * settings.gamma).exp())
    if settings.contrast or settings.brightness:
        image = image * (1 + signed[1] * settings.contrast) + signed[2] * settings.brightness
    if settings.noise:
        noise = torch.randn(image.shape, generator=generator, device=image.device)
        image = torch.addcmul(image, noise, strength[4] * chosen[4] * settings.noise)
    return image


def _gamma(image: Tensor, gamma: Tensor) -> Tensor:
    """Gamma curve on each sample's intensity range; mean and standard deviation are preserved."""
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    curved = ((image - low) / (high - low).clamp_min(1e-6)).log_().mul_(gamma).exp_()
    mean, deviation = _mean_deviation(image)
    new_mean, new_deviation = _mean_deviation(curved)
    gain = deviation / new_deviation.clamp_min(1e-6)
    # A constant sample has gain 0 and keeps its mean.
    return torch.addcmul(mean - new_mean * gain, curved, gain)


def _mean_deviation(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per sample, (B, 1, 1, 1) each; much faster than ``std_mean`` on the CPU."""
    mean = image.mean(dim=(2, 3), keepdim=True)
    return mean, (image - mean).square_().mean(dim=(2, 3), keepdim=True).sqrt()


def _blur(image: Tensor, deviation_px: Tensor, widest_px: float) -> Tensor:
    """Gaussian blur with one standard deviation (B, 1, 1, 1) per sample; 0 = no blur."""
    batch, _, height, width = image.shape
    radius = max(1, math.ceil(BLUR_RADIUS_IN_SD * widest_px))
    offset = torch.arange(-radius, radius + 1, device=image.device, dtype=torch.float32)
    kernel = (-0.5 * (offset / deviation_px.reshape(-1, 1).clamp_min(1e-3)).square()).exp()
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    stacked = F.pad(image.reshape(1, batch, height, width), (radius,) * 4, mode="replicate")
    stacked = F.conv2d(stacked, kernel[:, None, :, None], groups=batch)
    return F.conv2d(stacked, kernel[:, None, None, :], groups=batch).reshape(image.shape)
