"""Co-Mixup of a batch (Kim, Choo, Jeong and Song, ICLR 2021), after the official code (snu-mllab/Co-Mixup).

The batch is split into equal parts; each part's n images are cut into cells and become n outputs, whose cells
show one image, or two by halves. The masks z of a part minimise

    sum of the saliency that goes unseen  +  beta / 2 sum over neighbouring cells |z_p - z_q|^2
    + gamma sum_j o_j . [A p_j > tau] A p_j

where o_j counts the cells that output j takes from each image, p_j what all other outputs take, and A is the
identity plus a little distance between the images' most salient cells: outputs should not all use the same
images, and none should mix images that are salient in different places. As there, outputs are improved in
turn, the last term made linear in the output at hand.

Departures: the linear problem is solved by coordinate descent on a chessboard from three starts, where the
official code calls a graph cut on the CPU for each output. The linear problem does not see when an output
pushes an image over the others' threshold; so in the second half of the sweeps the proposals compete by the
objective itself, which then never rises. On random parts of 16 that ends lower than four linear sweeps
(tests/unit/test_ops_comixup.py). Distances between salient places are those between cells, not between
windows at every pixel. Halves get no extra 5e-4, and outputs of equal sources are not distinguished after.
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
"""Chessboard rounds of one improvement: both colours each."""

FORBIDDEN = 1e9
"""Cost of a label that an output may not take."""


class CoMixSettings(StrictModel):
    """Co-Mixup; defaults as in the official code for CIFAR-100."""

    cells: int = Field(4, ge=2, description="cells a side")
    part: int = Field(20, ge=2, description="images mixed with each other, at most")
    alpha: int = Field(2, ge=1, description="concentration of the Dirichlet prior on the images' shares")
    smoothness: float = Field(0.32, ge=0, description="beta: cost of neighbouring cells of different images")
    diversity: float = Field(1.0, ge=0, description="gamma: cost of outputs that use the same images")
    prior: float = Field(0.05, ge=0, description="eta: weight of the prior")
    threshold: float = Field(0.83, ge=0, description="tau: share of a whole image that others may use freely")
    compatibility: float = Field(
        0.001, ge=0, le=1, description="omega: weight of the distance between salient places"
    )
    sweeps: int = Field(4, ge=1, description="times that every output is improved")


@dataclass(frozen=True)
class CoMix:
    """What was mixed, and how to treat labels alike.

    Attributes:
        image: (B,C,H,W) float32, mixed.
        sources: two (B,H,W) int64, the images that each pixel comes from, as indices into the batch.
        ratio: (B,H,W) float32, share of the second one, 0 or 1/2.
    """

    image: Tensor
    sources: tuple[Tensor, Tensor]
    ratio: Tensor

    def labels(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """``values`` (B,H,W) of each pixel's first and second source, not mixed."""
        first, second = self.sources
        return values.gather(0, first), values.gather(0, second)


