"""Two runs from one seed: equal byte for byte on the CPU, close on CUDA."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny_study import LABEL, study
from training import discs, settings

from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.files.layout import run_dir
from cyclemix.training.engine import Engine, State

TIMED = {"history.csv", "provenance.json", "checkpoint.pt", "checkpoint.previous.pt", "train.lock"}
"""Files that hold seconds, beside the tables' pages, which print how long the training took."""

CUDA_TOLERANCE = 0.02
"""Largest relative difference of the losses of two equal runs on CUDA over 20 steps, as it is asked for:
atomic additions come in any order, a bf16 value then differs by up to 2**-8, and training spreads that."""


def contents(results: Path) -> dict[str, bytes]:
    files = [path for path in (results / "runs").rglob("*") if path.is_file()]
    files += (results / "tables").rglob("*.csv")
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def twice(phantom_prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("twice")
    return study(phantom_prepared, folder / "first"), study(phantom_prepared, folder / "second")


def test_model_predictions_scores_and_tables_are_equal_byte_for_byte(twice: tuple[Path, Path]) -> None:
    first, second = map(contents, twice)
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert {Path(name).name for name in differing} <= TIMED
    compared = {Path(name).name for name in first.keys() - differing}
    assert {"model.pt", "metrics.csv", "metrics_provenance.json", "summary.csv", "per_case.csv"} <= compared
    assert "heart005_frame01.nii.gz" in compared
    predictions = next(name for name in first if name.endswith("predictions/provenance.json"))
    assert predictions not in differing


def test_histories_differ_in_seconds_alone(twice: tuple[Path, Path]) -> None:
    first, second = (
        pd.read_csv(run_dir(results, "tiny", LABEL, 0, 0) / "history.csv").drop(columns="seconds")
        for results in twice
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_provenances_differ_in_seconds_and_what_holds_them(twice: tuple[Path, Path]) -> None:
    first, second = (
        json.loads((run_dir(results, "tiny", LABEL, 0, 0) / "provenance.json").read_text())
        for results in twice
    )
    differing = {key for key in first if first[key] != second[key]}
    assert differing <= {"training_seconds", "cpu_seconds", "outputs", "checksum"}
    assert first["outputs"]["model.pt"] == second["outputs"]["model.pt"]
    assert first["threads"] == [torch.get_num_threads()]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", ["unet_pce", "cyclemix"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_runs_on_cuda_stay_within_the_tolerance(
    method: str, precision: str, record_property: Callable[[str, object], None]
) -> None:
    losses = []
    for _ in range(2):
        slices, _ = discs()
        slices = type(slices)(slices.image.cuda(), slices.target.cuda(), slices.case)
        config = {"occlusion_mm": 8 * PX} if method == "cyclemix" else {}
        engine = Engine(settings(method, config, precision=precision), 0, slices)
        state = State(digest="d")
        for _ in range(20):
            engine.step(state)
        losses.append(torch.stack([step.values[:-1].sum() for step in state.pending]).cpu())
    deviation = float(((losses[0] - losses[1]).abs() / losses[0].abs().clamp_min(1e-3)).max())
    record_property("largest relative deviation", deviation)
    assert deviation <= CUDA_TOLERANCE, (
        f"{method}, {precision}: losses differ by {deviation:.2e} of their value"
    )
