"""A sweep of annotations through the whole workflow, in a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from studies import SMALL, copy_of_project, with_few_hearts

FILE = ("--configfile", "config/efficiency.yaml")
POINTS = "efficiency={subjects: [1, all], scribble_fractions: [0.25]}"
OVERRIDES = (*SMALL, "methods=[unet_pce]", POINTS, "results=results")


def test_a_sweep_runs_to_its_figure_and_another_point_trains_itself_alone(warm: Path, tmp_path: Path) -> None:
    project = with_few_hearts(copy_of_project(tmp_path, warm))
    project.snakemake(*FILE, config=OVERRIDES)
    results = tmp_path / "results"
    table = pd.read_csv(results / "tables" / "phantom" / "efficiency.csv").set_index("label")
    assert list(table.index) == ["unet_pce_1subject_25pct", "unet_pce_25pct"]
    assert list(table["subjects"]) == [1, 3]
    assert table["labelled_pixels"].is_monotonic_increasing
    assert (results / "figures" / "phantom" / "efficiency.png").stat().st_size > 10_000
    run = results / "runs" / "phantom" / "unet_pce_1subject_25pct"
    assert json.loads((run / "config.json").read_text())["training"]["scribble_fraction"] == 0.25
    amounts = json.loads((run / "fold0_seed0" / "provenance.json").read_text())["training_data"]
    assert (amounts["subjects"], amounts["scribbled_cases"], amounts["dense_cases"]) == (1, 2, 0)

    more = POINTS.replace("[1, all]", "[1, 2, all]")
    plan = project.plan(*FILE, config=tuple(more if word == POINTS else word for word in OVERRIDES))
    assert [job for job in plan if job.startswith("train ")] == ["train unet_pce_2subjects_25pct"]
    assert plan["train unet_pce_2subjects_25pct"] == plan["tabulate"] == plan["efficiency"] == 1