def co_mix(image: Tensor, saliency: Tensor, settings: CoMixSettings, generator: torch.Generator) -> CoMix:
    """Mix the images of each part of the batch.

    Args:
        image: (B,C,H,W) float.
        saliency: (B,H,W) float, not negative (:func:`cyclemix.ops.saliency.saliency`).
        settings: Co-Mixup.
        generator: source of the prior and of the random start, on the images' device.

    Raises:
        ValueError: the batch does not split into equal parts.
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
    """Number of parts: as few as leave at most ``largest`` images in each, all of one size.

    Raises:
        ValueError: only parts of one image would do.
    """
    parts = next(count for count in range(-(-batch // largest), batch + 1) if batch % count == 0)
    if parts == batch:
        raise ValueError(
            f"a batch of {batch} does not split into equal parts of 2 to {largest} images; "
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
    """The energy of the masks of some parts at once, and its descent.

    Args:
        cost: (P,c,n) float, cost of showing each of n images in each of c cells (row-major).
        compatibility: (P,n,n) float, A, symmetric.
        settings: weights; those of cells are divided by c, as in the official code.
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
        # Rows are pairs of the images that an output shows most: their halves, and the lesser of the two.
        pairs = list(combinations(_eye(cost, min(3, self.images)), 2))
        self.halves = torch.stack([(more + less) / 2 for more, less in pairs])
        self.less = torch.stack([less for _, less in pairs])

    def objective(self, masks: Tensor) -> Tensor:
        """(P,S) values of S proposals ``masks`` (P,S,n,c,n): output, cell, image."""
        taken = masks.sum(dim=3)
        crowd = taken * self._pressure(taken.sum(dim=2, keepdim=True) - taken)
        unseen = masks * self.cost[:, None, None]
        return self._rough(masks).sum(dim=2) + self.gamma * crowd.sum(dim=(2, 3)) + unseen.sum(dim=(2, 3, 4))

    def solve(self, generator: torch.Generator) -> Tensor:
        """Masks (P,n,c,n) whose last axis sums to 1: one image a cell, or two by halves."""
        parts, cells, images = self.cost.shape
        start = torch.randint(images, (parts, images, cells), generator=generator, device=self.cost.device)
        masks = self.eye[start]
        for sweep in range(self.sweeps):
            # One after another, as each depends on what the others take; all parts at once.
            for output in range(images):
                exact = 2 * sweep >= self.sweeps
                masks[:, output] = self.improved(masks, output, halves=sweep > 0, exact=exact)
        return masks

    def improved(self, masks: Tensor, output: int, *, halves: bool, exact: bool) -> Tensor:
        """A mask (P,c,n) for one output, the others staying; no worse than its present one.

        Args:
            masks: (P,n,c,n).
            output: which one.
            halves: cells may show two images.
            exact: worse by the objective, or by its linear form at the present masks.
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
        """beta / 2 times the squared steps between neighbouring cells of ``masks`` (...,c,n)."""
        squares = (masks.square().sum(dim=-1) * self.degree).sum(dim=-1)
        return self.beta / 2 * (squares - (masks * (self.neighbours @ masks)).sum(dim=(-2, -1)))

    def _pressure(self, others: Tensor) -> Tensor:
        """A p where it is above tau, else 0; ``others`` (P,...,n) holds p."""
        matrix = self.compatibility if others.dim() == 3 else self.compatibility[:, None]
        pressure = others @ matrix
        return pressure * (pressure > self.limit)

    def _labels(self, taken: Tensor, *, halves: bool) -> tuple[Tensor, Tensor]:
        """What a cell may show, (P,L,n), and a cost (P,L) that forbids the rest.

        Every image, and with ``halves`` also every two of the three images that the output shows most, by
        halves; ``taken`` (P,n) counts their cells.
        """
        whole, free = self.eye.expand(len(taken), -1, -1), torch.zeros_like(taken)
        if not halves:
            return whole, free
        used, top = taken.topk(len(self.less.T), dim=-1)
        forbidden = (used == 0).to(taken.dtype) @ self.less.mT * FORBIDDEN
        return torch.cat((whole, self.halves @ self.eye[top]), dim=1), torch.cat((free, forbidden), dim=1)

    def _descend(self, linear: Tensor, present: Tensor, labels: Tensor, extra: Tensor) -> Tensor:
        """Chessboard descent on linear costs and smoothness, (P,3,c,n): from the present mask, from the best
        image of each cell, and from the best image for all cells.
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
    """(P,n,1): -log of shares drawn from a symmetric Dirichlet distribution with a whole ``alpha``."""
    draws = share.new_empty((*share.shape[:2], alpha)).exponential_(generator=generator)
    gamma = draws.sum(dim=-1, keepdim=True)
    return -(gamma / gamma.sum(dim=1, keepdim=True) + 1e-8).log()


def _eye(like: Tensor, count: int) -> Tensor:
    return torch.eye(count, device=like.device, dtype=like.dtype)


def _to_pixels(values: Tensor, cells: int, image: Tensor) -> Tensor:
    """(B,c,...) row-major values of cells a pixel, (B,H,W,...)."""
    row, column = (torch.arange(size, device=values.device) * cells // size for size in image.shape[-2:])
    return values[:, row[:, None] * cells + column]
