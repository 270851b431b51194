"""What Snakemake plans on a clean clone, and what it refuses before any job."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from studies import ROOT, Project, jobs, per_label

from cyclemix.config.strict import ConfigError
from cyclemix.study.plan import plan

DEFAULT_STUDY = {
    "download": 3, "prepare": 3, "split": 1, "track_init": 1, "tabulate": 1, "figures": 1, "ranking": 1,
    **per_label("resolve", "train", "predict", "evaluate", "run_figures"),
}  # fmt: skip


def test_default_study(clean_project: Project) -> None:
    assert clean_project.plan(config=()) == DEFAULT_STUDY


def test_a_study_file_stands_alone(clean_project: Project) -> None:
    text = clean_project.dry_run("--configfile", "config/mscmr.yaml", config=("seeds=[0]",))
    planned = jobs(text)
    assert planned["download"] == 3
    assert planned["train cyclemix"] == planned["train unet_pce"] == 1
    assert "phantom" not in text


def test_evaluating_on_val_asks_for_no_test_case(clean_project: Project) -> None:
    text = clean_project.dry_run(config=("protocol={kind: official, evaluate_on: val}",))
    assert "raw_val.json" in text
    assert "raw_test.json" not in text
    assert "index_test.csv" not in text


def test_kfold(clean_project: Project) -> None:
    """Two of three folds with two seeds each: four runs per row."""
    protocol = "protocol={kind: kfold, folds: 3, run_folds: [0, 2]}"
    assert clean_project.plan(config=(protocol, "seeds=[0, 1]")) == {
        "download": 1, "prepare": 1, "split": 1, "track_init": 1, "tabulate": 1, "figures": 1, "ranking": 1,
        **per_label("resolve"), **per_label("train", "predict", "evaluate", "run_figures", count=4),
    }  # fmt: skip


def test_rows_that_are_not_applicable_are_no_jobs(clean_project: Project) -> None:
    config = ("datasets=[mscmr]", "methods=[cyclemix, unet_full]")
    text = clean_project.dry_run("--printshellcmds", config=config)
    planned = jobs(text)
    assert planned["train cyclemix"] == 1
    assert planned["train unet_full"] == 0
    assert "no dense labels" in text, "tabulate gets the reason why the row is n/a"


def test_a_view_shares_raw_and_prepared_files(clean_project: Project) -> None:
    text = clean_project.dry_run(config=("datasets=[acdc70]", "methods=[cyclemix]"))
    for part in ("train", "masks", "val", "test"):
        assert f"results/data/acdc/raw_{part}.json" in text
    assert "results/data/acdc70/folds.json" in text
    assert "results/data/acdc70/raw_" not in text


def test_lint_is_clean(clean_project: Project) -> None:
    done = clean_project.snakemake("--lint", config=())
    assert "good condition" in done.stdout


def test_works_from_another_folder(clean_project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = Project(tmp_path_factory.mktemp("elsewhere"), clean_project.python)
    planned = elsewhere.plan("--snakefile", str(clean_project.folder / "Snakefile"), config=())
    assert planned["train cyclemix"] == 1


def test_works_as_a_module(clean_project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    outer = Project(tmp_path_factory.mktemp("outer"), clean_project.python)
    (outer.folder / "Snakefile").write_text(f"""
configfile: "{clean_project.folder}/config/config.yaml"
module hearts:
    snakefile: "{clean_project.folder}/Snakefile"
    config: config
use rule * from hearts as hearts_*
rule own:
    default_target: True
    input: rules.hearts_all.input
""")
    planned = outer.plan(config=("training={max_steps: 5}",))
    assert planned["hearts_train cyclemix"] == 1
    assert planned["hearts_tabulate"] == 1


def test_results_may_lie_anywhere(clean_project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "my results"
    clean_project.snakemake(f"{folder}/data/phantom/folds.json", config=(f"results={folder}",))
    assert (folder / "data" / "phantom" / "folds.json").is_file()
    assert (folder / "logs" / "split" / "phantom.log").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods=[cyclmix]", "methods: no method 'cyclmix' (did you mean 'cyclemix'?)"),
        ("training={max_steps:50}", "unknown key training.max_steps:50; write a space after the colon"),
    ],
)
def test_misconfiguration_is_refused(clean_project: Project, override: str, message: str) -> None:
    """As Snakemake hands an override on and shows the message; unit/study/test_plan.py has them all."""
    done = clean_project.snakemake("--dry-run", config=(override,), check=False)
    assert done.returncode != 0
    assert message in done.stdout
    assert "config/config.yaml: " in done.stdout
    assert "Traceback" not in done.stdout
    assert "rule " not in done.stdout


def test_a_bad_method_block_is_refused(tmp_path: Path) -> None:
    """By what the Snakefile calls; `test_misconfiguration_is_refused` shows that it hands messages on."""
    for part in ("config", "workflow"):
        shutil.copytree(ROOT / part, tmp_path / part)
    Project(tmp_path).edit("config/methods.yaml", "config: {weight_local: 0}", "config: {weight_locl: 0}")
    message = r"cyclemix_4: unknown key config\.weight_locl \(did you mean 'weight_local'\?\)"
    with pytest.raises(ConfigError, match=message):
        plan({"datasets": ["phantom"], "methods": ["cyclemix_4"]}, tmp_path)


def test_a_container_is_every_jobs_image(clean_project: Project) -> None:
    """Without the tool Snakemake only notes the image: the plan is that of a study without one."""
    assert clean_project.plan(config=("container=envs/cyclemix.sif",)) == DEFAULT_STUDY
