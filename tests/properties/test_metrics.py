"""Dice and surface distances against pairs of voxels counted one by one, on small volumes of any spacing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclemix.metrics import dice, surface_metrics

SHAPE = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))
SPACING = st.tuples(st.floats(0.2, 15.0), st.floats(0.2, 4.0), st.floats(0.2, 4.0))


def border(mask: np.ndarray) -> list[tuple[int, int, int]]:
    """Voxels of the mask with a face on the outside or on the volume's border."""

    def inside(voxel: tuple[int, ...]) -> bool:
        return all(0 <= i < n for i, n in zip(voxel, mask.shape, strict=True)) and bool(mask[voxel])

    steps = [tuple(sign * (axis == i) for i in range(3)) for axis in range(3) for sign in (-1, 1)]
    return [
        voxel
        for voxel in itertools.product(*map(range, mask.shape))
        if mask[voxel] and not all(inside(tuple(map(sum, zip(voxel, step, strict=True)))) for step in steps)
    ]


def percentile(values: list[float], share: float) -> float:
    """Linear between the two values that enclose it."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = math.floor(place)
    return values[low] + (place - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def counted(pred: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float]) -> dict[str, float]:
    if not pred.any() or not truth.any():
        miss = math.sqrt(sum((n * s) ** 2 for n, s in zip(pred.shape, spacing, strict=True)))
        return dict.fromkeys(("hd_mm", "hd95_mm", "assd_mm"), 0.0 if pred.any() == truth.any() else miss)
    first, second = border(pred), border(truth)

    def length(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        return math.sqrt(sum(((i - j) * s) ** 2 for i, j, s in zip(a, b, spacing, strict=True)))

    there = [min(length(a, b) for b in second) for a in first]
    back = [min(length(a, b) for a in first) for b in second]
    return {
        "hd_mm": max(there + back),
        "hd95_mm": max(percentile(there, 0.95), percentile(back, 0.95)),
        "assd_mm": sum(there + back) / len(there + back),
    }


@settings(max_examples=80)
@given(SHAPE, SPACING, st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_equals_counting(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], seed: int, first: float, second: float
) -> None:
    rng = np.random.default_rng(seed)
    pred, truth = rng.random(shape) < first**2, rng.random(shape) < second**2
    both = sum(bool(p and t) for p, t in zip(pred.flat, truth.flat, strict=True))
    sizes = int(pred.sum()) + int(truth.sum())
    assert dice(pred, truth) == pytest.approx(2 * both / sizes if sizes else 1.0)
    found = surface_metrics(pred, truth, spacing)
    assert found == pytest.approx(counted(pred, truth, spacing), abs=1e-6)
    assert found == pytest.approx(surface_metrics(truth, pred, spacing), abs=1e-6)
    assert max(found["assd_mm"], found["hd95_mm"]) <= found["hd_mm"] + 1e-6
    doubled = surface_metrics(pred, truth, tuple(2 * s for s in spacing))
    assert doubled == pytest.approx({name: 2 * value for name, value in found.items()}, abs=1e-6)
    turned = surface_metrics(pred.T, truth.T, spacing[::-1])
    assert turned == pytest.approx(found, abs=1e-6)
