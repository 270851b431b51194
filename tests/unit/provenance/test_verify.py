"""One altered byte in any kind of file, and `verify` names exactly that file."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from tiny_study import study
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.provenance import records, verify
from cyclemix.provenance.findings import target_of

RUN = "runs/tiny/row/fold0_seed0"
PREPARED = "data/tiny/prepared/3.2mm_64px"
KINDS = (
    "data/tiny/raw/heart005/heart005_frame01.nii.gz",
    "data/tiny/raw/heart001/heart001_frame01_scribble.nii.gz",
    "data/tiny/raw_train.json",
    "data/tiny/raw_test.json",
    f"{PREPARED}/heart003_frame01.npz",
    f"{PREPARED}/index_train.csv",
    f"{PREPARED}/scribbles_train.csv",
    f"{PREPARED}/provenance_val.json",
    "data/tiny/folds.json",
    "runs/tiny/row/config.json",
    f"{RUN}/model.pt",
    f"{RUN}/history.csv",
    f"{RUN}/provenance.json",
    f"{RUN}/predictions/heart005_frame01.nii.gz",
    f"{RUN}/predictions/provenance.json",
    f"{RUN}/metrics.csv",
    f"{RUN}/predictions/as_predicted/heart005_frame01.nii.gz",
    f"{RUN}/metrics_as_predicted.csv",
    f"{RUN}/metrics_by_level.csv",
    f"{RUN}/metrics_provenance.json",
    "tables/tiny/per_case.csv",
    "tables/tiny/summary.csv",
    "tables/tiny/significance.csv",
    "tables/tiny/comparison.html",
    "tables/tiny/provenance.json",
)


@pytest.fixture(scope="module")
def finished(phantom_prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study; to be read only."""
    return study(phantom_prepared, tmp_path_factory.mktemp("verify") / "results")


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy at another place, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "moved"))


def problems(results: Path) -> list[tuple[str, str]]:
    return [(problem.kind, problem.file) for problem in verify.run(results).problems]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_finished_study_is_right_wherever_it_lies(results: Path) -> None:
    report = verify.run(results)
    assert report.problems == []
    assert report.notes == []
    assert report.records == 4 + 4  # prepare: four parts; train, predict, evaluate, tabulate
    root = hashlib.sha256((results / "tables/tiny/provenance.json").read_bytes()).hexdigest()
    assert report.roots == {"tiny": root}
    assert "no problems" in report.as_text()


@pytest.mark.parametrize("name", KINDS)
def test_one_altered_byte_names_its_file_alone(results: Path, name: str) -> None:
    flip_a_bit(results / name)
    assert problems(results) == [("altered", name)]


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_file_or_record_is_named(results: Path, name: str) -> None:
    (results / name).unlink()
    assert problems(results) == [("unrecorded" if "provenance" in name else "missing", name)]


@pytest.mark.parametrize("folder", ["data/tiny/raw/heart005", PREPARED, f"{RUN}/predictions", "tables/tiny"])
def test_a_foreign_file_is_named(results: Path, folder: str) -> None:
    (results / folder / "heart999.nii.gz").write_bytes(b"from elsewhere")
    (results / folder / ".half-written.part").write_bytes(b"of a killed stage")
    assert problems(results) == [("foreign", f"{folder}/heart999.nii.gz")]


def write_anew(path: Path) -> None:
    """The record of the files as they are now."""
    record = json.loads(path.read_text())
    made = {key: value for key, value in record.items() if key not in ("inputs", "outputs", "checksum")}
    inputs, outputs = ([records.locate(path, name) for name in record[key]] for key in ("inputs", "outputs"))
    records.write(path, made, inputs, outputs)


def test_what_was_made_from_an_older_file_is_stale(results: Path) -> None:
    """A model trained anew, with a right record, under predictions of the old one."""
    run = results / RUN
    flip_a_bit(run / "model.pt")
    write_anew(run / records.NAME)
    # predictions hold the sha256 of the first model, the tables that of its record
    stale = [f"{RUN}/predictions/provenance.json", "tables/tiny/provenance.json"]
    assert problems(results) == [("stale", name) for name in stale]


