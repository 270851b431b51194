"""Recorded loss curves: a refactoring that changes a number is seen, whatever else it keeps green.

A curve that changes for a reason is recorded anew with CYCLEMIX_RECORD=1 and the reason goes into the commit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rows import BLOCKS, run_config

from cyclemix.config.models import Grid
from cyclemix.data.store import read_index
from cyclemix.training.engine import Engine, State
from cyclemix.training.slices import load_slices

HERE = Path(__file__).parent
CURVES = HERE / "curves.json"
LABELS = [label for label in BLOCKS if label != "cyclemix_5"]  # which is cyclemix
STEPS = 4
TOLERANCES = (2e-3, 2e-3, 2e-2, 2e-2)
"""Relative, step by step: builds of torch differ in the last digits, which a graph cut or Adam's first steps
on a small gradient widen. One thread, because the number of threads changes the order of sums too."""


def curve(label: str, prepared: Path) -> dict[str, list[float]]:
    """Terms of the first steps on the tiny phantom, network of 4 filters."""
    drawn = Grid(spacing_mm=3.2, crop_px=64)
    lengths = Grid(spacing_mm=1.36719, crop_px=64)  # in pixels they are the papers'
    settings = run_config(label, lengths, batch_size=4, max_steps=STEPS, warmup_steps=0, precision="fp32")
    folder = prepared / "data" / "tiny" / "prepared" / drawn.name
    cases = read_index([folder / "index_train.csv"])
    masks = read_index([folder / "index_masks.csv"]) if settings.supervision == "scribble+masks" else None
    slices = load_slices(cases, settings, torch.device("cpu"), masks)
    engine, state = Engine(settings, 0, slices), State(digest="golden")
    for _ in range(STEPS):
        engine.step(state)
    values = torch.stack([step.values[:-1] for step in state.pending]).T.tolist()
    return dict(zip(engine.terms, values, strict=True))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("label", LABELS)
def test_loss_curve(label: str, phantom_prepared: Path) -> None:
    got = curve(label, phantom_prepared)
    if os.environ.get("CYCLEMIX_RECORD"):
        recorded = json.loads(CURVES.read_text()) if CURVES.is_file() else {}
        recorded[label] = {term: [round(value, 6) for value in values] for term, values in got.items()}
        CURVES.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    expected = json.loads(CURVES.read_text()).get(label)
    assert expected, f"no curve of {label} is recorded; record it with CYCLEMIX_RECORD=1"
    assert set(got) == set(expected)
    for term, values in expected.items():
        for step, (value, recorded, tolerance) in enumerate(
            zip(got[term], values, TOLERANCES, strict=True), start=1
        ):
            assert value == pytest.approx(recorded, rel=tolerance, abs=1e-4), f"{label}: {term}, step {step}"
