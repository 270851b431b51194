"""Co-Mixup of a batch (Kim, Choo, Jeong and Song, ICLR 2021), after the official code (snu-mllab/Co-Mixup).

The batch is split into equal parts; a part's n images are divided into cells and become n outputs, whose
cells show one image or the mean of two. The masks z of a part minimise

    sum of the hidden saliency  +  beta / 2 sum over neighbouring cells |z_p - z_q|^2
    + gamma sum_j o_j . [A p_j > tau] A p_j

where o_j counts the cells that output j takes from each image, p_j those that all other outputs take, and A
is the identity plus a small multiple of the distance between the images' most salient cells: outputs should
use different images, and none should mix images that are salient in different places. As in the official
code, outputs are optimised in turn, with the last term linearised in the current output.

Deviations from the official code: the linearised problem is solved by checkerboard coordinate descent from
three initial masks instead of a graph cut on the CPU per output. The linearisation misses that an output may
push an image over the threshold of other outputs; in the second half of the sweeps candidates are therefore
compared by the objective itself, which then never rises. On random parts of 16 the result is lower than after
four linearised sweeps (tests/unit/ops/test_comixup.py). Distances between salient positions are measured
between cells, not between windows at every pixel. The extra cost of 5e-4 for mixed cells and the final
separation of outputs with the same sources are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cyclemix.config.strict import StrictModel
from cyclemix.ops.precision import full_precision
from cyclemix.ops.saliency import distribution

ROUNDS = 2
"""Checkerboard rounds, both colours each, per improvement of one output."""

FORBIDDEN = 1e9
"""Cost of a forbidden label."""


class CoMixSettings(StrictModel):
    """Co-Mixup; defaults as in the official code for CIFAR-100."""

    cells: int = Field(4, ge=2, description="cells per side")
    part: int = Field(20, ge=2, description="maximum number of images mixed with each other")
    alpha: int = Field(2, ge=1, description="concentration of the Dirichlet prior on the images' shares")
    smoothness: float = Field(0.32, ge=0, description="beta: cost of neighbouring cells of different images")
    diversity: float = Field(1.0, ge=0, description="gamma: cost of outputs that use the same images")
    prior: float = Field(0.05, ge=0, description="eta: weight of the prior")
    threshold: float = Field(
        0.83, ge=0, description="tau: share of an image that other outputs may use at no cost"
    )
    compatibility: float = Field(
        0.001, ge=0, le=1, description="omega: weight of the distance between salient places"
    )
    sweeps: int = Field(4, ge=1, description="passes over all outputs")


@dataclass(frozen=True)
class CoMix:
    """Mixed images, and the sources of each pixel to mix labels alike.

    Attributes:
        image: (B,C,H,W) float32, mixed.
        sources: two (B,H,W) int64, source images of each pixel as indices into the batch.
        ratio: (B,H,W) float32, share of the second source, 0 or 1/2.
    """

    image: Tensor
    sources: tuple[Tensor, Tensor]
    ratio: Tensor

    def labels(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """``values`` (B,H,W) of each pixel's first and second source, unmixed."""
        first, second = self.sources
        return values.gather(0, first), values.gather(0, second)


def co_mix(image: Tensor, saliency: Tensor, settings: CoMixSettings, generator: torch.Generator) -> CoMix:
    """Mix the images of each part of the batch.

    Args:
        image: (B,C,H,W) float.
        saliency: (B,H,W) float, non-negative (:func:`cyclemix.ops.saliency.saliency`).
        settings: Co-Mixup.
        generator: randomness of the prior and of the initial masks, on the images' device.

    Raises:
        ValueError: the batch cannot be split into equal parts.
    """
    parts = parts_of(len(image), settings.part)
    with torch.no_grad(), full_precision(image.device.type):
        cells = distribution(F.adaptive_avg_pool2d(saliency.float(), settings.cells))
        share = cells.flatten(1).unflatten(0, (parts, -1))
        cost = settings.prior / settings.cells**2 * _prior(share, settings.alpha, generator) - share
        problem = Problem(cost.mT, compatibility(share, settings), settings)
        masks = problem.solve(generator)
        ratio, source = masks.topk(2, dim=-1)
        source += (torch.arange(parts, device=source.device) * share.shape[1])[:, None, None, None]
        first, second = _to_pixels(source.flatten(0, 1), settings.cells, image).unbind(-1)
        ratio = _to_pixels(ratio[..., 1].flatten(0, 1), settings.cells, image)
        shown, blended = (image.float().gather(0, one[:, None].expand_as(image)) for one in (first, second))
        return CoMix(torch.lerp(shown, blended, ratio[:, None]), (first, second), ratio)


