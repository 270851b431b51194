"""Largest components: both code paths against a plain recomputation on masks that are hard to propagate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cyclemix.ops import components

SIDE = 25


def by_scipy(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """The plain recipe, slice by slice and class by class."""
    out = np.zeros_like(labels)
    for index in range(len(labels)):
        for value in range(1, num_classes):
            parts, count = ndimage.label(labels[index] == value)
            if count:
                size = np.bincount(parts.ravel())[1:]
                largest = np.flatnonzero(size == size.max()) + 1
                first = min(largest, key=lambda part: np.flatnonzero(parts.ravel() == part)[0])
                out[index][parts == first] = value
    return out


def by_propagation(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The path that other devices take, run on the CPU."""
    return torch.where(components._largest_by_propagation(labels, num_classes), labels, 0)


def spiral(side: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=np.int64)
    y, x, (dy, dx) = 0, 0, (0, 1)
    mask[0, 0] = 1

    def free(y: int, x: int) -> bool:
        return 0 <= y < side and 0 <= x < side and not mask[y, x]

    for _ in range(side * side):
        ahead = (y + 2 * dy, x + 2 * dx)
        inside = 0 <= ahead[0] < side and 0 <= ahead[1] < side
        if not free(y + dy, x + dx) or (inside and mask[ahead]):
            dy, dx = dx, -dy
            if not free(y + dy, x + dx) or not free(y + 2 * dy, x + 2 * dx):
                break
        y, x = y + dy, x + dx
        mask[y, x] = 1
    return mask


def comb(side: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=np.int64)
    mask[:, ::2] = 1
    mask[-1] = 1
    return mask


def snake(side: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=np.int64)
    mask[:, ::2] = 1
    mask[0, 1::4] = 1
    mask[-1, 3::4] = 1
    return mask


def hard_masks() -> np.ndarray:
    rng = np.random.default_rng(0)
    shapes = [spiral(SIDE), comb(SIDE), snake(SIDE)]
    masks = [np.rot90(shape, turns) for shape in shapes for turns in range(4)]
    masks += [2 - shape for shape in shapes]
    board = np.indices((SIDE, SIDE)).sum(axis=0) % 2
    masks += [board, board + 1, np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))]
    masks += [(rng.random((SIDE, SIDE)) < p) * rng.integers(1, 4, (SIDE, SIDE)) for p in (0.3, 0.6, 0.9)]
    masks += [rng.random((SIDE, SIDE)) < p for p in (0.4, 0.55, 0.6, 0.65)]
    masks += [np.kron(rng.integers(0, 4, (5, 5)), np.ones((5, 5))) for _ in range(3)]
    return np.stack([np.asarray(mask, dtype=np.int64) for mask in masks])


def test_the_spiral_is_one_long_component():
    mask = spiral(SIDE)
    assert ndimage.label(mask)[1] == 1
    assert mask.sum() > SIDE * SIDE / 3


@pytest.mark.parametrize("find", [components.largest_component, by_propagation])
def test_hard_masks(find):
    labels = hard_masks()
    assert np.array_equal(find(torch.from_numpy(labels), 4).numpy(), by_scipy(labels, 4))


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1.0))
def test_both_paths_agree_on_random_labels(seed, batch, height, width, filled):
    rng = np.random.default_rng(seed)
    labels = (rng.random((batch, height, width)) < filled) * rng.integers(0, 4, (batch, height, width))
    expected = by_scipy(labels, 4)
    assert np.array_equal(components.largest_component(torch.from_numpy(labels), 4).numpy(), expected)
    assert np.array_equal(by_propagation(torch.from_numpy(labels), 4).numpy(), expected)


@pytest.mark.parametrize("find", [components.largest_component, by_propagation])
def test_by_hand(find):
    labels = torch.tensor(
        [
            [1, 1, 0, 2, 2],
            [0, 0, 0, 0, 2],
            [1, 0, 2, 0, 0],
            [0, 1, 0, 3, 0],
            [1, 1, 0, 0, 3],
        ]
    )[None]
    expected = torch.tensor(
        [
            [0, 0, 0, 2, 2],
            [0, 0, 0, 0, 2],
            [0, 0, 0, 0, 0],
            [0, 1, 0, 3, 0],  # of the two single pixels of class 3 the first in reading order stays
            [1, 1, 0, 0, 0],
        ]
    )[None]
    assert torch.equal(find(labels, 4), expected)


def test_slices_do_not_touch_each_other():
    labels = torch.zeros(2, 3, 4, dtype=torch.int64)
    labels[0, 2, :2] = 1
    labels[1, 0, :3] = 1
    assert torch.equal(components.largest_component(labels, 2), labels)
    assert torch.equal(by_propagation(labels, 2), labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_dtype_stays_and_unknown_values_become_background(dtype):
    labels = torch.tensor(
        [[[1, 1, 255], [0, 7, 1]]] if dtype == torch.uint8 else [[[1, 1, -3], [0, 7, 1]]]
    ).to(dtype)
    found = components.largest_component(labels, 4)
    assert found.dtype == dtype
    assert found.tolist() == [[[1, 1, 0], [0, 0, 0]]]


def test_roots_are_one_a_component():
    labels = torch.from_numpy(hard_masks())
    root = components.component_roots(labels)
    for index, (mask, found) in enumerate(zip(labels.numpy(), root.numpy(), strict=True)):
        for value in (1, 2, 3):
            parts, count = ndimage.label(mask == value)
            pairs = {(part, at) for part, at in zip(parts[parts > 0], found[parts > 0], strict=True)}
            assert len(pairs) == count, index
            assert len({at for _, at in pairs}) == count, index


def test_cycle_target_keeps_only_the_largest_foreground():
    # Classes 1 and 2 touch on the left; on the right class 2 is larger but lies in a smaller foreground.
    labels = torch.tensor([[1, 1, 0, 2], [1, 2, 0, 2], [1, 1, 0, 2]])[None]
    assert components.largest_component(labels, 3).tolist() == [[[1, 1, 0, 2], [1, 0, 0, 2], [1, 1, 0, 2]]]
    assert components.cycle_target(labels, 3).tolist() == [[[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]]


def test_an_empty_slice_stays_empty():
    assert not components.cycle_target(torch.zeros(2, 8, 8, dtype=torch.int64), 4).any()


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        pytest.param(
            torch.zeros(4, 4, dtype=torch.int64), 4, r"\(B, H, W\), got torch.int64 \(4, 4\)", id="shape"
        ),
        pytest.param(torch.zeros(1, 4, 4), 4, r"integer labels .* got torch.float32", id="dtype"),
        pytest.param(torch.zeros(1, 4, 4, dtype=torch.int64), 0, "num_classes .* got 0", id="classes"),
    ],
)
def test_wrong_arguments_are_refused(labels, classes, message):
    for find in (components.largest_component, components.cycle_target):
        with pytest.raises(ValueError, match=message):
            find(labels, classes)
