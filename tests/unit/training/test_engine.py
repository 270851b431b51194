"""The training engine on tiny made-up slices: it learns, averages, selects, stops and resumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from training import discs, saved_and_loaded, settings, train, weights

from cyclemix.ops.precision import autocast
from cyclemix.training import engine as engine_module
from cyclemix.training.engine import Engine, State


def test_it_learns_the_discs() -> None:
    slices, volumes = discs()
    engine, state = Engine(settings(max_steps=40, levels=3), 0, slices), State(digest="d")
    before = engine.validate(state, volumes)["val_dice_avg"]
    train(engine, state, 40)
    after = engine.validate(state, volumes)["val_dice_avg"]
    assert after > max(0.88, before + 0.1)
    assert (state.best_dice, state.best_step) == (after, 40)
    assert set(state.history[-1]) == {
        "step",
        "images",
        "seconds",
        "lr",
        "loss",
        "loss_pce",
        "val_dice_disc",
        "val_dice_avg",
    }
    assert state.history[-1]["images"] == 160


def test_same_seed_same_weights_other_seed_other_weights() -> None:
    slices, _ = discs()
    ends = []
    for seed in (0, 0, 1):
        engine, state = Engine(settings(), seed, slices), State(digest="d")
        train(engine, state, 3)
        ends.append(weights(engine))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    slices, _ = discs()
    engine, state = Engine(settings(), 0, slices), State(digest="d")
    train(engine, state, 2)
    assert torch.equal(torch.rand(3), expected)


def test_a_resumed_training_keeps_the_precision_that_it_began_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slices, _ = discs()
    monkeypatch.setattr(engine_module, "resolve", lambda device, precision: "bf16")
    before, state = Engine(settings(precision="auto"), 0, slices), State(digest="d")
    train(before, state, 2)
    monkeypatch.setattr(engine_module, "resolve", lambda device, precision: "fp32")
    after = Engine(settings(precision="auto"), 0, slices)
    caplog.set_level("INFO")
    after.load_state_dict(saved_and_loaded(before, state))
    assert (before.precision, after.precision) == ("bf16", "bf16")
    assert "continuing in bf16" in caplog.text


@pytest.mark.parametrize("method", ["unet_pce", "cyclemix"])
def test_in_bf16_losses_weights_statistics_and_averages_are_single_precision(method: str) -> None:
    slices, volumes = discs()
    engine, state = Engine(settings(method, {}, precision="bf16"), 0, slices), State(digest="d")
    train(engine, state, 1)
    with autocast(engine.device, "bf16"):
        losses = engine.method.losses(engine.net, engine._draw(1), engine.generator)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    for module in (engine.parts, engine.average):
        kept = [value for value in module.state_dict().values() if value.is_floating_point()]
        assert {value.dtype for value in kept} == {torch.float32}
    assert engine.validate(state, volumes)["val_dice_avg"] >= 0


def test_a_margin_around_the_slices_is_gone_from_a_batch() -> None:
    slices, _ = discs()
    engine = Engine(settings(), 0, replace(slices, margin_px=4))
    batch = engine._draw(0)
    assert engine.slices.size == (24, 24)
    assert batch.image.shape == (4, 1, 24, 24)
    assert batch.target.shape == batch.inside().shape == (4, 24, 24)
    train(engine, State(digest="d"), 1)


def test_a_loss_that_is_not_finite_names_step_term_and_cases() -> None:
    slices, _ = discs(1)
    engine, state = Engine(settings(), 0, slices), State(digest="d")
    train(engine, state, 2)
    with_loss(engine, lambda loss: loss * float("nan"))
    with pytest.raises(
        FloatingPointError, match=r"step 3: loss term pce is nan; cases of the batch: case0\."
    ):
        train(engine, state, 4)


def with_loss(engine: Engine, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Let the method's terms go through ``change``."""
    plain = engine.method.losses
    engine.method.losses = lambda *given: {key: change(value) for key, value in plain(*given).items()}  # type: ignore[method-assign]


@pytest.mark.parametrize("clip", [5.0, None])
def test_a_gradient_that_is_not_finite_under_a_finite_loss_stops(clip: float | None) -> None:
    slices, _ = discs(1)
    engine, state = Engine(settings(gradient_clip=clip), 0, slices), State(digest="d")
    train(engine, state, 2)
    # sqrt has an infinite slope at 0, where its value is 0
    with_loss(engine, lambda loss: loss + (loss - loss.detach()).sqrt())
    message = r"step 3: the norm of the gradient is (nan|inf); cases of the batch: case0\."
    with pytest.raises(FloatingPointError, match=message):
        train(engine, state, 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_input_that_is_not_finite_names_its_own_case_alone(value: float) -> None:
    slices, _ = discs(6)
    engine, state = Engine(settings(batch_size=64), 0, slices), State(digest="d")
    train(engine, state, 2)
    slices.image[2, 0, 16, 16] = value
    with pytest.raises(
        FloatingPointError, match=r"step 3: the augmented image is not finite; cases: case2\. Look at"
    ):
        train(engine, state, 4)


def test_nothing_is_checkpointed_after_a_step_that_is_not_finite() -> None:
    slices, _ = discs(1)
    engine, state = Engine(settings(), 0, slices), State(digest="d")
    with_loss(engine, lambda loss: loss * float("inf"))
    engine.step(state)
    with pytest.raises(FloatingPointError, match="step 1: loss term pce is inf"):
        engine.check(state)
    assert state.history == []


def test_the_gradient_is_measured_before_it_is_clipped() -> None:
    slices, _ = discs()
    norms = []
    for clip in (None, 1e-3):
        engine, state = Engine(settings(gradient_clip=clip), 0, slices), State(digest="d")
        engine.step(state)
        norms.append(float(state.pending[0].values[-1]))
    assert norms[0] == pytest.approx(norms[1])
    assert norms[0] > 1e-3


def test_resuming_on_another_number_of_threads_is_told(caplog: pytest.LogCaptureFixture) -> None:
    slices, _ = discs()
    engine, state = Engine(settings(), 0, slices), State(digest="d")
    train(engine, state, 1)
    snapshot = engine.state_dict(state)
    here = torch.get_num_threads()
    assert engine.load_state_dict(snapshot).threads == [here]
    assert "threads" not in caplog.text
    snapshot["state"]["threads"] = [here + 1]
    assert engine.load_state_dict(snapshot).threads == [here + 1, here]
    assert f"resuming on {here} threads what began on {here + 1}" in caplog.text


def test_averaged_weights_follow_the_warmed_up_decay() -> None:
    slices, _ = discs()
    engine, state = Engine(settings(ema_decay=0.99), 0, slices), State(digest="d")
    start = engine.average.head.weight.clone()
    train(engine, state, 1)
    decay = (1 + 1) / (10 + 1)
    expected = decay * start + (1 - decay) * engine.net.head.weight
    assert torch.allclose(engine.average.head.weight, expected)


def test_without_averaging_the_trained_weights_are_scored() -> None:
    slices, volumes = discs()
    engine, state = Engine(settings(ema_decay=0), 0, slices), State(digest="d")
    train(engine, state, 2)
    engine.validate(state, volumes)
    assert torch.equal(state.best_model["head.weight"], engine.net.head.weight)
