"""Energies of a conditional random field on softmax scores: similar pixels should have the same class.

Both energies sum W_ij (1 - sum_c s_ic s_jc) over ordered pairs of pixels (the relaxed Potts model), W being a
Gaussian of their distance and of the difference of their intensities. W depends on the image alone and is
symmetric, so each sum is computed without autograd, and the gradient with respect to the scores is -2 W s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import EllipsisType

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclemix.ops.precision import full_precision

Pixels = tuple[EllipsisType, slice, slice]
"""Index of rows and columns."""


def dense_energy(
    scores: Tensor, image: Tensor, inside: Tensor, sigma_xy: float, sigma_intensity: float
) -> Tensor:
    """Mean over all ordered pairs of a slice's pixels, and over slices, of W_ij (1 - s_i . s_j); a scalar.

    The matrix W is dense, B (H W)^2 floats: 32 slices of 53 x 53 pixels take 1 GB. Downsample first
    (:func:`shrink`).

    Args:
        scores: (B,C,H,W) float, classes sum to 1; differentiable.
        image: (B,1,H,W) float.
        inside: (B,H,W) bool; pairs with other pixels are excluded.
        sigma_xy: standard deviation of the distance, pixels.
        sigma_intensity: standard deviation of the grey values, in the image's unit.
    """
    batch, classes, height, width = scores.shape
    with torch.no_grad(), full_precision(scores.device.type):
        kernel = _difference(image.float().reshape(batch, -1), sigma_intensity)
        rows = torch.arange(height, device=scores.device).repeat_interleave(width)
        columns = torch.arange(width, device=scores.device).repeat(height)
        for place in (rows, columns):
            kernel += _difference(place.float()[None], sigma_xy)
        kernel.exp_()
        visible = inside.reshape(batch, 1, -1).float()
        sources = torch.cat((scores.detach().reshape(batch, classes, -1).float() * visible, visible), dim=1)
        message = (sources @ kernel).mul_(visible).reshape(batch, classes + 1, height, width)
        similar = message[:, classes:].sum()
    agreement = _agreement(scores.float(), message[:, :classes])
    return (similar - agreement) / (batch * (height * width) ** 2)


def gated_energy(
    scores: Tensor, image: Tensor, inside: Tensor, radius: int, sigma_xy: float, sigma_intensity: float
) -> Tensor:
    """Sum over each pixel's window of W_ij (1 - s_i . s_j), mean over pixels and slices; a scalar.

    Args:
        scores: (B,C,H,W) float, classes sum to 1; differentiable.
        image: (B,1,H,W) float.
        inside: (B,H,W) bool; pairs with other pixels are excluded.
        radius: half-width of the window, pixels; the centre pixel is excluded.
        sigma_xy: standard deviation of the distance, pixels.
        sigma_intensity: standard deviation of the grey values, in the image's unit.
    """
    batch, _, height, width = scores.shape
    with torch.no_grad():
        values, visible = scores.detach().float(), inside[:, None].float()
        grey = image.float() / sigma_intensity
        message, similar = torch.zeros_like(values), values.new_zeros(())
        for near, far, squared in _window(height, width, radius):
            distance = squared / sigma_xy**2
            kernel = (grey[near] - grey[far]).square_().add_(distance).mul_(-0.5).exp_()
            kernel.mul_(visible[near]).mul_(visible[far])
            message[near].addcmul_(kernel, values[far])
            message[far].addcmul_(kernel, values[near])
            similar += 2 * kernel.sum()
    return (similar - _agreement(scores.float(), message)) / (batch * height * width)


@torch.no_grad()
def neighbour_support(
    scores: Tensor, image: Tensor, radius_px: int, sd_px: float, sd_intensity: float
) -> Tensor:
    """Sum over the neighbours x' in a square window of k(x, x') p(x'), without gradient.

    k = exp(-|x - x'|^2 / (2 sd_px^2) - (I(x) - I(x'))^2 / (2 sd_intensity^2)), without the pixel itself and
    pixels outside the image (Obukhov et al., arXiv 1906.04651; ZScribbleSeg's spatial prior multiplies the
    sum by p(x)).

    Args:
        scores: (B,C,H,W) float p.
        image: (B,1,H,W) float I.
        radius_px: half the window's side.
        sd_px: standard deviation in space, pixels.
        sd_intensity: standard deviation in intensity, in the image's units.

    Returns:
        (B,C,H,W) float32.
    """
    scores, image = scores.float(), image.float()
    height, width = scores.shape[-2:]
    support = torch.zeros_like(scores)
    for near, far, squared in _window(height, width, radius_px):
        apart = math.exp(-squared / (2 * sd_px**2))
        alike = (image[near] - image[far]).square().div_(-2 * sd_intensity**2).exp_().mul_(apart)
        support[near].addcmul_(alike, scores[far])
        support[far].addcmul_(alike, scores[near])
    return support


def shrink(values: Tensor, longest_px: int) -> Tensor:
    """Average ``values`` (B,C,H,W) so that no side is longer than ``longest_px``; differentiable.

    Both sides are divided by the same integer, rounded up.
    """
    height, width = values.shape[-2:]
    factor = -(-max(height, width) // longest_px)
    return F.adaptive_avg_pool2d(values.float(), (-(-height // factor), -(-width // factor)))


def _difference(feature: Tensor, sigma: float) -> Tensor:
    """Exponents -(f_i - f_j)^2 / (2 sigma^2), (B,N,N), of ``feature`` (B,N)."""
    return (feature[:, :, None] - feature[:, None]).square_().mul_(-0.5 / sigma**2)


def _agreement(scores: Tensor, message: Tensor) -> Tensor:
    """s . W s with gradient 2 W s, from the scores s and the constant ``message`` W s."""
    return ((2 * scores - scores.detach()) * message).sum()


def _window(height: int, width: int, radius: int) -> Iterator[tuple[Pixels, Pixels, int]]:
    """Pixels with a neighbour at each offset of a square window, these neighbours, and the squared distance.

    Of opposite offsets one is left out, so that each pair of pixels comes once.
    """
    reach_y, reach_x = min(radius, height - 1), min(radius, width - 1)
    for down in range(reach_y + 1):
        for right in range(-reach_x if down else 1, reach_x + 1):
            near = (..., slice(0, height - down), slice(max(0, -right), width - max(0, right)))
            far = (..., slice(down, height), slice(max(0, right), width - max(0, -right)))
            yield near, far, down**2 + right**2
