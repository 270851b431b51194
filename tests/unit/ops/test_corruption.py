"""Damage to masks: each kind does what it says, on about half of the samples."""

from __future__ import annotations

import torch

from cyclemix.ops.corruption import add_patch, corrupt, grow_or_shrink, jitter

CLASSES = 3


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def squares(batch: int = 64) -> torch.Tensor:
    """A 6x6 square of class 1 with a 2x2 square of class 2 at its centre."""
    masks = torch.zeros(batch, 16, 16, dtype=torch.int64)
    masks[:, 5:11, 5:11] = 1
    masks[:, 7:9, 7:9] = 2
    return masks


def touched(after: torch.Tensor) -> torch.Tensor:
    return (after != squares(len(after))).flatten(1).any(dim=1)


def test_patches_are_of_every_class_and_no_larger_than_asked() -> None:
    after = add_patch(squares(), CLASSES, 3, generator())
    changed = after != squares()
    assert changed.flatten(1).sum(dim=1).max() <= 7 * 7
    assert set(after[changed].tolist()) == {0, 1, 2}
    assert 0.2 < touched(after).float().mean() < 0.6  # a patch of the class below it shows nothing


def test_structures_grow_and_shrink_by_up_to_the_radius() -> None:
    after = grow_or_shrink(squares(256), CLASSES, 2, generator())
    sizes = {tuple((mask == value).sum().item() for value in (1, 2)) for mask in after}
    assert (10**2 - 2**2, 2**2) not in sizes  # growing covers its neighbours, class 2 within it too
    assert {(32, 4), (8 * 8, 0), (10 * 10, 0), (36 - 16, 16), (0, 36)} <= sizes
    # Class 1 is a ring: one pixel from outside and one from inside leave nothing of it.
    assert (0, 4) in sizes
    assert (32, 0) in sizes
    assert 0.35 < touched(after).float().mean() < 0.65


def test_jitter_frays_borders_and_leaves_the_inside() -> None:
    after = jitter(squares(), 1, generator())
    changed = after != squares()
    assert 0.3 < touched(after).float().mean() < 0.7
    assert not changed[:, :4].any()
    assert changed[:, 4:6].any()


def test_all_damage_together_keeps_classes_and_repeats_with_the_generator() -> None:
    first, second = (corrupt(squares(), CLASSES, 2, 4, 2, 1, generator()) for _ in range(2))
    assert torch.equal(first, second)
    assert set(first.unique().tolist()) <= {0, 1, 2}
    assert torch.equal(corrupt(squares(), CLASSES, 0, 4, 0, 0, generator()), squares())
