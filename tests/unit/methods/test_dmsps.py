"""DMSPS: soft pseudo-labels, and scribbles that grow once, where the network is sure."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from nets import Outputs
from training import discs, settings, train

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch
from cyclemix.methods.dmsps import confident
from cyclemix.ops.losses import soft_cross_entropy
from cyclemix.training.engine import Engine, State

U = UNLABELLED


def engine(**config: object) -> Engine:
    return Engine(settings("dmsps", config, network="unet_dual", levels=2), 0, discs()[0])


def test_soft_cross_entropy_of_a_prediction_with_itself_is_its_entropy() -> None:
    scores = torch.tensor([0.5, 0.25, 0.25])[None, :, None, None]
    assert soft_cross_entropy(scores.log(), scores).item() == pytest.approx(0.5 * log(2) + 0.5 * log(4))


def test_soft_term_sharpens_what_both_decoders_agree_on() -> None:
    """Cross-entropy of softmax(p) with p itself, p = (0.6, 0.4), weight 8; descent makes p more certain."""
    logits = torch.tensor([0.6, 0.4]).log()[None, :, None, None].expand(6, 2, 32, 32)
    first, second = (logits.clone().requires_grad_() for _ in range(2))
    run = engine()
    batch = Batch(run.slices.image, run.slices.target.long(), 0, torch.arange(6))
    got = run.method.losses(Outputs(first, second), batch, torch.Generator().manual_seed(0))["soft"]
    one = 1 / (1 + exp(-0.2))  # softmax of (0.6, 0.4)
    assert got.item() == pytest.approx(-8 * (0.6 * log(one) + 0.4 * log(1 - one)), rel=1e-5)
    got.backward()
    assert (first.grad[:, 0] < 0).all()


def test_sure_pixels_are_labelled_islands_and_doubt_are_not() -> None:
    sure, doubt = [0.999, 0.001], [0.6, 0.4]
    row = [sure, sure, doubt, sure[::-1], sure[::-1], doubt, sure]  # 0 0 ? 1 1 ? 0
    scores = torch.tensor(row).T[None, :, None, :]
    assert confident(scores, 0.1)[0, 0].tolist() == [0, 0, U, 1, 1, U, U]
    # 0.999: entropy 0.0079 nats, 0.0114 of log 2; 0.6: 0.97 of log 2
    assert confident(scores, 0.01)[0, 0].tolist() == [U] * 7
    assert confident(scores, 0.98)[0, 0].tolist() == [0, 0, 0, 1, 1, U, U]


def test_scribbles_grow_once_and_are_kept() -> None:
    run, state = engine(grow_at_step=2, entropy_below=1.0), State(digest="d")
    before = run.slices.target
    train(run, state, 1)
    assert torch.equal(run.parts["labels"].values, before)
    train(run, state, 2)
    grown = run.parts["labels"].values.clone()
    known = before != U
    assert (grown != U).sum() > 2 * known.sum()
    assert torch.equal(grown[known], before[known])
    train(run, state, 4)
    assert torch.equal(run.parts["labels"].values, grown)


def test_the_grown_labels_are_what_is_learned() -> None:
    run = engine()
    run.parts["labels"].values[:] = 1
    image, index = run.slices.image[:2], torch.arange(2)
    generator = torch.Generator().manual_seed(0)
    nothing = Batch(image, torch.full((2, 32, 32), U), 0, index)
    terms = run.method.losses(run.net, nothing, generator)
    assert list(terms) == ["pce", "soft"]
    assert terms["pce"] > 0.1


def test_settings_are_the_papers() -> None:
    config = methods.load("dmsps").Config()
    assert (config.weight_soft, config.entropy_below, config.drop) == (8.0, 0.1, 0.5)
