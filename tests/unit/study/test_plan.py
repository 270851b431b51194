"""What a study plans: rows, parts, grids, and what it refuses before any job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclemix.config.steps import scale_steps
from cyclemix.config.strict import ConfigError, load_yaml
from cyclemix.study.plan import Plan, plan

ROOT = Path(__file__).resolve().parents[3]


def make(**changes: Any) -> Plan:
    return plan({"datasets": ["acdc"], "methods": ["unet_pce", "cyclemix"], **changes}, ROOT, "my.yaml")


def test_official_parts_never_include_test_in_training() -> None:
    made = make()
    assert made.train_parts("acdc", "cyclemix") == ["train", "val"]
    assert made.evaluated_part("acdc") == "test"
    validated = make(protocol={"evaluate_on": "val", "folds": 5})
    assert validated.evaluated_part("acdc") == "val"
    assert validated.study.protocol.parts == ["train", "val"]
    assert validated.study.protocol.selected_folds == [0]


def test_kfold_reads_one_part() -> None:
    made = make(protocol={"kind": "kfold", "folds": "3"})
    assert made.train_parts("acdc", "cyclemix") == ["all"]
    assert made.evaluated_part("acdc") == "all"
    assert made.study.protocol.selected_folds == [0, 1, 2]


def test_a_view_trains_on_the_parts_of_its_source() -> None:
    made = make(datasets=["acdc70"])
    assert made.datasets["acdc70"].data_label == "acdc"
    assert made.train_parts("acdc70", "cyclemix") == ["train", "masks", "val"]
    assert "acdc" in made.datasets


def test_rows_without_labels_are_reasons_not_jobs() -> None:
    made = make(datasets=["mscmr"], methods=["cyclemix", "unet_full"])
    assert made.labels("mscmr") == ["cyclemix"]
    told = json.loads(made.table_json("mscmr"))["methods"]
    assert told["cyclemix"]["reason"] is None
    assert "no dense labels" in told["unet_full"]["reason"]


def test_overrides_arrive_as_strings() -> None:
    strings = {"max_steps": "50", "learning_rate": "1e-4", "gradient_clip": "null"}
    made = make(training=strings, seeds=["0", "1"], mirror="null")
    assert made.training("cyclemix").max_steps == 50
    assert made.training("cyclemix").learning_rate == 1e-4
    assert made.training("cyclemix").gradient_clip is None
    assert made.study.seeds == [0, 1]
    assert made.study.mirror is None


def test_a_block_changes_its_own_row_only() -> None:
    made = make(methods=["cyclemix", "cyclemix_paper"])
    assert made.training("cyclemix").network == "unet"
    assert made.training("cyclemix_paper").network == "unet_paper"
    assert made.grid("acdc", "cyclemix_paper").name == "1.36719mm_212px_paper"
    assert made.grid("acdc", "cyclemix").name == "1.36719mm_212px"
    assert set(made.grids) == {made.grid("acdc", label).name for label in made.study.methods}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"bach_size": 4}}, r"training: unknown key bach_size \(did you mean 'batch_size'"),
        ({"inference": {"largest_component": 8}}, r"inference: largest_component: .*got 8"),
    ],
)
def test_a_blocks_wrong_setting_names_the_row(changes: dict[str, Any], message: str) -> None:
    made = make()
    block = made.blocks["cyclemix"].model_copy(update=changes)
    changed = Plan(made.study, made.datasets, {"row": block}, made.folder)
    (part,) = changes
    with pytest.raises(ConfigError, match=f"^method row: {message}"):
        getattr(changed, part)("row")


def test_a_limit_of_steps_binds_rows_with_steps_of_their_own() -> None:
    made = make(methods=["cyclemix", "cyclemix_paper"], at_most_steps="200")
    assert made.shortened("cyclemix") == {"from": 3000, "to": 200}
    assert made.shortened("cyclemix_paper") == {"from": 570000, "to": 200}
    rows = json.loads(made.table_json("acdc"))["methods"]
    assert rows["cyclemix_paper"]["shortened"] == {"from": 570000, "to": 200}
    some = make(methods=["cyclemix", "cyclemix_paper"], at_most_steps=3000)
    assert some.shortened("cyclemix") is None
    assert "shortened" not in json.loads(some.table_json("acdc"))["methods"]["cyclemix"]


def test_texts_of_a_block_are_no_part_of_what_retrains() -> None:
    row = json.loads(make().row_json("cyclemix"))
    assert row == {"config": {}, "method": "cyclemix", "summary": "", "supervision": "scribble"}


def test_what_is_evaluated_changes_no_fold() -> None:
    assert make(protocol={"evaluate_on": "val"}).split_json() == make().split_json() == '{"kind":"official"}'
    some = make(protocol={"kind": "kfold", "folds": 4, "run_folds": [1]})
    assert json.loads(some.split_json()) == {"kind": "kfold", "folds": 4, "seed": 0}


def test_another_test_list_leaves_the_training_data_alone() -> None:
    made = make()
    spec = made.datasets["acdc"]
    fewer = spec.model_copy(update={"official": {**spec.official, "test": spec.official["test"][:3]}})
    changed = Plan(made.study, {"acdc": fewer}, made.blocks, made.folder)
    assert changed.part_digest("acdc", "train") == made.part_digest("acdc", "train")
    assert changed.part_digest("acdc", "test") != made.part_digest("acdc", "test")
    retitled = spec.model_copy(update={"title": "another title"})
    changed = Plan(made.study, {"acdc": retitled}, made.blocks, made.folder)
    assert changed.part_digest("acdc", "test") == made.part_digest("acdc", "test")


def test_the_label_geometry_of_a_test_case_leaves_the_training_data_alone() -> None:
    made = make(datasets=["mscmr"], methods=["cyclemix"])
    spec = made.datasets["mscmr"]
    assert list(spec.label_geometry) == ["subject43_DE"]
    changed = Plan(
        made.study, {"mscmr": spec.model_copy(update={"label_geometry": {}})}, made.blocks, made.folder
    )
    assert changed.part_digest("mscmr", "train") == made.part_digest("mscmr", "train")
    assert changed.part_digest("mscmr", "test") != made.part_digest("mscmr", "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": ["acdcc"]}, r"datasets: no file config/datasets/acdcc\.yaml \(did you mean 'acdc"),
        ({"methods": ["cyclmix"]}, r"methods: no method 'cyclmix' \(did you mean 'cyclemix'\?\)"),
        (
            {"training": {"max_steps:20": ""}},
            r"unknown key training\.max_steps:20; write a space after the colon",
        ),
        ({"training": {"max_steps": "0"}}, r"training\.max_steps: .*greater than or equal to 1, got '0'"),
        ({"protocol": {"kind": "kfold", "folds": 3, "run_folds": [3]}}, r"protocol: run_folds holds \[3\]"),
        ({"compare_to": "cyclemax"}, r"compare_to: no method 'cyclemax'"),
        ({"datasets": ["mscmr"], "methods": ["unet_full"]}, r"no method of the study can run on mscmr: "),
    ],
)
def test_refused_before_any_job(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml: " + message):
        make(**changes)


def shipped(name: str) -> Plan:
    path = ROOT / "config" / f"{name}.yaml"
    return plan(load_yaml(path), ROOT, str(path))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("config", {"phantom": 3}),
        ("mscmr", {"mscmr": 3}),
        ("acdc", {"acdc": 4}),
        ("paper", {"mscmr": 29, "acdc": 36}),
        ("paper_cpu", {"acdc": 38, "mscmr": 31}),
        ("minutes_cpu", {"acdc": 3, "mscmr": 2}),
        ("efficiency", {"phantom": 20}),
        ("sensitivity", {"acdc": 12, "mscmr": 8}),
    ],
)
def test_the_rows_of_the_shipped_studies(name: str, rows: dict[str, int]) -> None:
    made = shipped(name)
    assert {dataset: len(made.labels(dataset)) for dataset in made.study.datasets} == rows


def test_the_study_of_minutes_differs_from_that_for_cpus_as_its_comment_says() -> None:
    minutes, comparison = (
        load_yaml(ROOT / "config" / f"{name}.yaml") for name in ("minutes_cpu", "paper_cpu")
    )
    changed = {"validate_every_steps": 750, "augmentation": {"flip_turn": False}}
    assert minutes["training"] == {**comparison["training"], **changed}
    assert minutes["grid"]["spacing_mm"] * minutes["grid"]["crop_px"] >= 225


def test_the_study_for_cpus_shows_enough_and_shortens_every_schedule_alike() -> None:
    made = shipped("paper_cpu")
    (grid,) = made.grids.values()
    assert grid.spacing_mm * grid.crop_px >= 225  # a smaller view cuts off hearts of ACDC
    for label in made.study.methods:
        recipe, most = made.training(label), made.study.at_most_steps
        short = scale_steps(recipe, recipe.max_steps, most)
        assert (short.max_steps, short.warmup_steps, short.validate_every_steps) == (800, 33, 67), label
