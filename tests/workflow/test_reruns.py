"""Which edits rerun what, on copies of one finished study: dry runs, told by Snakemake's own records."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from studies import LABELS, SMALL, Project, announced, jobs, per_label

from cyclemix.provenance import verify

AFTER_TRAINING = ("predict", "evaluate", "run_figures")
ENDS = {"tabulate": 1, "figures": 1, "ranking": 1}
UNUSED = "\nUNUSED = 1\n"
"""Appended to a module, it changes the code digest and no result."""

COMMENTED = ("training/train", "methods/cyclemix", "data/prepare", "evaluation/evaluate", "networks/unet")
OUTSIDE_OF_DIGESTS = (
    *("cli/main", "cli/images", "cli/studies", "config/models"),
    *("files/locks", "provenance/verify", "tracking/api"),
)


def test_the_study_is_complete(finished: Project) -> None:
    results = finished.folder / "results"
    study = yaml.safe_load((finished.folder / "config" / "config.yaml").read_text())
    for label in LABELS:
        run = results / "runs" / "phantom" / label / "fold0_seed0"
        for name in ("model.pt", "history.csv", "provenance.json", "metrics.csv", "overlay.png"):
            assert (run / name).stat().st_size, run / name
        assert len(list((run / "predictions").glob("*.nii.gz"))) == 4, "two hearts, two frames each"
        settings = json.loads((run.parent / "config.json").read_text())
        assert settings["training"]["max_steps"] == 4, "overrides merge into the study"
        assert settings["training"]["ema_decay"] == study["training"]["ema_decay"], "and leave the rest"
        assert not {"seeds", "results", "device", "mirror"} & set(settings)
    tables, figures = results / "tables" / "phantom", results / "figures" / "phantom"
    assert (tables / "summary.csv").stat().st_size
    page = (tables / "comparison.html").read_text()
    assert [label for label in LABELS if label not in page] == []
    scores = pd.read_csv(tables / "per_case.csv")
    assert set(scores["method"]) == set(LABELS)
    assert set(scores["subject"]) == {"heart019", "heart020"}
    for name in ("overlays.png", "boxplot.png", "curves.png", "bland_altman.png"):
        assert (figures / name).stat().st_size > 5000, name


def test_the_results_verify_and_an_altered_model_is_mended_as_told(finished_study: Project) -> None:
    results = finished_study.folder / "results"
    assert verify.run(results).problems == []
    model = results / "runs" / "phantom" / "unet_pce" / "fold0_seed0" / "model.pt"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (problem,) = verify.run(results).problems
    target = "runs/phantom/unet_pce/fold0_seed0/model.pt"
    assert (problem.kind, problem.file) == ("altered", target)
    assert problem.remedy == f"delete it, then `snakemake --force {results}/{target}` and `snakemake`"
    model.unlink()
    finished_study.snakemake("--force", f"results/{target}")
    assert model.read_bytes() == content
    finished_study.snakemake()
    assert verify.run(results).problems == []


def append(project: Project, module: str, text: str = UNUSED) -> None:
    """Add lines to a module of the copy's package."""
    path = project.folder / "cyclemix" / f"{module}.py"
    path.write_text(path.read_text() + text)


def test_a_second_run_does_nothing_after_edits_that_change_no_result(finished_study: Project) -> None:
    """Comments, texts for people, modules that no result depends on, where jobs run, a deleted mirror.

    One dry run for all of them. If it plans a job, its text says which rule and which parameter changed.
    """
    for module in COMMENTED:
        append(finished_study, module, "\n# a comment\n")
    edit = finished_study.edit
    edit("cyclemix/methods/cyclemix.py", '"""CycleMix', '"""Here is CycleMix')
    edit("cyclemix/data/readers/nifti.py", "no NIfTI header; expected", "not NIfTI; expected")
    edit("cyclemix/training/train.py", "resuming at step", "going on at step")
    edit("cyclemix/ops/puzzlemix.py", "cells per side, one", "cells along a side, one")
    edit("config/datasets/phantom.yaml", "title: Phantom", "title: Another")
    for module in OUTSIDE_OF_DIGESTS:
        append(finished_study, module)
    stores = list((finished_study.folder / "results" / "mlflow").glob("mlflow.db*"))
    assert stores
    for path in stores:
        path.unlink()
    training = SMALL[0].replace("}", ", device: cpu, checkpoint_seconds: 5, jobs_per_gpu: 2}")
    other = (training, *SMALL[1:], "mirror=/tmp/mirror", "tracking={experiment_prefix: other}")
    text = finished_study.dry_run(config=other)
    assert jobs(text) == {}, text


