"""A study with one bad file: everything that does not need the file is finished, and mending it finishes
the rest."""

from __future__ import annotations

from pathlib import Path

from data_files import write_own
from studies import SMALL, Project, copy_of_project, with_few_hearts

STUDY = (*SMALL, "datasets=[phantom, own]", "methods=[unet_pce]", "compare_to=unet_pce")
TABLES = [f"results/tables/{dataset}/comparison.html" for dataset in ("phantom", "own")]


def test_one_bad_case_leaves_the_rest_of_the_study_unharmed(warm: Path, tmp_path: Path) -> None:
    project = with_few_hearts(copy_of_project(tmp_path / "study", warm))
    lists = "official: {train: [a1], val: [a2], test: [a3, a4]}\n"
    spec_file = write_own(tmp_path, cases=("a1", "a2", "a3", "a4"), extra=lists)
    spec_file.rename(project.folder / "config" / "datasets" / "own.yaml")
    bad = tmp_path / "scans" / "labels" / "a4.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-30])
    done = project.snakemake("--keep-going", *TABLES, config=STUDY, check=False)
    results = project.folder / "results"
    assert done.returncode == 1
    assert "own: 1 of 2 cases refused:" in project.logs()
    assert f"{bad}: damaged or cut off" in project.logs()
    assert (results / "tables" / "phantom" / "comparison.html").is_file()
    assert (results / "runs" / "own" / "unet_pce" / "fold0_seed0" / "model.pt").is_file()
    assert len(list(results.glob("data/own/prepared/*/a3.npz"))) == 1  # prepared beside the bad one
    assert not (results / "tables" / "own").exists()
    before = stamps(results)
    bad.write_bytes(whole)
    (results / "data" / "own" / "raw_test.json").unlink()  # the file is another one: fetch and prepare anew
    project.snakemake("--keep-going", *TABLES, config=STUDY)
    assert (results / "tables" / "own" / "comparison.html").is_file()
    assert stamps(results) == before


def stamps(results: Path) -> dict[Path, int]:
    """When the models and the phantom's tables were written."""
    paths = [*results.glob("runs/*/*/*/model.pt"), *results.glob("tables/phantom/*")]
    assert len(paths) > 5
    return {path: path.stat().st_mtime_ns for path in paths}


def test_a_study_file_that_names_a_key_twice_is_refused(clean_project: Project, tmp_path: Path) -> None:
    """Snakemake itself takes the last."""
    path = tmp_path / "study.yaml"
    path.write_text("datasets: [phantom]\nmethods: [unet_pce]\nseeds: [1]\nseeds: [2]\n")
    done = clean_project.snakemake("--dry-run", "--configfile", str(path), config=(), check=False)
    assert done.returncode != 0
    assert f"{path}: not valid YAML: duplicate key 'seeds'; keep one" in done.stdout
    assert "Traceback" not in done.stdout