def parts_of(batch: int, largest: int) -> int:
    """Smallest number of equal parts of at most ``largest`` images.

    Raises:
        ValueError: only parts of one image are possible.
    """
    parts = next(count for count in range(-(-batch // largest), batch + 1) if batch % count == 0)
    if parts == batch:
        raise ValueError(
            f"a batch of {batch} cannot be split into equal parts of 2 to {largest} images; "
            "choose another training.batch_size or config.mix.part"
        )
    return parts


def compatibility(share: Tensor, settings: CoMixSettings) -> Tensor:
    """A: (P,n,n), (1 - omega) I + omega D, D the L1 distances of the most salient cells, summing to n.

    Args:
        share: (P,n,c) saliency of each cell.
    """
    peak = share.argmax(dim=-1)
    place = torch.stack((peak // settings.cells, peak % settings.cells), dim=-1).float()
    distance = (place[:, :, None] - place[:, None]).abs().sum(dim=-1)
    count = share.shape[1]
    distance = distance * (count / distance.sum(dim=(1, 2), keepdim=True).clamp_min(1e-6))
    return (1 - settings.compatibility) * _eye(share, count) + settings.compatibility * distance


class Problem:
    """The energy of the masks of several parts, and its minimisation.

    Args:
        cost: (P,c,n) float, cost of each of n images in each of c cells (row-major).
        compatibility: (P,n,n) float, A, symmetric.
        settings: weights; those per cell are divided by c, as in the official code.
    """

    def __init__(self, cost: Tensor, compatibility: Tensor, settings: CoMixSettings) -> None:
        self.cost, self.compatibility, self.sweeps = cost, compatibility, settings.sweeps
        cells, self.images = cost.shape[1:]
        self.beta, self.gamma = settings.smoothness / cells, settings.diversity / cells
        self.limit = settings.threshold * cells
        place = torch.arange(cells, device=cost.device)
        row, column = place // settings.cells, place % settings.cells
        steps = (row[:, None] - row).abs() + (column[:, None] - column).abs()
        self.neighbours = (steps == 1).to(cost.dtype)
        self.degree = self.neighbours.sum(dim=1)
        black = ((row + column) % 2 == 0)[:, None]
        self.colours = (black, ~black)
        self.eye, self.part = _eye(cost, self.images), torch.arange(len(cost), device=cost.device)
        # Pairs of the three images that an output shows most: their mean, and the less shown one.
        pairs = list(combinations(_eye(cost, min(3, self.images)), 2))
        self.halves = torch.stack([(more + less) / 2 for more, less in pairs])
        self.less = torch.stack([less for _, less in pairs])

    def objective(self, masks: Tensor) -> Tensor:
        """(P,S) values of S candidates ``masks`` (P,S,n,c,n): output, cell, image."""
        taken = masks.sum(dim=3)
        crowd = taken * self._pressure(taken.sum(dim=2, keepdim=True) - taken)
        unseen = masks * self.cost[:, None, None]
        return self._rough(masks).sum(dim=2) + self.gamma * crowd.sum(dim=(2, 3)) + unseen.sum(dim=(2, 3, 4))

    def solve(self, generator: torch.Generator) -> Tensor:
        """Masks (P,n,c,n) whose last axis sums to 1: one image per cell, or the mean of two."""
        parts, cells, images = self.cost.shape
        start = torch.randint(images, (parts, images, cells), generator=generator, device=self.cost.device)
        masks = self.eye[start]
        for sweep in range(self.sweeps):
            # Sequential over outputs, which depend on each other; parallel over parts.
            for output in range(images):
                exact = 2 * sweep >= self.sweeps
                masks[:, output] = self.improved(masks, output, halves=sweep > 0, exact=exact)
        return masks

    def improved(self, masks: Tensor, output: int, *, halves: bool, exact: bool) -> Tensor:
        """Best mask (P,c,n) found for one output, all other masks fixed; never worse than the present one.

        Args:
            masks: (P,n,c,n).
            output: index of the output.
            halves: cells may show the mean of two images.
            exact: compare candidates by the objective, not by its linearisation at ``masks``.
        """
        taken, present = masks.sum(dim=2), masks[:, output]
        others = taken.sum(dim=1, keepdim=True) - taken[:, output, None]
        linear = self.cost + 2 * self.gamma * self._pressure(others)
        found = self._descend(linear, present, *self._labels(taken[:, output], halves=halves))
        proposals = torch.cat((present[:, None], found), dim=1)
        if exact:
            whole = masks[:, None].repeat(1, proposals.shape[1], 1, 1, 1)
            whole[:, :, output] = proposals
            values = self.objective(whole)
        else:
            values = self._rough(proposals) + (proposals * linear[:, None]).sum(dim=(2, 3))
        best = values.argmin(dim=1)
        return proposals[self.part, best]

    def _rough(self, masks: Tensor) -> Tensor:
        """beta / 2 times the squared differences of neighbouring cells of ``masks`` (...,c,n)."""
        squares = (masks.square().sum(dim=-1) * self.degree).sum(dim=-1)
        return self.beta / 2 * (squares - (masks * (self.neighbours @ masks)).sum(dim=(-2, -1)))

    def _pressure(self, others: Tensor) -> Tensor:
        """A p where it is above tau, else 0; ``others`` (P,...,n) holds p."""
        matrix = self.compatibility if others.dim() == 3 else self.compatibility[:, None]
        pressure = others @ matrix
        return pressure * (pressure > self.limit)

    def _labels(self, taken: Tensor, *, halves: bool) -> tuple[Tensor, Tensor]:
        """Labels of a cell, (P,L,n), and an extra cost (P,L) that excludes invalid ones.

        Labels are the images and, with ``halves``, the means of two of the three images that the output shows
        most; ``taken`` (P,n) counts the output's cells per image.
        """
        whole, free = self.eye.expand(len(taken), -1, -1), torch.zeros_like(taken)
        if not halves:
            return whole, free
        used, top = taken.topk(len(self.less.T), dim=-1)
        forbidden = (used == 0).to(taken.dtype) @ self.less.mT * FORBIDDEN
        return torch.cat((whole, self.halves @ self.eye[top]), dim=1), torch.cat((free, forbidden), dim=1)

    def _descend(self, linear: Tensor, present: Tensor, labels: Tensor, extra: Tensor) -> Tensor:
        """Checkerboard coordinate descent on linear costs and smoothness, (P,3,c,n).

        Initial masks: the present one, the best image per cell, and the best image for all cells.
        """
        each = self.eye[linear.argmin(dim=-1)]
        one = self.eye[linear.sum(dim=1).argmin(dim=-1)][:, None].expand_as(each)
        state = torch.stack((present, each, one), dim=1)
        own = self.beta / 2 * self.degree[:, None] * labels.square().sum(dim=-1)[:, None] + extra[:, None]
        own, across = own[:, None], labels.mT[:, None]
        for colour in self.colours * ROUNDS:
            slope = torch.sub(linear[:, None], self.neighbours @ state, alpha=self.beta)
            best = (slope @ across).add_(own).argmin(dim=-1)
            state = torch.where(colour, labels[self.part[:, None, None], best], state)
        return state


def _prior(share: Tensor, alpha: int, generator: torch.Generator) -> Tensor:
    """(P,n,1): -log of shares drawn from a symmetric Dirichlet distribution with integer ``alpha``."""
    draws = share.new_empty((*share.shape[:2], alpha)).exponential_(generator=generator)
    gamma = draws.sum(dim=-1, keepdim=True)
    return -(gamma / gamma.sum(dim=1, keepdim=True) + 1e-8).log()


def _eye(like: Tensor, count: int) -> Tensor:
    return torch.eye(count, device=like.device, dtype=like.dtype)


def _to_pixels(values: Tensor, cells: int, image: Tensor) -> Tensor:
    """Expand row-major values per cell (B,c,...) to pixels (B,H,W,...)."""
    row, column = (torch.arange(size, device=values.device) * cells // size for size in image.shape[-2:])
    return values[:, row[:, None] * cells + column]
