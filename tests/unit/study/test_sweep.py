"""A sweep of annotations: its rows, what they train on, what is refused; and scribbled beside dense cases."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from data_files import write_case, write_own

from cyclemix.cli.stages import Silent
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Protocol, Recipe, RunConfig, Training
from cyclemix.config.strict import ConfigError, load_yaml
from cyclemix.data import download, prepare, split
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.split import Person, kfold
from cyclemix.data.store import load_case, read_index, save_case
from cyclemix.data.subject_order import first_subjects
from cyclemix.provenance import records
from cyclemix.study.plan import Plan, plan
from cyclemix.training import train
from cyclemix.training.slices import load_slices

ROOT = Path(__file__).resolve().parents[3]
SWEEP = {"subjects": ["1", "9", "all"], "scribble_fractions": ["0.25", 1.0]}


def make(**changes: Any) -> Plan:
    study = {"datasets": ["acdc"], "methods": ["unet_pce", "unet_full"], "efficiency": SWEEP}
    return plan({**study, **changes}, ROOT, "my.yaml")


def test_points_are_rows_and_the_whole_one_is_the_method_itself() -> None:
    made = make()
    assert made.labels("acdc") == [
        "unet_pce", "unet_full",
        "unet_pce_1subject_25pct", "unet_pce_1subject", "unet_pce_9subjects_25pct", "unet_pce_9subjects",
        "unet_pce_25pct",
        "unet_full_1subject", "unet_full_9subjects",
    ]  # fmt: skip
    assert all(re.fullmatch(r"\w+", label) for label in made.labels("acdc")), "safe in paths and wildcards"
    few = made.training("unet_pce_9subjects_25pct")
    assert (few.subjects, few.scribble_fraction) == (9, 0.25)
    assert (
        made.training("unet_pce").recipe()
        == plan({"datasets": ["acdc"], "methods": ["unet_pce"]}, ROOT).training("unet_pce").recipe()
    ), "the whole row is the one of a study without a sweep"


def test_tables_see_every_point_and_figures_the_whole_rows() -> None:
    made = make()
    told = json.loads(made.table_json("acdc"))["methods"]
    assert told["unet_pce_1subject_25pct"]["budget"] == {
        "method": "unet_pce",
        "subjects": 1,
        "fraction": 0.25,
    }
    assert "budget" not in json.loads(make(efficiency="null").table_json("acdc"))["methods"]["unet_pce"]
    assert made.shown("acdc") == ["unet_pce", "unet_full"]
    only = make(methods=["unet_pce"], efficiency={"methods": ["unet_pce"], "subjects": [1]})
    assert only.shown("acdc") == ["unet_pce"]


def test_a_method_of_the_sweep_alone_joins_the_study() -> None:
    made = make(methods=["unet_pce"], efficiency={"methods": ["cyclemix"], "subjects": ["3", "all"]})
    assert made.labels("acdc") == ["unet_pce", "cyclemix_3subjects", "cyclemix"]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"subjects": [36]}, r"unet_pce_36subjects: 36 training subjects, but acdc has 35; lower"),
        ({"subjects": [0]}, r"efficiency.subjects.0"),
        ({"scribble_fractions": [0.255]}, r"scribble_fractions must be whole percents .* got 0.255"),
        ({"scribble_fractions": [1.5]}, r"efficiency.scribble_fractions.0"),
        ({"methods": ["cyclemx"]}, r"efficiency.methods: no method 'cyclemx'"),
        ({"subject": [1]}, r"unknown key efficiency.subject \(did you mean 'subjects'\?\)"),
    ],
)  # fmt: skip
def test_refusals_before_any_job(sweep: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(efficiency=sweep)


def test_fewer_subjects_are_among_the_more_in_their_groups_proportions() -> None:
    cases = pd.DataFrame(
        {"subject": [f"p{i:02d}" for i in range(20)] * 2, "group": (["A"] * 10 + ["B"] * 10) * 2}
    )
    orders = [set(first_subjects(cases, count, 0, "x")) for count in range(1, 21)]
    assert [len(order) for order in orders] == list(range(1, 21))
    assert all(less < more for less, more in pairwise(orders))
    groups = cases.drop_duplicates().set_index("subject")["group"]
    for order in orders:
        assert abs(int((groups[list(order)] == "A").sum()) - len(order) / 2) <= 1
    assert any(first_subjects(cases, 5, seed, "x") != first_subjects(cases, 5, 0, "x") for seed in (1, 2))
    with pytest.raises(ValueError, match=r"x: 21 training subjects wanted, but there are 20"):
        first_subjects(cases, 21, 0, "x")


def settings(supervision: str = "scribble", **recipe: Any) -> RunConfig:
    return RunConfig(
        label="row", dataset="own", method="unet_pce", supervision=supervision, classes=["RV", "LV"],
        grid=Grid(spacing_mm=1.0, crop_px=32), config={}, training=Recipe(**recipe),
    )  # fmt: skip


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Prepared cases: a1, a2 scribbled and dense, b1 dense alone, c1 scribbled alone, v1 for validation."""
    official = "official: {train: [a1, a2, b1, c1], val: [v1]}\n"
    spec_file = write_own(tmp_path, ("a1", "a2", "v1"), official)
    write_case(tmp_path / "scans", "b1", 7, scribble=False)
    write_case(tmp_path / "scans", "c1", 8, label=False)
    for part in ("train", "val"):
        receipt = tmp_path / "data" / f"raw_{part}.json"
        download.run(spec_file, part, receipt, threads=1)
        prepare.run(
            spec_file, part, receipt, Grid(spacing_mm=1.0, crop_px=32), tmp_path / f"index_{part}.csv"
        )
    split.run(spec_file, Protocol(), None, tmp_path / "folds.json")
    return tmp_path


