"""Class ratios by EM on cases solved by hand, and what they exclude."""

from __future__ import annotations

from math import log

import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.ops.mixture import class_ratios, exclusion_loss, outranked

U = UNLABELLED


def pixels(*probabilities: list[float]) -> torch.Tensor:
    """(1,C,1,W): one pixel each."""
    return torch.tensor(probabilities).T[None, :, None, :]


def labels(*values: int) -> torch.Tensor:
    return torch.tensor(values)[None, None, :]


def test_sure_predictions_are_counted() -> None:
    scores = pixels([1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    ratios = class_ratios(scores, labels(0, 1, U, U, U, U), 5)
    assert ratios.tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_every_step_multiplies_the_odds_of_like_pixels(iterations: int) -> None:
    """All unlabelled pixels say 4 : 1, labelled shares are 1 : 1: the odds are 4^n after n steps."""
    scores = pixels([0.5, 0.5], [0.5, 0.5], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2])
    odds = 4.0**iterations
    got = class_ratios(scores, labels(0, 1, U, U, U), iterations)
    assert got.tolist() == pytest.approx([odds / (1 + odds), 1 / (1 + odds)])


def test_fixed_point_with_doubtful_pixels() -> None:
    """Two sure of class 0, one sure of class 1, one in doubt: a = 1/2 + a/4, so a = 2/3."""
    scores = pixels([0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5])
    got = class_ratios(scores, labels(0, 1, U, U, U, U), 20)
    assert got.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_labelled_shares_are_divided_out() -> None:
    """Labelled 3 : 1, so a doubtful pixel goes to class 0 with a / (a + 3 (1 - a)).

    One sure of class 0, one of class 1, one in doubt: 3 a = 1 + a / (3 - 2 a), so 6 a^2 - 10 a + 3 = 0.
    """
    scores = pixels(*[[0.5, 0.5]] * 4, [1.0, 0.0], [0.0, 1.0], [0.5, 0.5])
    expected = (10 - 28**0.5) / 12
    got = class_ratios(scores, labels(0, 0, 0, 1, U, U, U), 60)
    assert got.tolist() == pytest.approx([expected, 1 - expected], abs=1e-5)


def test_a_class_without_scribbles_has_no_share_and_nothing_unlabelled_none() -> None:
    scores = pixels([0.2, 0.2, 0.6], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0], [0.6, 0.3, 0.1])
    got = class_ratios(scores, labels(0, 1, U, U), 1)
    assert got[2] == 0
    assert got.tolist() == pytest.approx([1 / 3, 1 / 6, 0])  # the third pixel counts for none
    assert class_ratios(scores, labels(0, 1, 1, 0), 3).tolist() == [0, 0, 0]


def test_a_class_keeps_its_share_of_the_highest_ranked() -> None:
    first = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.99])
    scores = torch.stack([first, 1 - first])[None, :, None, :]
    among = torch.tensor([[[True, True, True, True, False]]])
    got = outranked(scores, torch.tensor([0.5, 0.0]), among)
    assert got[0, 0, 0].tolist() == [False, True, False, True, False]
    assert got[0, 1, 0].tolist() == [True, True, True, True, False]  # share 0 keeps none
    assert not outranked(scores, torch.tensor([1.0, 1.0]), among).any()


def test_exclusion_loss_is_minus_log_of_what_is_left() -> None:
    logits = pixels([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]).log()
    excluded = torch.tensor([[0, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]]).bool()
    loss, some = exclusion_loss(logits.requires_grad_(), excluded.T[None, :, None, :])
    assert loss[0, 0].tolist() == pytest.approx([-log(0.7), -log(0.5), 0, 0], abs=1e-6)
    assert some[0, 0].tolist() == [True, True, False, False]
    loss.sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1, 0, 0] > 0  # descent lowers what is excluded