def test_forged_numbers_with_a_right_seal_do_not_follow(results: Path) -> None:
    folder = results / "tables" / "tiny"
    summary = folder / "summary.csv"
    lines = summary.read_text().splitlines()
    cells = lines[1].split(",")
    cells[5] = "0.99"
    summary.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    write_anew(folder / records.NAME)
    (problem,) = verify.run(results).problems
    assert (problem.kind, problem.file) == ("altered", "tables/tiny/summary.csv")
    assert problem.found.startswith("mean of row, LV, dice is 0.99, ")
    assert problem.found.endswith(" by per_case.csv")


def test_an_older_results_folder_is_told_what_it_lacks(results: Path) -> None:
    for path in [*results.rglob("*provenance*.json")]:
        path.unlink()
    (results / RUN / "provenance.json").write_text('{"commit": "c0ffee", "code_digest": "1"}')
    found = verify.run(results).problems
    assert {problem.kind for problem in found} == {"unrecorded"}
    by_file = {problem.file: problem for problem in found}
    assert len(by_file) == 8
    assert "an older version wrote it" in by_file[f"{RUN}/provenance.json"].found
    assert "no record of summary.csv" in by_file["tables/tiny/provenance.json"].found


def test_every_problem_says_what_to_do(results: Path) -> None:
    for name in (
        "data/tiny/raw/heart005/heart005_frame01.nii.gz",
        f"{RUN}/model.pt",
        "tables/tiny/summary.csv",
    ):
        flip_a_bit(results / name)
    raw, model, table = verify.run(results).problems
    for problem, target in (
        (raw, "data/tiny/raw_test.json"),
        (model, f"{RUN}/model.pt"),
        (table, "tables/tiny/summary.csv"),
    ):
        forced = f"`snakemake --force {results}/{target}`"
        assert problem.remedy == f"delete it, then {forced} and `snakemake`"
    assert f"{RUN}/provenance.json says " in model.found


@pytest.mark.parametrize(
    ("file", "witness", "target"),
    [
        ("data/d/raw/a/b.nii.gz", "data/d/raw_val.json", "data/d/raw_val.json"),
        ("/own/b.nii.gz", "data/d/raw_all.json", "data/d/raw_all.json"),
        ("data/d/raw_val.json", "data/d/prepared/g/provenance_val.json", "data/d/raw_val.json"),
        (
            "data/d/prepared/g/c.npz",
            "data/d/prepared/g/provenance_val.json",
            "data/d/prepared/g/index_val.csv",
        ),
        ("data/d/prepared/g/c.npz", "runs/d/m/fold0_seed0/provenance.json", "data/d/prepared/g/index_*.csv"),
        ("data/d/folds.json", "runs/d/m/fold0_seed0/provenance.json", "data/d/folds.json"),
        ("runs/d/m/config.json", "runs/d/m/fold0_seed0/provenance.json", "runs/d/m/config.json"),
        ("runs/d/m/fold0_seed0/history.csv", "-", "runs/d/m/fold0_seed0/model.pt"),
        ("runs/d/m/fold0_seed0/predictions/c.nii.gz", "-", "runs/d/m/fold0_seed0/predictions"),
        ("runs/d/m/fold0_seed0/metrics_by_level.csv", "-", "runs/d/m/fold0_seed0/metrics.csv"),
        ("tables/d/comparison.tex", "-", "tables/d/summary.csv"),
    ],
)
def test_the_target_that_makes_a_file(file: str, witness: str, target: str) -> None:
    assert target_of(file, witness) == target


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a record nor a result below it; name a study's results"):
        verify.run(tmp_path)


def test_the_command_tells_by_its_exit_status_and_in_json(results: Path) -> None:
    words = ["verify", str(results)]
    good = CliRunner().invoke(app, [*words, "--json"])
    assert (good.exit_code, json.loads(good.stdout)["problems"]) == (0, [])
    prediction = results / RUN / "predictions" / "heart005_frame01.nii.gz"
    prediction.write_bytes(gzip.compress(gzip.decompress(prediction.read_bytes()), 1, mtime=0))
    bad = CliRunner().invoke(app, [*words, "--json"])
    assert bad.exit_code == 1
    (problem,) = json.loads(bad.stdout)["problems"]
    assert (problem["kind"], problem["file"]) == ("altered", f"{RUN}/predictions/heart005_frame01.nii.gz")
    assert f"altered    {problem['file']}\n" in CliRunner().invoke(app, words).stdout
