"""A study whose names try to be commands and whose surroundings hold secrets: nothing runs, nothing leaks."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from studies import ROOT, SMALL, Project, copy_of_project

from cyclemix.data.phantom import phantom
from cyclemix.provenance import verify

RESULTS = """re sults; touch pwned 'single' "double" $(touch pwned) `touch pwned` & é"""
SUBJECTS = ("a b; touch pwned", "it's $(touch pwned)", '"quoted" `touch pwned`', "-rf & ünï")
DATASET = """\
title: Hostile
terms: none
root: {root}
files:
  image: "{{case}}.nii.gz"
  label: "{{case}}_gt.nii.gz"
  scribble: "{{case}}_scribble.nii.gz"
classes: [RV, MYO, LV]
label_values: {{0: background, 1: RV, 2: MYO, 3: LV}}
scribble_values: {{0: background, 1: RV, 2: MYO, 3: LV, 4: unlabelled}}
grid: {{spacing_mm: 3.2, crop_px: 64}}
official: {lists}
"""
PLANTED = "PLANTED-hunter2"
SECRETS = {
    "MLFLOW_TRACKING_URI": f"http://someone:{PLANTED}@127.0.0.1:9",
    "MLFLOW_TRACKING_PASSWORD": PLANTED,
    "MLFLOW_TRACKING_TOKEN": PLANTED,
    "AWS_SECRET_ACCESS_KEY": PLANTED,
    "GITHUB_TOKEN": PLANTED,
    "https_proxy": f"http://someone:{PLANTED}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def hostile(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished study."""
    folder = tmp_path_factory.mktemp("hostile")
    project = copy_of_project(folder / "project", warm)
    hearts, root = folder / "hearts", folder / "my images"
    root.mkdir()
    for number, subject in enumerate(SUBJECTS):
        phantom.write_subject(hearts, f"heart{number}", (number,))
        for suffix in ("", "_gt", "_scribble"):
            name = f"heart{number}/heart{number}_frame01{suffix}.nii.gz"
            shutil.copy(hearts / name, root / f"{subject}{suffix}.nii.gz")
    lists = {"train": SUBJECTS[:2], "val": SUBJECTS[2:3], "test": SUBJECTS[3:]}
    text = DATASET.format(root=root, lists=json.dumps(lists))
    (project.folder / "config" / "datasets" / "hostile.yaml").write_text(text)
    study = yaml.safe_load((project.folder / "config" / "config.yaml").read_text())
    study |= {"datasets": ["hostile"], "methods": ["unet_pce"], "compare_to": "unet_pce", "results": RESULTS}
    (project.folder / "hostile.yaml").write_text(yaml.safe_dump(study))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        options = ("--configfile", "hostile.yaml", "--workflow-profile", "workflow/profiles/default")
        project.snakemake(*options, "--report", "report.html", "--report-after-run")
    return project


def test_the_study_finishes_and_no_name_was_run(hostile: Project) -> None:
    results = hostile.folder / RESULTS
    table = pd.read_csv(results / "tables" / "hostile" / "per_case.csv")
    assert set(table["case"]) == {SUBJECTS[3]}
    predictions = results / "runs" / "hostile" / "unet_pce" / "fold0_seed0" / "predictions"
    assert (predictions / f"{SUBJECTS[3]}.nii.gz").is_file()
    assert [path for path in hostile.folder.parent.rglob("*") if path.name == "pwned"] == []
    assert verify.run(results).problems == []


def test_the_report_holds_the_tables_and_figures(hostile: Project) -> None:
    text = (hostile.folder / "report.html").read_text()
    for name in ("comparison.html", "overlays.png", "boxplot.png", "summary.csv"):
        assert name in text


def test_no_secret_of_the_surroundings_is_written(hostile: Project) -> None:
    tests = hostile.folder / "tests"
    files = [path for path in hostile.folder.rglob("*") if path.is_file() and tests not in path.parents]
    assert hostile.folder / "report.html" in files
    assert any(".snakemake" in path.parts and path.suffix == ".log" for path in files)
    found = [path for path in files if PLANTED.encode() in path.read_bytes() or PLANTED in path.name]
    # the sentinel and the logs name the server that was asked for, without its password
    assert found == []
    sentinel = (hostile.folder / RESULTS / "runs" / "track_init.json").read_text()
    assert "http://***@127.0.0.1:9" in sentinel


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        (
            f"mirror=https://{PLANTED}@mirror.example.org/files",
            "mirror holds credentials; put them into ~/.netrc",
        ),
        (
            f"tracking={{uri: 'postgresql://someone:{PLANTED}@db.example.org/mlflow'}}",
            "tracking.uri holds credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        ),
    ],
    ids=["mirror", "tracking"],
)
def test_a_study_with_a_password_is_refused_without_showing_it(
    clean_project: Project, override: str, advice: str
) -> None:
    done = clean_project.snakemake("--dry-run", config=(*SMALL, override), check=False)
    assert done.returncode != 0
    assert advice in " ".join(done.stdout.split())
    assert PLANTED not in done.stdout


def test_the_workflow_quotes_every_path_and_text() -> None:
    """`{x}` without `:q` is left to numbers, fixed words, and options quoted where they are made."""
    bare = {"wildcards.fold", "wildcards.seed", "params.spacing_mm", "params.crop_px", "threads"}
    bare |= {"params.evaluate_on", "params.mirror", "params.index", "params.mixed"}
    bare |= {"params.at_most_steps", "params.preparation"}  # a number or null; default or paper
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    shells = re.findall(r"shell:\n((?: +\".*\n)+)", text)
    assert len(shells) == text.count("shell:") >= 10
    fields = {field for text in shells for field in re.findall(r"\{([^}]*)\}", text)}
    assert {field for field in fields if not field.endswith(":q")} <= bare