def cases_of(folder: Path, run: RunConfig, seed: int = 0) -> pd.DataFrame:
    indexes = [folder / "index_train.csv", folder / "index_val.csv"]
    return train._cases(run, folder / "folds.json", indexes, 0, seed)[0]


def test_a_case_without_scribble_trains_on_its_dense_labels(mixed: Path) -> None:
    run = settings()
    cases = cases_of(mixed, run)
    assert list(cases["case"]) == ["a1", "a2", "b1", "c1"]
    slices = load_slices(cases, run, torch.device("cpu"))
    assert slices.amounts == {
        "subjects": 4, "scribbled_cases": 3, "dense_cases": 1, "unmarked_slices": 0, "slices": 8,
        "labelled_pixels": int((slices.target != UNLABELLED).sum()),
    }  # fmt: skip
    shares = {
        case: float((slices.target[slices.case.index(case)] != UNLABELLED).float().mean())
        for case in ("a1", "b1", "c1")
    }
    assert shares["a1"] == shares["c1"] < 0.1 < shares["b1"]


def test_rows_of_dense_labels_train_on_the_cases_that_have_them(mixed: Path) -> None:
    run = settings("full")
    slices = load_slices(cases_of(mixed, run), run, torch.device("cpu"))
    assert (slices.amounts["dense_cases"], slices.amounts["scribbled_cases"]) == (3, 0)


def test_a_part_of_the_scribbles_and_whole_dense_labels(mixed: Path) -> None:
    whole, quarter = settings(), settings(scribble_fraction=0.25)
    all_marks = load_slices(cases_of(mixed, whole), whole, torch.device("cpu"))
    part = load_slices(cases_of(mixed, quarter), quarter, torch.device("cpu"))
    assert part.case == all_marks.case
    for i, case in enumerate(part.case):
        before, after = all_marks.target[i], part.target[i]
        assert (after[after != UNLABELLED] == before[after != UNLABELLED]).all()
        for value in np.unique(before[before != UNLABELLED]):
            count = int((before == value).sum())
            kept = count if case == "b1" else int(np.ceil(0.25 * count))
            assert int((after == value).sum()) == kept, (case, value)


