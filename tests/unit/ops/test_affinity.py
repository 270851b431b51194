"""The neighbours' support against a direct sum over all pairs."""

from __future__ import annotations

from math import exp

import pytest
import torch

from cyclemix.ops.affinity import neighbour_support


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_it_equals_the_direct_sum(radius: int) -> None:
    generator = torch.Generator().manual_seed(radius)
    image, scores = (torch.rand(shape, generator=generator) for shape in ((1, 1, 4, 6), (1, 2, 4, 6)))
    got = neighbour_support(scores, image, radius, 1.5, 0.3)
    for y in range(4):
        for x in range(6):
            expected = [0.0, 0.0]
            for v in range(4):
                for u in range(6):
                    if (v, u) != (y, x) and max(abs(v - y), abs(u - x)) <= radius:
                        step = image[0, 0, y, x].item() - image[0, 0, v, u].item()
                        kernel = exp(-((v - y) ** 2 + (u - x) ** 2) / 4.5 - step**2 / 0.18)
                        for k in range(2):
                            expected[k] += kernel * scores[0, k, v, u].item()
            assert got[0, :, y, x].tolist() == pytest.approx(expected, rel=1e-4)


def test_samples_do_not_touch() -> None:
    image, scores = torch.rand(2, 1, 5, 5), torch.rand(2, 3, 5, 5)
    both = neighbour_support(scores, image, 2, 1.0, 1.0)
    assert torch.allclose(both[1:], neighbour_support(scores[1:], image[1:], 2, 1.0, 1.0))
