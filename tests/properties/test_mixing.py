"""What mixing, occlusion and rotation may never do, whatever the sizes and the draws."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import share_moved
from torch import Tensor

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.ops import occlusion, rotation, transport
from cyclemix.ops.puzzlemix import Mix, PuzzleSettings, puzzle_mix

SEED = st.integers(0, 2**31)
CLASSES = 4


class Watcher(torch.nn.Module):
    """Keeps what it was shown; flat logits."""

    def forward(self, image: Tensor) -> Tensor:
        self.seen = image.detach()
        return image.expand(-1, CLASSES, -1, -1) * torch.arange(CLASSES)[:, None, None]


def drawn_mix(seed: int, batch: int, blocks: int, grid: int, moves: bool) -> tuple[Mix, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    side = 4 * blocks
    image = torch.randn(batch, 1, side, side, generator=generator)
    saliency = torch.zeros(batch, side, side)
    lone = saliency[:, ::8, ::8]  # one pixel in every second block: blocks move only if few are salient
    lone.copy_(torch.rand(lone.shape, generator=generator) ** 4)
    partner = torch.randperm(batch, generator=generator)
    settings = PuzzleSettings(grids=(grid,), transport=moves)
    labels = torch.randint(0, CLASSES, (batch, side, side), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.7] = UNLABELLED
    return puzzle_mix(image, saliency, partner, 0, settings, generator), image, labels


MIXES = given(SEED, st.integers(2, 5), st.integers(4, 9), st.sampled_from([2, 4]), st.booleans())


@settings(max_examples=40)
@MIXES
def test_puzzle_mix_blends_pixels_of_its_two_images(
    seed: int, batch: int, blocks: int, grid: int, moves: bool
) -> None:
    mix, image, _ = drawn_mix(seed, batch, blocks, grid, moves)
    assert set(mix.ratio.unique().tolist()) <= {0.0, 0.5, 1.0}
    first, second = mix.labels(image)
    share = mix.ratio[:, None]
    torch.testing.assert_close(mix.image, (1 - share) * first + share * second, atol=1e-5, rtol=0)
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    assert ((mix.image >= low - 1e-5) & (mix.image <= high + 1e-5)).all()
    for moved, source in ((first, image), (second, image[mix.partner])):
        assert torch.equal(moved.flatten(1).sort().values, source.flatten(1).sort().values)
        if not moves:
            assert torch.equal(moved, source)


@settings(max_examples=40)
@MIXES
def test_labels_and_scores_go_where_the_pixels_go(
    seed: int, batch: int, blocks: int, grid: int, moves: bool
) -> None:
    mix, image, labels = drawn_mix(seed, batch, blocks, grid, moves)
    torch.testing.assert_close(mix.scores(image), mix.image)
    first, second = mix.labels(labels)
    assert first.dtype == torch.int64
    assert set(first.unique().tolist()) <= set(labels.unique().tolist())  # nothing is made up
    assert torch.equal(first.flatten(1).sort().values, labels.flatten(1).sort().values)
    share = mix.ratio[:, None]
    expected = (1 - share) * onehot(first) + share * onehot(second)
    torch.testing.assert_close(mix.scores(onehot(labels)), expected, atol=1e-6, rtol=0)


def onehot(labels: Tensor) -> Tensor:
    """(B,H,W) to (B,CLASSES+1,H,W); the last channel is the unlabelled pixels."""
    known = labels.where(labels != UNLABELLED, CLASSES)
    return torch.nn.functional.one_hot(known, CLASSES + 1).permute(0, 3, 1, 2).float()


def test_a_drawn_mix_moves_blocks_if_it_shall() -> None:
    assert share_moved(*drawn_mix(1, 5, 9, 4, moves=True)[0].plans) > 0
    assert drawn_mix(1, 5, 9, 4, moves=False)[0].plans is None


@settings(max_examples=60)
@given(SEED, st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.floats(0, 3), st.integers(1, 4))
def test_a_transported_image_has_the_same_blocks(
    seed: int, batch: int, height: int, width: int, cost: float, side: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, height, width, generator=generator).round()
    plan = transport.plan(mask, torch.rand(batch, height, width, generator=generator) ** 9, cost)
    assert torch.equal(plan.flatten(1).sort().values, torch.arange(height * width).expand(batch, -1))
    number = torch.arange(height * width).reshape(1, height, width).expand(batch, -1, -1)
    blocks = number.repeat_interleave(side, 1).repeat_interleave(side, 2)
    moved = transport.apply(plan, blocks)
    assert torch.equal(moved, plan.repeat_interleave(side, 1).repeat_interleave(side, 2))


@settings(max_examples=40)
@given(SEED, st.integers(2, 5), st.integers(4, 24), st.integers(4, 24))
def test_cutmix_shows_every_pixel_with_its_own_neighbours(
    seed: int, batch: int, height: int, width: int
) -> None:
    """Each output is one image but for one box, which is another image at the same place."""
    image = torch.arange(batch * height * width).reshape(batch, 1, height, width).float()
    net = Watcher()
    target = torch.zeros(batch, height, width, dtype=torch.int64)
    methods.create("cutmix", {}, CLASSES, "test").losses(
        net, Batch(image, target, 0, torch.arange(batch)), torch.Generator().manual_seed(seed)
    )
    place, source = net.seen[:, 0] % (height * width), (net.seen[:, 0] // (height * width)).long()
    assert torch.equal(
        place.long(), torch.arange(height * width).reshape(height, width).expand(batch, -1, -1)
    )
    for own, sources in enumerate(source):
        foreign = sources != own
        assert len(sources[foreign].unique()) <= 1
        assert foreign.sum() == foreign.any(0).sum() * foreign.any(1).sum()  # a box


@settings(max_examples=40)
@given(SEED, st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(0, 50))
def test_an_occlusion_is_one_box_no_larger_than_said(
    seed: int, batch: int, height: int, width: int, side: int
) -> None:
    hidden = occlusion.random_squares(batch, height, width, side, torch.Generator().manual_seed(seed), "cpu")
    rows, columns = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert torch.equal(hidden.sum((1, 2)), rows * columns)
    assert rows.max() <= side
    assert columns.max() <= side
    assert (hidden.flatten(1).any(1) == (side > 0)).all()


@settings(max_examples=40)
@given(SEED, st.integers(4, 30), st.integers(4, 30), st.floats(-10, 10))
def test_rotation_makes_up_no_label_and_no_grey_value(
    seed: int, height: int, width: int, turn: float
) -> None:
    generator, angle = torch.Generator().manual_seed(seed), torch.tensor([turn])
    labels = torch.randint(0, CLASSES, (1, height, width), generator=generator)
    turned = rotation.rotate(labels[:, None] + 1.0, angle, "nearest")[:, 0]  # 0 is outside
    assert set(turned.unique().tolist()) <= {*(labels + 1).unique().tolist(), 0}
    inside = rotation.valid_mask(angle, height, width)
    assert (turned[inside] > 0).all()
    image = torch.rand(1, 1, height, width, generator=generator) + 1
    moved = rotation.rotate(image, angle)[:, 0][inside]
    if moved.numel():
        assert moved.min() >= image.min() - 1e-3
        assert moved.max() <= image.max() + 1e-3


@settings(max_examples=30)
@given(SEED, st.integers(2, 20), st.integers(0, 3))
def test_four_quarter_turns_are_none(seed: int, side: int, turns: int) -> None:
    image = torch.rand((1, 1, side, side), generator=torch.Generator().manual_seed(seed))
    there = rotation.rotate(image, torch.tensor([turns * math.pi / 2]), "nearest")
    assert torch.equal(there, torch.rot90(image, -turns, (2, 3)))
    back = rotation.rotate(there, torch.tensor([-turns * math.pi / 2]), "nearest")
    assert torch.equal(back, image)
