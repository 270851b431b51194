"""Puzzle Mix: the energy by hand, the mask's meaning, image, labels and predictions mixed alike."""

from __future__ import annotations

import math

import pytest
import torch
from plans import share_moved

from cyclemix.ops import puzzlemix
from cyclemix.ops.puzzlemix import PuzzleSettings, block_means, puzzle_energies, puzzle_mix


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_of(size=8, side=32, seed=0):
    image = torch.randn(size, 1, side, side, generator=generator(seed))
    saliency = torch.rand(size, side, side, generator=generator(seed + 1)) ** 8
    return image, saliency, torch.randperm(size, generator=generator(seed + 2))


def test_energy_by_hand_without_contrast():
    """Flat images: costs are hidden saliency and the binomial prior, weights are 1.2 / (16 b)."""
    saliency1 = torch.tensor([[[0.4, 0.1], [0.2, 0.3]]])
    saliency2 = torch.tensor([[[0.25, 0.25], [0.5, 0.0]]])
    flat = block_means(torch.full((1, 1, 8, 8), 7.0))
    terms = puzzle_energies(saliency1, saliency2, flat, flat, torch.tensor([0.75]), 2, PuzzleSettings())
    unary, weight_x, weight_y, pairwise = terms
    prior = [-math.log(0.5625), -math.log(2 * 0.75 * 0.25), -math.log(0.0625)]
    hidden = [0.25, (0.4 + 0.25) / 2, 0.4]  # label 0 shows image 1 and hides image 2
    expected = [h + 0.2 / 4 * p for h, p in zip(hidden, prior, strict=True)]
    assert unary[0, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)
    assert weight_x.shape == (1, 1, 2)
    assert weight_y.shape == (1, 2, 1)
    assert weight_x.flatten().tolist() + weight_y.flatten().tolist() == pytest.approx([1.2 / 32] * 4)
    assert pairwise.tolist() == [[0, 0.25, 1], [0.25, 0, 0.25], [1, 0.25, 0]]


def test_contrast_across_a_border_by_hand():
    """Image 1 steps from 0 to 1 between the rows of cells, image 2 the other way round."""
    first = torch.zeros(1, 1, 8, 8)
    first[:, :, 4:] = 1
    first, second = block_means(first), block_means(1 - first)
    even = torch.full((1, 2, 2), 0.25)
    settings = PuzzleSettings(prior=0)
    unary, weight_x, weight_y, _ = puzzle_energies(
        even, even, first, second, torch.tensor([0.5]), 2, settings
    )
    # Rows: differ by 1 within either image, by 0 across: (0 + 0 - 1 - 1) / 2 = -1 times 0.5 of the weight.
    # Columns: the other way round, +1. A cell's own cost rises by (1 + 0) / 2 of 0.6 / 32 for each neighbour.
    assert weight_x.flatten().tolist() == pytest.approx([0.6 / 32] * 2)
    assert weight_y.flatten().tolist() == pytest.approx([1.8 / 32] * 2)
    assert unary.flatten().tolist() == pytest.approx([0.25 + 0.6 / 32] * 12)
    negative = puzzle_energies(
        even, even, first, second, torch.tensor([0.5]), 2, PuzzleSettings(data_smoothness=9.0)
    )
    assert negative[1].min() == 0


def test_cells_of_an_uneven_grid_hold_all_saliency():
    values = torch.rand(2, 53, 53, generator=generator())
    cells = puzzlemix._cell_sums(values / values.sum(dim=(1, 2), keepdim=True), 16)
    assert cells.shape == (2, 16, 16)
    torch.testing.assert_close(cells.sum(dim=(1, 2)), torch.ones(2))
    by_cell = torch.bincount(puzzlemix._cell_of_block(53, 16, torch.device("cpu")))
    assert set(by_cell.tolist()) == {3, 4}


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_the_mask_is_of_cells(step):
    mix = puzzle_mix(*batch_of(side=64), step, PuzzleSettings(), generator())
    cells = (2, 4, 8, 16)[step]
    blocks = mix.ratio.reshape(8, cells, 64 // cells, cells, 64 // cells)
    assert torch.equal(blocks.amax(dim=(2, 4)), blocks.amin(dim=(2, 4)))


def test_salient_halves_are_kept():
    """Image 1 is salient on the left, image 2 on the right: the mask is theirs."""
    saliency = torch.zeros(2, 32, 32)
    saliency[0, :, :16] = 1
    saliency[1, :, 16:] = 1
    image, partner = torch.randn(2, 1, 32, 32, generator=generator()), torch.tensor([1, 0])
    mix = puzzle_mix(image, saliency, partner, 0, PuzzleSettings(prior=0), generator())
    assert mix.ratio[0, :, :16].eq(0).all()
    assert mix.ratio[0, :, 16:].eq(1).all()
    assert torch.equal(mix.ratio[1], 1 - mix.ratio[0])
    assert share_moved(*mix.plans) == 0


def test_gradient_flows_to_both_images_of_a_pair():
    image, saliency, _ = batch_of(size=2)
    mix = puzzle_mix(image, saliency, torch.tensor([1, 0]), 1, PuzzleSettings(), generator())
    scores = torch.rand(2, 3, 32, 32, requires_grad=True)
    mix.scores(scores).sum().backward()
    # Each block stands once in each mix, weighted by what the mask shows of it.
    torch.testing.assert_close(scores.grad.sum(), torch.tensor(2.0 * 3 * 32 * 32), rtol=1e-4, atol=0)


def test_no_saliency_at_all_still_mixes():
    image, _, partner = batch_of()
    mix = puzzle_mix(image, torch.zeros(8, 32, 32), partner, 0, PuzzleSettings(), generator())
    assert mix.image.isfinite().all()


def test_arcsine_is_beta_half_half():
    draws = puzzlemix.arcsine(20000, generator(), "cpu")
    assert draws.mean().item() == pytest.approx(0.5, abs=0.01)
    assert draws.var(correction=0).item() == pytest.approx(1 / 8, abs=0.003)
    assert (draws < 0.25).float().mean().item() == pytest.approx(1 / 3, abs=0.01)


def test_grids_take_turns_and_must_fit():
    assert [puzzlemix.grid_of_step(step, (2, 4, 8, 16), 32) for step in range(6)] == [2, 4, 8, 16, 2, 4]
    assert [puzzlemix.grid_of_step(step, (2, 4, 8, 16), 9) for step in range(4)] == [2, 4, 8, 2]
    with pytest.raises(ValueError, match=r"none of the grids \(16,\) has 2 to 8 cells per side"):
        puzzlemix.grid_of_step(0, (16,), 8)


def test_wrong_arguments_are_refused():
    image, saliency, partner = batch_of()
    with pytest.raises(ValueError, match=r"saliency \(B, H, W\), got \(8, 1, 32, 32\) and \(8, 16, 32\)"):
        puzzle_mix(image, saliency[:, :16], partner, 0, PuzzleSettings(), generator())
    with pytest.raises(ValueError, match=r"multiples of 4 px, got \(32, 30\) px"):
        puzzle_mix(image[..., :30], saliency[..., :30], partner, 0, PuzzleSettings(), generator())