def test_scribbled_dense_and_half_marked_cases_train_together(mixed: Path, caplog: Any) -> None:
    config = settings(base_filters=4, levels=2, batch_size=4, max_steps=2, validate_every_steps=1)
    (mixed / "config.json").write_text(config.model_dump_json())
    path = mixed / "a1.npz"
    case = load_case(path)
    half = case.scribble.copy()
    half[0] = UNLABELLED  # one of two slices without a mark
    save_case(path, replace(case, scribble=half))
    records.prepared(mixed / "index_train.csv").unlink()  # it covers the case as it was
    indexes = [mixed / "index_train.csv", mixed / "index_val.csv"]
    with caplog.at_level("INFO"):
        train.run(
            mixed / "config.json", mixed / "folds.json", indexes, 0, 0, mixed / "run", Training(device="cpu"),
            Silent(),
        )  # fmt: skip
    assert "3 scribbled_cases, 1 dense_cases, 1 unmarked_slices, 7 slices" in caplog.text
    told = json.loads((mixed / "run" / "provenance.json").read_text())["training_data"]
    assert (told["scribbled_cases"], told["dense_cases"], told["unmarked_slices"]) == (3, 1, 1)
    losses = pd.read_csv(mixed / "run" / "history.csv")["loss"]
    assert np.isfinite(losses).all()


def test_fewer_subjects_in_training(mixed: Path) -> None:
    one, three = settings(subjects=1), settings(subjects=3)
    first, more = (set(cases_of(mixed, run)["case"]) for run in (one, three))
    assert (len(first), len(more)) == (1, 3)
    assert first < more
    assert {frozenset(cases_of(mixed, one, seed)["case"]) for seed in range(8)} > {frozenset(first)}
    with pytest.raises(ValueError, match=r"fold 0 of own: 5 training subjects wanted, but there are 4"):
        cases_of(mixed, settings(subjects=5))


def test_a_fold_validates_on_dense_cases_first_and_trains_on_the_others() -> None:
    both = [Person((f"a{i}",), "", True, True) for i in range(8)]
    dense = [Person((f"b{i}",), "", True, False) for i in range(8)]
    for fold in kfold([*both, *dense], 4, 0, "x", mixed=True):
        assert len(fold["val"]) == 2
        assert all(name.startswith("b") for name in fold["val"])
        assert any(name.startswith("b") for name in fold["train"])


@pytest.mark.parametrize("name", ["acdc", "acdc70", "mscmr", "phantom"])
def test_built_in_data_sets_have_a_scribble_for_every_training_case(name: str, tmp_path: Path) -> None:
    spec = load_dataset(ROOT / "config" / "datasets" / f"{name}.yaml")
    assert "train" in spec.scribbled
    if spec.kind == "files" and not spec.source:
        cases = list_cases(spec, "train", tmp_path)
        assert all(case["scribble"] for case in cases), "no row of scribbles trains on dense labels there"


def test_amounts_reach_the_index_kinds(mixed: Path) -> None:
    index = read_index([mixed / "index_train.csv"])
    assert dict(zip(index["case"], index["supervision"], strict=True)) == {
        "a1": "both", "a2": "both", "b1": "full", "c1": "scribble",
    }  # fmt: skip


def test_the_sensitivity_study_sweeps_scribbled_subjects_on_both_data_sets() -> None:
    made = plan(load_yaml(ROOT / "config" / "sensitivity.yaml"), ROOT, "config/sensitivity.yaml")
    points = ["", "_5subjects", "_10subjects", "_20subjects"]
    for dataset, dense in (("acdc", True), ("mscmr", False)):
        runs = {label for label in made.labels(dataset) if made.reason(dataset, label) is None}
        methods = ["unet_pce", "cyclemix", *(["unet_full"] if dense else [])]
        assert runs == {method + point for method in methods for point in points}
    assert {made.training(label).scribble_fraction for label in made.labels("acdc")} == {1.0}
    assert made.training("cyclemix_5subjects").subjects == 5


def test_the_sensitivity_study_has_the_recipe_of_the_comparison_on_cpus() -> None:
    """So its rows with all subjects are those of the comparison, and their recorded scores serve both."""
    sensitivity, comparison = (
        load_yaml(ROOT / "config" / f"{name}.yaml") for name in ("sensitivity", "paper_cpu")
    )
    for key in ("datasets", "protocol", "grid", "at_most_steps", "training"):
        assert sensitivity[key] == comparison[key], key
