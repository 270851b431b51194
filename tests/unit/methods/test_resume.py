"""Trainings resume bit for bit, also of methods with state of their own (discriminator, teacher, labels)."""

from __future__ import annotations

import pytest
import torch
from training import SIDE, saved_and_loaded, settings, train

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.methods import available, load
from cyclemix.methods.base import Method, Slices
from cyclemix.training.engine import Engine, State
from cyclemix.training.slices import Volume

STEPS = 5

STATEFUL = [
    name
    for name, method in available().items()
    if method.modules is not Method.modules or method.after_step is not Method.after_step
]

CASES = [
    *((method, "fp32") for method in STATEFUL),
    *((method, precision) for method in ("unet_pce", "cyclemix") for precision in ("fp32", "bf16")),
]

SETTINGS: dict[str, dict[str, object]] = {
    "accl": {"filters": 2},
    "cyclemix": {"occlusion_mm": 8 * PX},
    "dmsps": {"grow_at_step": 2, "entropy_below": 0.999},
    "maag": {"filters": 2},
    "scribble2label": {"period_steps": 2, "warmup_steps": 2, "threshold": 0.1},
    "unet_d": {"filters": 2},
    "ustm": {"views": 2, "rampup_steps": 1},
}  # fmt: skip
"""Settings with which a method's state is in use before the training is interrupted at step 3,
and a square that leaves something of the slices."""


def engine(method: str, precision: str, seed: int) -> Engine:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(6, 1, SIDE, SIDE, generator=generator)
    target = torch.full((6, SIDE, SIDE), UNLABELLED, dtype=torch.uint8)
    target[:, 2:5, 2:28], target[:, 14:18, 14:18] = 0, 1
    masks = (torch.rand(4, SIDE, SIDE, generator=generator) > 0.8).to(torch.uint8)
    slices = Slices(image, target, [f"case{i}" for i in range(6)], masks)
    recipe = {"network": load(method).networks[0], "levels": 3, "max_steps": STEPS, "precision": precision}
    return Engine(settings(method, SETTINGS.get(method), **recipe), seed, slices)


@pytest.mark.parametrize(("method", "precision"), CASES)
def test_a_resumed_training_ends_as_an_undisturbed_one(method: str, precision: str) -> None:
    whole, state = engine(method, precision, 0), State(digest="d")
    start = {key: value.clone() for key, value in whole.parts.state_dict().items()}
    train(whole, state, 3)
    image = whole.slices.image
    whole.validate(state, [Volume("v", image, torch.ones(image[:, 0].shape, dtype=torch.uint8))])
    saved = saved_and_loaded(whole, state)
    train(whole, state, STEPS)
    other = engine(method, precision, 1)  # whatever it drew at its start is overwritten
    resumed = other.load_state_dict(saved)
    assert (resumed.step, resumed.resumed_at_steps, len(resumed.history)) == (3, [3], 1)
    train(other, resumed, STEPS)
    for name, part in (("parts", lambda e: e.parts), ("average", lambda e: e.average)):
        ends = part(whole).state_dict(), part(other).state_dict()
        assert ends[0].keys() == ends[1].keys()
        for key, value in ends[0].items():
            assert torch.equal(value, ends[1][key]), f"{name}: {key}"
    own = [key for key in start if not key.startswith("net.")]
    assert bool(own) == (method in STATEFUL), "a method with state keeps it among its parts"
    if own and method != "random_walker":  # its labels are grown once, at the start
        assert any(not torch.equal(start[key], saved["parts"][key]) for key in own), "its state was in use"