def test_an_edited_block_and_an_edited_method_retrain_their_own_rows_alone(finished_study: Project) -> None:
    """Also resolved anew: a method's file holds the defaults of its settings."""
    finished_study.edit("config/methods.yaml", "\ncyclemix:\n  method: cyclemix\n", """
cyclemix:
  method: cyclemix
  config: {weight_local: 0.5}
""")  # fmt: skip
    append(finished_study, "methods/unet_full")
    rules = ("resolve", "train", *AFTER_TRAINING)
    rerun = {f"{rule} {label}": 1 for rule in rules for label in ("cyclemix", "unet_full")}
    assert finished_study.plan() == {**rerun, **ENDS}


def test_a_summary_of_a_block_retrains_nothing(finished_study: Project) -> None:
    finished_study.edit("config/methods.yaml", "partial cross-entropy on the scribbles alone", "pCE")
    assert finished_study.plan() == ENDS


@pytest.mark.parametrize(
    ("module", "rerun"),
    [
        ("training/train", {**per_label("train", *AFTER_TRAINING), **ENDS}),
        ("metrics", {**per_label("evaluate", "run_figures"), **ENDS}),
        ("report/plots/overlays", {**per_label("run_figures"), "figures": 1}),
        ("report/tables", {"tabulate": 1, "ranking": 1}),
    ],
)
def test_an_edit_reruns_what_depends_on_it(
    finished_study: Project, module: str, rerun: dict[str, int]
) -> None:
    append(finished_study, module)
    assert finished_study.plan() == rerun


def test_a_changed_label_constant_retrains_all(finished_study: Project) -> None:
    finished_study.edit("cyclemix/config/labels.py", "UNLABELLED = 255", "UNLABELLED = 254")
    plan = finished_study.plan()
    assert {rule: plan[rule] for rule in per_label("train")} == per_label("train")
    assert plan["prepare"] == 3


def test_another_evaluation_list_retrains_nothing(finished_study: Project) -> None:
    val = (*SMALL, "protocol={kind: official, evaluate_on: val}")
    assert finished_study.plan(config=val) == {**per_label(*AFTER_TRAINING), **ENDS}
    one_row = (*val, "methods=[unet_pce]", "compare_to=unet_pce")
    finished_study.snakemake(config=one_row)
    assert finished_study.plan(config=one_row) == {}
    assert finished_study.plan() == {**{f"{rule} unet_pce": 1 for rule in AFTER_TRAINING}, **ENDS}


def test_a_new_seed_trains_itself_alone(finished_study: Project) -> None:
    text = finished_study.dry_run(config=(*SMALL, "seeds=[0, 7]"))
    assert jobs(text) == {**per_label("train", *AFTER_TRAINING), **ENDS}
    for rule, details in announced(text):
        if rule == "train":
            assert "fold0_seed7/model.pt" in details
            assert "seed=7" in details


def test_a_second_data_set_is_planned_beside_a_finished_one(finished_study: Project) -> None:
    plan = finished_study.plan(config=(*SMALL, "datasets=[phantom, mscmr]", "methods=[cyclemix]"))
    assert plan["train cyclemix"] == 1
    assert plan["download"] == 3


def test_another_seed_of_the_phantom_reruns_its_data(finished_study: Project) -> None:
    finished_study.edit("config/datasets/phantom.yaml", "seed: 2022", "seed: 2023")
    assert finished_study.plan()["download"] == 3


def test_a_deleted_table_is_made_again_alone(finished_study: Project) -> None:
    Path(finished_study.folder / "results/tables/phantom/comparison.html").unlink()
    assert finished_study.plan() == {"tabulate": 1, "ranking": 1}


def test_a_new_method_is_a_row_of_the_finished_study(finished_study: Project) -> None:
    """By the steps of CONTRIBUTING alone: one file, one block."""
    folder = finished_study.folder
    said = finished_study.cyclemix("new-method", "toy")
    assert "cyclemix/methods/toy.py\ntests/unit/methods/test_toy.py\nconfig/methods.yaml\n" in said
    finished_study.cyclemix("schema")
    tests = [finished_study.python, "-m", "pytest", "-q", "tests/unit/methods/test_toy.py"]
    assert subprocess.run(tests, cwd=folder, check=False).returncode == 0
    rows = "methods=[unet_pce, toy, cyclemix, unet_full]"
    plan = finished_study.plan(config=(*SMALL, rows))
    assert plan["train toy"] == 1
    assert "train cyclemix" not in plan
    tables = "results/tables/phantom"
    finished_study.snakemake(f"{tables}/comparison.html", config=(*SMALL, rows))
    assert "toy" in (folder / tables / "comparison.md").read_text()
