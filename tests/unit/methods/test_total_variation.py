"""What is particular to total variation: borders of the structures cost, the background's do not."""

from __future__ import annotations

import pytest
import torch
from nets import Fixed, batch_of, losses

from cyclemix.config.labels import UNLABELLED
from cyclemix.ops.losses import total_variation

SIDE = 8


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).clamp_min(1e-30).float()


def variation(labels: torch.Tensor) -> float:
    target = torch.full((1, SIDE, SIDE), UNLABELLED)
    batch = batch_of(torch.zeros(1, 1, SIDE, SIDE), target)
    terms = losses("total_variation", 3, Fixed(one_hot(labels)), batch)
    assert list(terms) == ["pce", "variation"]
    return terms["variation"].item()


def test_both_directions_and_all_classes_count_per_pixel() -> None:
    ramp = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]])
    scores = torch.stack([ramp, 1 - ramp])[None]
    # each class: four horizontal steps of a half; six pixels
    assert total_variation(scores).item() == pytest.approx(2 * 4 * 0.5 / 6)
    assert total_variation(scores.mT).item() == pytest.approx(2 * 4 * 0.5 / 6)


def test_a_square_costs_its_border() -> None:
    labels = torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    assert variation(labels) == pytest.approx(0, abs=1e-8)
    labels[:, 2:5, 2:5] = 1
    # 12 border edges of one structure; mean over 64 pixels and 2 structures, weight 0.01
    assert variation(labels) == pytest.approx(0.01 * 12 / 64 / 2)


def test_an_edge_between_two_structures_counts_for_both() -> None:
    labels = torch.ones(1, SIDE, SIDE, dtype=torch.int64)
    labels[:, :, 4:] = 2
    assert variation(labels) == pytest.approx(0.01 * 2 * 8 / 64 / 2)
